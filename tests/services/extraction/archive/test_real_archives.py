"""Every archive of the test folders of other tools is read to its end, or refused by name."""

import hashlib
import io
import json
from collections import Counter

import pytest
from fastwarc.warc import ArchiveIterator

from shared.errors import UsageError

#: Archives of which fastwarc and warcio agree on the records, and we do not: why.
DEVIATIONS = {
    **dict.fromkeys(
        [f"malformed/webarchive__invalid-warcheaderfieldpolicy-{n}.warc" for n in (14, 15, 16)],
        "Content-Length is 693 and there is no block: damaged for us",
    ),
    **dict.fromkeys(
        [f"malformed/webarchive__invalid-warcheaderfieldpolicy-{n}.warc" for n in (17, 3, 4, 5, 6)],
        "a Content-Length above 0, and no block: damaged for us",
    ),
    "malformed/pywb__missing-status-text.warc": "Content-Length 107, and no block",
    "malformed/chatnoir-resiliparse__clipped.warc.gz": "the gzip member has no end",
}

#: Archives in which warcio finds one record that is none.
FALSE_RECORDS = {
    "malformed/ipwb__broken.warc": "an HTTP header, taken for an ARC record",
    "malformed/webarchive__invalid-warcheaderversion-20.warc": "one empty line",
}


def test_samples_are_read_as_warcio_and_fastwarc_read_them(data_path, read):
    folder = data_path / "warc" / "samples"
    deviations, compared = {}, 0
    for sample in json.loads((folder / "samples_index.json").read_text()):
        name = sample["file"]
        data = (folder / name).read_bytes()
        if ".arc" in name or name.endswith((".wacz", ".lz4")):
            with pytest.raises(UsageError, match=r"ARC|zip|lz4|none of"):
                read(data, name)
            continue
        reading = read(data, name)
        counts = dict(reading.records)
        theirs = [sample[tool] for tool in ("warcio", "fastwarc")]
        if theirs[0]["records"] == theirs[1]["records"] and not theirs[0]["error"]:
            compared += 1
            if counts != {k: v for k, v in theirs[0]["records"].items() if v}:
                deviations[name] = counts
        else:
            # Where they disagree we find at least what the better of the two finds.
            most = max(sum(t["records"].values()) for t in theirs)
            assert sum(counts.values()) >= most - (name in FALSE_RECORDS), name
    assert compared > 80
    assert set(deviations) == set(DEVIATIONS), deviations


def test_every_cut_of_a_sample_gives_the_same_rows(data_path, read):
    folder = data_path / "warc" / "samples"
    paths = [p for p in sorted(folder.rglob("*")) if ".warc" in p.name and p.suffix != ".lz4"]
    checked = 0
    for path in paths:
        data = path.read_bytes()
        if not 0 < len(data) < 60_000:
            continue
        whole = read(data, path.name)
        step = max(97, len(data) // 11)
        parts = [
            read(data, path.name, start, min(start + step, len(data)))
            for start in range(0, len(data), step)
        ]
        assert [r for p in parts for r in p.rows] == whole.rows, path.name
        assert sum((p.records for p in parts), Counter()) == whole.records, path.name
        checked += 1
    assert checked > 100


ENCODED = [
    "enc-identity",
    "enc-gzip",
    "enc-deflate-zlib",
    "enc-deflate-raw",
    "enc-br",
    "enc-zstd",
]


@pytest.fixture
def variant(data_path):
    return lambda name: (data_path / "warc" / "variants" / name).read_bytes()


@pytest.fixture
def plain(variant, read):
    reading = read(variant("plain.warc"), "plain.warc")
    assert reading.records["response"] == 24
    assert reading.errors == []
    return reading


@pytest.mark.parametrize("name", [f"{n}{c}" for n in ENCODED for c in ("", "-chunked")])
def test_http_encodings_are_undone(variant, read, plain, name):
    reading = read(variant(f"{name}.warc.gz"))
    assert reading.errors == []
    assert reading.payloads == plain.payloads


@pytest.mark.parametrize(
    "name", ["one-gzip-member.warc.gz", "plain.warc.zst", "enc-identity.warc.gz"]
)
def test_containers_hold_the_same_records(variant, read, plain, name):
    reading = read(variant(name), name)
    assert reading.errors == []
    assert reading.payloads == plain.payloads
    assert reading.table["url"] == plain.table["url"]


@pytest.fixture(scope="module")
def manifest(open_mini):
    """What is known of each page of the open-* archives, by record id."""
    text = open_mini.with_name("manifest.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["record_id"]: line for line in lines}


def test_payloads_of_variants_are_the_pages_they_wrap(variant, read, manifest):
    data = variant("enc-br-chunked.warc.gz")
    page_of = {
        r.headers["WARC-Record-ID"]: r.headers.get("WARC-Refers-To-Page")
        for r in ArchiveIterator(io.BytesIO(data))
    }
    for row in read(data).rows:
        page = manifest[page_of[row["record_id"]]]
        assert hashlib.sha256(row["payload"]).hexdigest() == page["sha256"]


@pytest.mark.parametrize("name", ["open-mini.warc.gz", "open-zh-00000.warc.gz"])
def test_offsets_lengths_and_payloads_are_those_of_the_manifest(data_path, read, manifest, name):
    rows = read((data_path / "warc/open" / name).read_bytes(), name).rows
    listed = [m for m in manifest.values() if m["file"] == name]
    assert len(rows) >= len(listed)
    for row in rows:
        page = manifest[row["record_id"]]
        assert hashlib.sha256(row["payload"]).hexdigest() == page["sha256"]
        if page["file"] == name:
            assert (row["offset"], row["length"]) == (page["offset"], page["length"])
            assert row["document"] == f"{name}:{page['offset']}"


def test_truncated_archive_keeps_what_is_whole(variant, read, plain):
    reading = read(variant("truncated-mid-member.warc.gz"))
    whole = reading.records["response"]
    assert 0 < whole < 24
    assert reading.payloads[:whole] == plain.payloads[:whole]
    assert reading.records["damaged"] == 1
    assert "ends within a gzip member" in reading.errors[0]


def test_reading_goes_on_after_a_corrupt_member(variant, read, plain):
    data = variant("corrupt-bytes-mid.warc.gz")
    reading = read(data)
    assert reading.records["damaged"] == 1
    assert reading.records["response"] == 23
    good = [p for p in reading.payloads if p is not None]
    assert good == [p for p in plain.payloads if p in good]
    (bad,) = [r for r in reading.rows if r["error"]]
    assert bad["url"].startswith("https://")
    assert f"at {bad['offset']}: damaged after byte" in bad["error"]


def test_trailing_garbage_is_a_row(variant, read, plain):
    data = variant("trailing-garbage.warc.gz")
    reading = read(data)
    assert reading.payloads[:24] == plain.payloads
    assert reading.records["garbage"] == 1
    last = reading.rows[-1]
    assert last["offset"] + last["length"] == len(data)


def test_empty_archive_has_no_rows(variant, read):
    reading = read(variant("empty.warc.gz"))
    assert reading.rows == []
    assert not reading.records
