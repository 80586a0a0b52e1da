"""HTTP responses: every mistake of real servers, and the limit."""

import gzip
import random
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.extraction.archive.http import PayloadError, join_chunks, parse_response

PAGE = b"<html><body>" + b"some text, " * 500 + b"</body></html>"
LIMIT = 10**6


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


def response(body: bytes, *headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode() + body


def chunked(body: bytes, size: int = 100, end: bytes = b"0\r\n\r\n") -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(p), p) for p in parts) + end


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.0 404", 404),
        (b"HTTP/2 301 ", 301),
        (b"HTTP/1.1 99", None),
        (b"HTTP/1.1 20000 OK", None),
        (b"HTTP/1.1", None),
    ],
)
def test_status(head, status):
    assert parse_response(head + b"\r\nA: b\r\n\r\nx", LIMIT).status == status


@pytest.mark.parametrize(
    "header",
    [
        b"HTTP/1.1 200 OK\nContent-Type: TEXT/HTML\n\n",
        b"HTTP/1.1 200 OK\r\ncontent-TYPE :text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \xff\r\nnonsense\r\nContent-Type:\r\n text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: image/png\r\n\r\n",
    ],
)
def test_fields_are_read_leniently(header):
    read = parse_response(header + b"body", LIMIT)
    assert (read.content_type, read.body) == ("text/html", b"body")


def test_header_without_end_has_no_body():
    assert parse_response(b"HTTP/1.1 200 OK\r\nContent-Type: a/b", LIMIT).body == b""


@pytest.mark.parametrize("name", sorted(ENCODERS))
@pytest.mark.parametrize("transfer", ["identity", "chunked"])
def test_encodings(name, transfer):
    body = ENCODERS[name](PAGE)
    body = chunked(body) if transfer == "chunked" else body
    fields = [f"Content-Encoding: {name.upper()}", f"Transfer-Encoding: {transfer}"]
    assert parse_response(response(body, *fields), LIMIT).body == PAGE


def test_raw_deflate_and_several_in_a_row():
    block = response(raw_deflate(PAGE), "Content-Encoding: deflate")
    assert parse_response(block, LIMIT).body == PAGE
    body = brotli.compress(zstandard.compress(gzip.compress(PAGE)))
    block = response(body, "Content-Encoding: gzip, zstd,br")
    assert parse_response(block, LIMIT).body == PAGE
    block = response(gzip.compress(PAGE[:90]) + gzip.compress(PAGE[90:]), "Content-Encoding: gzip")
    assert parse_response(block, LIMIT).body == PAGE


@pytest.mark.parametrize("name", [*ENCODERS, "identity", "utf-8", "none", ""])
def test_a_body_that_was_decoded_already_stands(name):
    assert parse_response(response(PAGE, f"Content-Encoding: {name}"), LIMIT).body == PAGE


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd"])
def test_a_body_cut_short_keeps_its_beginning(name):
    page = random.Random(1).randbytes(300_000)
    whole = ENCODERS[name](page)
    body = parse_response(response(whole[:-20], f"Content-Encoding: {name}"), LIMIT).body
    assert len(body) > 200_000
    assert page.startswith(body)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_the_limit_is_of_the_decoded_body(name):
    block = response(ENCODERS[name](PAGE), f"Content-Encoding: {name}")
    assert parse_response(block, len(PAGE)).body == PAGE
    with pytest.raises(PayloadError, match=f"larger than {len(PAGE) - 1} bytes"):
        parse_response(block, len(PAGE) - 1)


def test_a_bomb_is_refused():
    bomb = gzip.compress(bytes(10**8))
    with pytest.raises(PayloadError, match="larger"):
        parse_response(response(bomb, "Content-Encoding: gzip"), LIMIT)
    with pytest.raises(PayloadError, match="more than 4"):
        parse_response(response(b"", "Content-Encoding: gzip,gzip,gzip,gzip,gzip"), LIMIT)


@pytest.mark.parametrize(
    ("body", "joined"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", b"abc"),
        (b"3\nabc\n0\n\n", b"abc"),
        (b"<html>not chunked", b"<html>not chunked"),
        (b"3\r\nabc\r\nXX\r\nrest", b"abcXX\r\nrest"),
        (b"ff\r\ncut short", b"cut short"),
        (b"", b""),
    ],
)
def test_chunks(body, joined):
    assert join_chunks(body) == joined


@given(st.binary(max_size=500), st.integers(1, 50))
def test_chunks_of_any_size_join(body, size):
    assert join_chunks(chunked(body, size)) == body


@given(st.binary(max_size=300), st.sampled_from([*ENCODERS, "chunked"]))
def test_any_bytes_give_a_body(body, name):
    fields = [f"Content-Encoding: {name}", "Transfer-Encoding: chunked"]
    assert isinstance(parse_response(response(body, *fields), 10**5).body, bytes)
