"""The spine: what each field says, what is refused, what a fault looks like."""

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from services.extraction.steps.records_v1 import RecordsParams, records_v1
from shared.errors import UsageError
from shared.shards import ShardReader

HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; Charset=UTF-8\r\n\r\n"


def warc(block: bytes, kind: str = "response", *fields: str, length: int | None = None) -> bytes:
    size = len(block) if length is None else length
    head = ["WARC/1.0", f"WARC-Type: {kind}", *fields, f"Content-Length: {size}", "", ""]
    return "\r\n".join(head).encode() + block + b"\r\n\r\n"


def test_every_field_of_a_response(read):
    data = warc(
        HTTP + b"<p>hi",
        "Response",
        "WARC-Record-ID: <urn:x:1>",
        "WARC-Target-URI: <http://example.org/a b>",
        "warc-date: 2024-01-01T00:00:00Z",
        "Content-Type: application/http; msgtype=response",
    )
    archive = gzip.compress(data)
    (row,) = read(b"".join([gzip.compress(warc(b"", "warcinfo")), archive])).rows
    offset = len(gzip.compress(warc(b"", "warcinfo")))
    assert row == {
        "document": f"a.warc.gz:{offset}",
        "offset": offset,
        "length": len(archive),
        "record_id": "<urn:x:1>",
        "url": "http://example.org/a b",
        "date": "2024-01-01T00:00:00Z",
        "record_type": "response",
        "http_status": 200,
        "content_type": "text/html; charset=utf-8",
        "media_type": "text/html",
        "payload_digest": blake3(b"<p>hi").digest(16).hex(),
        "payload_bytes": 5,
        "payload": b"<p>hi",
        "error": None,
    }


def test_records_in_one_member_have_ids_of_their_own(read):
    first, second = warc(HTTP + b"1"), warc(HTTP + b"2")
    rows = read(gzip.compress(first + second)).rows
    assert [r["document"] for r in rows] == ["a.warc.gz:0", f"a.warc.gz:0+{len(first)}"]


@pytest.mark.parametrize(
    ("kind", "block", "status", "content_type", "payload"),
    [
        ("response", b"20240101 example.org A 1.2.3.4", None, "text/dns", b"20240101 example.org A 1.2.3.4"),
        ("resource", b"HTTP/1.1 is described here", None, "text/dns", b"HTTP/1.1 is described here"),
        ("conversion", b"plain text", None, "text/dns", b"plain text"),
        ("revisit", HTTP, 200, "text/html; charset=utf-8", None),
        ("revisit", b"", None, "text/dns", None),
        ("response", b"HTTP/1.1 304 Not Modified\r\n\r\n", 304, None, b""),
    ],
)  # fmt: skip
def test_record_types(read, kind, block, status, content_type, payload):
    (row,) = read(warc(block, kind, "Content-Type: Text/DNS")).rows
    assert (row["record_type"], row["http_status"]) == (kind, status)
    assert (row["content_type"], row["payload"], row["error"]) == (content_type, payload, None)
    assert (row["payload_digest"] is None) == (payload is None)


def test_other_records_are_counted_only(read):
    kinds = ["warcinfo", "request", "metadata", "continuation", "monkeys", "metadata"]
    reading = read(b"".join(warc(b"x", kind) for kind in kinds))
    assert reading.rows == []
    assert reading.records == {
        "warcinfo": 1, "request": 1, "metadata": 2, "continuation": 1, "unknown": 1
    }  # fmt: skip


@pytest.mark.parametrize(("limit", "fits"), [(1000, True), (999, False)])
@pytest.mark.parametrize("head", [HTTP, b""])
def test_payload_limit(read, limit, fits, head):
    reading = read(warc(head + b"x" * 1000) + warc(HTTP + b"y"), max_payload_bytes=limit)
    first, second = reading.rows
    assert (first["error"] is None) == fits
    assert fits or first["error"] == "payload larger than 999 bytes"
    assert second["payload"] == b"y"
    assert reading.records == {"response": 2}


def test_a_block_beyond_the_limit_is_passed_over(read):
    big = warc(HTTP + bytes(3 * 2**20), "response", "WARC-Target-URI: http://big.org/")
    first, second = read(gzip.compress(big + warc(HTTP + b"y")), max_payload_bytes=100).rows
    assert (first["url"], first["error"]) == ("http://big.org/", "payload larger than 100 bytes")
    assert second["payload"] == b"y"


