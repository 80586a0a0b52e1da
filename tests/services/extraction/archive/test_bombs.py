"""What expands too much is a document with an error; the rest is read, in bounded memory."""

import gzip
import io
import time
import tracemalloc

import brotli
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from services.extraction.archive.http import PayloadError, parse_response
from shared.testing import warc_gz, warc_record

ZEROS = bytes(10_000_000)
GOOD = b"<p>a page that is read</p>"
PAYLOAD_BYTES = 32 * 2**20
#: Well above what a window's blocks, a table and the payload of a sane page take.
MOST_BYTES = 40 * 2**20
MOST_SECONDS = 5.0


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=19).compress(data)


def compress(name: str, data: bytes) -> bytes:
    return {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd}[name](data)


@pytest.fixture(autouse=True)
def bounded():
    """Time and memory of every test here."""
    # The libraries that compress are loaded, and the bombs made, before memory is counted.
    started = time.monotonic()
    yield
    assert time.monotonic() - started < MOST_SECONDS


def peak(call):
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_member_that_is_a_bomb_fails_and_its_neighbours_are_read(read, codec):
    pack = {"gzip": gzip.compress, "zstd": zstd}[codec]
    before, after = warc_record("http://a/", GOOD, n=1), warc_record("http://c/", GOOD, n=3)
    bomb = pack(warc_record("http://bomb/", ZEROS, n=2))
    assert len(bomb) < 12_000
    reading, used = peak(lambda: read(pack(before) + bomb + pack(after)))
    assert used < MOST_BYTES
    assert reading.payloads == [GOOD, None, GOOD]
    row = reading.rows[1]
    assert row["url"] == "http://bomb/"
    assert "expands to more than 1000 times its compressed bytes" in row["error"]
    assert reading.records == {"response": 2, "damaged": 1}


def test_a_bomb_reads_the_same_however_the_archive_is_cut(read):
    data = warc_gz([warc_record(f"http://{n}/", ZEROS if n == 1 else GOOD, n=n) for n in range(3)])
    whole = read(data).rows
    for cut in range(0, len(data), 997):
        assert read(data, end=cut).rows + read(data, start=cut).rows == whole


def test_a_large_record_that_does_not_expand_that_much_is_read(read):
    page = b"".join(b"<p>%d</p>" % n for n in range(200_000))
    assert read(warc_gz([warc_record("http://a/", page)])).payloads == [page]


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_a_bomb_in_the_content_encoding_fails_alone(read, name):
    packed = compress(name, ZEROS)
    records = [
        warc_record("http://bomb/", packed, headers=f"Content-Encoding: {name}", n=1),
        warc_record("http://b/", GOOD, n=2),
    ]
    reading, used = peak(lambda: read(warc_gz(records)))
    assert used < MOST_BYTES
    assert reading.payloads == [None, GOOD]
    assert "expands to more than 1000 times its encoded bytes" in reading.errors[0]


def test_encodings_on_top_of_each_other_count_together():
    once = gzip.compress(ZEROS, 1)
    twice = gzip.compress(once, 9)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\n\r\n"
    assert len(once) * 1000 > len(ZEROS) > len(twice) * 1000
    with pytest.raises(PayloadError, match="expands to more than 1000 times"):
        parse_response(head + twice, PAYLOAD_BYTES)


def test_what_stays_small_may_expand_as_it_likes():
    page = bytes(1_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n"
    packed = brotli.compress(page)
    assert len(page) > len(packed) * 1000
    assert parse_response(head + packed, PAYLOAD_BYTES).body == page


def test_lines_end_where_the_stream_becomes_a_bomb(read):
    line = b'{"text": "a line that is read"}\n'
    data = zstd(line) + zstd(b'{"text": "' + ZEROS + b'"}\n' + line)
    reading, used = peak(lambda: read(data, name="a.jsonl.zst"))
    assert used < MOST_BYTES
    assert reading.payloads[0] == b"a line that is read"
    assert "expands to more than 1000 times" in reading.errors[-1]


def test_a_row_group_that_is_a_bomb_fails_and_the_next_is_read(read):
    file = io.BytesIO()
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=False) as writer:
        writer.write_table(pa.table({"text": ["0" * 10_000_000]}, schema=schema))
        writer.write_table(pa.table({"text": ["a row that is read"]}, schema=schema))
    assert len(file.getvalue()) < 12_000
    reading, used = peak(lambda: read(file.getvalue(), name="a.parquet"))
    assert used < MOST_BYTES
    assert reading.payloads == [None, b"a row that is read"]
    assert "row group 0 expands to more than 1000 times" in reading.errors[0]
