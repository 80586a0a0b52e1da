"""For any cut of an archive into shards the rows of the parts are the rows of the whole."""

import gzip
import io
import json
from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.extraction.archive.members import DICTIONARY_MAGIC
from services.extraction.archive.window import BLOCK_BYTES, Window
from shared.errors import UsageError


def record(kind: str, number: int, body: bytes) -> bytes:
    if kind == "response":
        body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = [
        "WARC/1.1",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:test:{number}>",
        f"WARC-Target-URI: http://example.org/{number}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body + b"\r\n\r\n"


def skippable(data: bytes, magic: bytes = b"\x50\x2a\x4d\x18") -> bytes:
    return magic + len(data).to_bytes(4, "little") + data


RECORDS = [
    record(kind, i, bytes([65 + i]) * (7 * i * i))
    for i, kind in enumerate(
        ["warcinfo", "request", "response", "resource", "conversion", "revisit", "metadata"] * 2
    )
]
TEXT_LINES = [
    json.dumps({"text": f"text {i} " * i, "url": f"http://example.org/{i}", "id": i}).encode()
    for i in range(12)
]


def gz(parts) -> bytes:
    return b"".join(gzip.compress(p, mtime=0) for p in parts)


def zst(parts, **options) -> bytes:
    return b"".join(zstandard.ZstdCompressor(**options).compress(p) for p in parts)


def with_dictionary() -> bytes:
    dictionary = zstandard.train_dictionary(2048, [r * 3 for r in RECORDS * 9])
    packed = zstandard.compress(dictionary.as_bytes())
    return skippable(packed, DICTIONARY_MAGIC) + zst(RECORDS, dict_data=dictionary)


def parquet() -> bytes:
    out = io.BytesIO()
    table = pa.table({"url": [f"u{i}" for i in range(40)], "content": ["x" * i for i in range(40)]})
    pq.write_table(table, out, row_group_size=7)
    return out.getvalue()


def damaged() -> bytes:
    parts = [gzip.compress(r, mtime=0) for r in RECORDS]
    broken = bytearray(parts[4])
    broken[-6] ^= 255  # its checksum
    headless = b"\x1f\x8b\x08\xff" + parts[7][4:]
    return b"".join([*parts[:4], broken, b"junk\x1f\x8b\x08", *parts[5:7], headless, *parts[8:]])


ARCHIVES = {
    "records.warc.gz": gz(RECORDS),
    "one.warc.gz": gz([b"".join(RECORDS)]),
    "pairs.warc.gz": gz([b"".join(RECORDS[i : i + 2]) for i in range(0, len(RECORDS), 2)]),
    "padded.warc.gz": gz([*RECORDS, b"", b"\r\n"]) + bytes(99) + gz(RECORDS[2:3]) + bytes(50),
    "damaged.warc.gz": damaged(),
    "cut.warc.gz": gz(RECORDS)[:-30],
    "frames.warc.zst": zst(RECORDS, write_checksum=True),
    "sized.warc.zst": zst(RECORDS, write_content_size=False) + skippable(b"abc") + zst(RECORDS[:3]),
    "one.warc.zst": zst([b"".join(RECORDS)]),
    "dictionary.warc.zst": with_dictionary(),
    "cut.warc.zst": zst(RECORDS)[:-9],
    "plain.warc": b"".join([*RECORDS[:5], b"junk\r\n", *RECORDS[5:]]),
    "lines.jsonl": b"\n".join([*TEXT_LINES[:5], b"", b"{broken", *TEXT_LINES[5:]]),
    "lines.jsonl.gz": gz([b"\n".join(TEXT_LINES[:6]), b"\n" + b"\n".join(TEXT_LINES[6:])]),
    "cut.jsonl.gz": gz([b"\n".join(TEXT_LINES)])[:-20],
    "lines.jsonl.zst": zst([b"\n".join(TEXT_LINES)]),
    "rows.parquet": parquet(),
}
#: Rows of each archive that are sound, and that are faults.
EXPECTED = {
    "records.warc.gz": (8, 0),
    "one.warc.gz": (8, 0),
    "pairs.warc.gz": (8, 0),
    "padded.warc.gz": (9, 0),
    "damaged.warc.gz": (7, 2),
    "cut.warc.gz": (8, 1),
    "frames.warc.zst": (8, 0),
    "sized.warc.zst": (9, 0),
    "one.warc.zst": (8, 0),
    "dictionary.warc.zst": (8, 0),
    "cut.warc.zst": (8, 1),
    "plain.warc": (8, 1),
    "lines.jsonl": (12, 1),
    "lines.jsonl.gz": (12, 0),
    "cut.jsonl.gz": (10, 1),
    "lines.jsonl.zst": (12, 0),
    "rows.parquet": (40, 0),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_whole(name, read):
    reading = read(ARCHIVES[name], name)
    faults = len(reading.errors)
    assert (reading.table.num_rows - faults, faults) == EXPECTED[name], reading.errors


@pytest.mark.parametrize("name", ARCHIVES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_cut(name, read, data):
    archive = ARCHIVES[name]
    cuts = data.draw(st.lists(st.integers(1, len(archive) - 1), max_size=6, unique=True))
    edges = [0, *sorted(cuts), len(archive)]
    parts = [read(archive, name, a, b) for a, b in pairwise(edges)]
    whole = read(archive, name)
    assert [row for part in parts for row in part.rows] == whole.rows
    assert sum((part.records for part in parts), Counter()) == whole.records


@pytest.mark.parametrize("name", [n for n in ARCHIVES if ".warc" in n and "cut" not in n])
def test_offset_and_length_find_the_record_again(name, read):
    """The bytes of a row alone, with the archive's dictionary before them, give the payload."""
    archive = ARCHIVES[name]
    for row in read(archive, name).rows:
        if row["error"] is None:
            start, end = row["offset"], row["offset"] + row["length"]
            if name.endswith("warc"):
                again = read(archive[start:end], name).rows
            else:
                again = read(archive[:end], name, start, start + 1).rows
            assert row["payload"] in [r["payload"] for r in again]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([n for n in ARCHIVES if "parquet" not in n]),
    st.lists(st.tuples(st.integers(64, 4000), st.integers(0, 255)), min_size=1, max_size=8),
)
@example(name="dictionary.warc.zst", flips=[(228, 0)])
@example(name="dictionary.warc.zst", flips=[(885, 0)])
def test_flipped_bytes_are_told(read, name, flips):
    """The start stays, so that the format can be told; `read` checks that every record counts.

    Without its dictionary no frame of an archive can be read, so that one is refused.
    """
    archive = bytearray(ARCHIVES[name])
    for position, value in flips:
        archive[64 + position % (len(archive) - 64)] = value
    try:
        read(bytes(archive), name)
    except UsageError as error:
        if name != "dictionary.warc.zst" or "dictionary at its start is damaged" not in str(error):
            raise


@given(st.binary(max_size=400), st.integers(1, 60), st.integers(0, 420), st.integers(0, 90))
def test_window_reads_what_is_there(data, block, offset, length):
    window = Window(lambda at, n: data[at : at + n], len(data), block)
    assert window.get(offset, length) == data[offset : offset + length]
    needle = data[offset : offset + 3]
    if needle:
        assert window.find(needle, 0, len(data)) == data.find(needle)


def test_memory_does_not_grow_with_the_archive(read):
    """A window of 40 blocks that are read through keeps no more than two of them."""
    fetched = []

    def fetch(offset: int, length: int) -> bytes:
        fetched.append((offset, length))
        return bytes(length)

    window = Window(fetch, 40 * BLOCK_BYTES)
    assert window.is_zero(0, window.size)
    assert len(fetched) == 40
    assert len(window._blocks) == 2