@pytest.mark.parametrize(
    ("data", "cause", "kind"),
    [
        (warc(b"short", length=99), "at 0: the record ends after 9 of 99 bytes", "damaged"),
        (warc(b"x") + b"junk", f"at {len(warc(b'x'))}: 4 bytes are no record", "garbage"),
        (b"WARC/1.0\r\nWARC-Type: response\r\n\r\n", "Content-Length '' is no number", "response"),
        (warc(b"", length=-5), "Content-Length '-5' is no number", "response"),
        (b"WARC/1.0\r\nX: " + b"y" * 2**21, f"at 0: {2**21 + 13} bytes are no record", "garbage"),
    ],
)
def test_faults_name_place_and_cause(read, data, cause, kind):
    reading = read(data)
    assert reading.errors == [cause]
    assert reading.rows[-1]["record_type"] == kind
    assert reading.records[kind] == 1


def test_headers_of_other_charsets_and_line_ends(read):
    data = (
        b"warc/1.0\nWARC-Type: response\nWARC-Target-URI: http://e.org/\xff\nContent-Length: 1\n\nx"
    )
    (row,) = read(data + b"\n\n").rows
    assert (row["url"], row["payload"]) == ("http://e.org/\u00ff", b"x")


def test_tables_are_bounded():
    data = b"".join(warc(HTTP + bytes(10**6)) for _ in range(20)) + warc(HTTP + b"z") * 100
    fetch = ShardReader("a.warc", len(data), 0, len(data), lambda o, n: data[o : o + n])
    rows = [t.num_rows for t in records_v1(fetch, RecordsParams())]
    assert sum(rows) == 120
    assert rows == [5, 5, 5, 5, 64, 36]


def lines(*values) -> bytes:
    return b"\n".join(json.dumps(v).encode() for v in values)


def test_json_lines(read):
    data = lines(
        {"text": "one \ud83d\ude00", "url": "u", "id": 7, "timestamp": "t"},
        {"text": None, "content": "two", "date": "d"},
        {"raw_content": "three \ud800"},
    )
    rows = read(b"\xef\xbb\xbf" + data, "a.jsonl").rows
    assert [r["payload"].decode() for r in rows] == ["one \U0001f600", "two", "three \ufffd"]
    assert [r["record_id"] for r in rows] == ["7", None, None]
    assert [r["date"] for r in rows] == ["t", "d", None]
    assert rows[0]["content_type"] == "text/plain; charset=utf-8"
    assert {r["record_type"] for r in rows} == {"line"}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{nonsense", "not JSON: "),
        (b"[1]", "not a JSON object"),
        (b'{"text": 5}', "no text in the fields text, content, raw_content"),
        (b'{"other": "x"}', "no text in the fields text, content, raw_content"),
        (b'{"text": "' + b"x" * 101 + b'"}', "payload larger than 100 bytes"),
        (b'{"text": "' + b"x" * 5000 + b'"}', "line longer than 400 bytes"),
        (b'{"text": "\xff"}', "not JSON: "),
    ],
)
def test_a_bad_line_is_a_row(read, line, error):
    good = lines({"text": "good"})
    for archive in (b"\n".join([good, line, good]), b"\n".join([good, line])):
        rows = read(archive, "a.jsonl", max_payload_bytes=100).rows
        assert rows[1]["error"].startswith(error)
        assert rows[-1 if archive.endswith(good) else 0]["payload"] == b"good"


def test_json_nested_too_deep_is_a_row(read):
    (row,) = read(b'{"text": ' + b"[" * 200_000, "a.jsonl").rows
    assert "recursion" in row["error"]


def test_parquet_columns_by_parameter(read):
    out = io.BytesIO()
    pq.write_table(pa.table({"body": ["a", None], "id": [1, 2], "url": ["x", "y"]}), out)
    rows = read(out.getvalue(), "a.parquet", text_fields=("body",)).rows
    assert [(r["record_id"], r["url"], r["payload"]) for r in rows] == [
        ("1", "x", b"a"),
        ("2", "y", None),
    ]
    assert rows[1]["error"] == "no text in the fields body"
    assert [r["document"] for r in rows] == ["a.parquet:4", "a.parquet:4+1"]
    with pytest.raises(UsageError, match=r"columns body, id, url, none of text"):
        read(out.getvalue(), "a.parquet")
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        read(out.getvalue()[:-20], "a.parquet")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"PK\x03\x04", "WACZ"),
        (b"filedesc://x", "ARC file"),
        (gzip.compress(b"filedesc://x", mtime=0), "ARC file"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"BZh9", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"%PDF-1.7", "begins with b'%PDF-1.7"),
        (gzip.compress(b"hello", mtime=0), "begins with b'hello'"),
    ],
    ids=["wacz", "arc", "arc in gzip", "lz4", "bzip2", "xz", "pdf", "text in gzip"],
)
@pytest.mark.parametrize("start", [0, 5])
def test_other_formats_are_refused_by_every_shard(read, head, message, start):
    with pytest.raises(UsageError, match=message) as caught:
        read(head + bytes(50), "crawl.bin", start)
    assert "crawl.bin" in str(caught.value)
