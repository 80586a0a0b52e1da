"""The payload of an HTTP response: header, chunks, content encodings.

Real crawls hold every mistake: chunks that are none, pages that were decoded already but keep their
`Content-Encoding`, bodies cut short. What a browser would show is taken; the raw body stands where
a declaration turns out to be wrong.
"""

import re
import zlib
from dataclasses import dataclass
from typing import Final

from services.extraction.archive.fields import HEADER_END, parse_fields
from services.extraction.archive.window import most_output
from shared.shards import DEFAULT_EXPANSION

_STATUS: Final = re.compile(rb"HTTP/[0-9.]+[ \t]+([0-9]{3})(?![0-9])")
_CHUNK: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
#: Encodings on top of each other; each may expand up to the limit, so their number is bounded.
_MOST_ENCODINGS: Final = 4
_RAW_DEFLATE: Final = -15
_ZLIB: Final = 15
_GZIP: Final = 31
_PIECE_BYTES: Final = 4096
#: Largest window a zstd body may demand; RFC 9659 allows 8 MiB on the web, servers are careless.
_ZSTD_WINDOW_BYTES: Final = 2**27


class PayloadError(Exception):
    """Why the payload cannot be had; becomes the row's error."""


class _UndecodableError(Exception):
    """The bytes are not what their Content-Encoding says."""


@dataclass(frozen=True)
class Response:
    """An HTTP response: its status, its Content-Type in lower case, its decoded body."""

    status: int | None
    content_type: str | None
    body: bytes


def is_http(block: bytes) -> bool:
    """Whether a record's block begins with an HTTP status line."""
    return block.startswith(b"HTTP/")


def parse_head(block: bytes) -> tuple[int | None, dict[str, str], int]:
    """Status code, header fields, and where the body starts."""
    found = HEADER_END.search(block)
    stop = found.end() if found else len(block)
    first, *rest = block[:stop].split(b"\n")
    status = _STATUS.match(first)
    return int(status[1]) if status else None, parse_fields(rest), stop


def parse_response(block: bytes, limit: int, expansion: int = DEFAULT_EXPANSION) -> Response:
    """Parse a response whose decoded body has at most `limit` bytes; raises PayloadError.

    Neither may the body expand more than `expansion` times.
    """
    status, fields, stop = parse_head(block)
    body = block[stop:]
    if "chunked" in fields.get("transfer-encoding", "").lower():
        body = join_chunks(body)
    names = [n.strip().lower() for n in fields.get("content-encoding", "").split(",")]
    body = decode_content(body, names, limit, expansion)
    if len(body) > limit:
        raise too_large(limit)
    return Response(status, fields.get("content-type", "").lower() or None, body)


def too_large(limit: int) -> PayloadError:
    """The error of a payload beyond the limit."""
    return PayloadError(f"payload larger than {limit} bytes")


def _expands(expansion: int) -> PayloadError:
    return PayloadError(f"payload expands to more than {expansion} times its encoded bytes")


def join_chunks(body: bytes) -> bytes:
    """The body without its chunk headers (RFC 9112, section 7.1); trailers are dropped.

    From the first header that is none the rest is taken as it is, as warcio does: a body that was
    joined before it was archived comes back unchanged, one that was cut short keeps its data.
    """
    parts, position = [], 0
    while position < len(body):
        header = _CHUNK.match(body, position)
        if header is None:
            parts.append(body[position:])
            break
        size = int(header[1], 16)
        if size == 0:
            break
        parts.append(body[header.end() : header.end() + size])
        position = header.end() + size
        position += 2 if body.startswith(b"\r\n", position) else body.startswith(b"\n", position)
    return b"".join(parts)


def decode_content(
    body: bytes, names: list[str], limit: int, expansion: int = DEFAULT_EXPANSION
) -> bytes:
    """Undo the content encodings `names`, the last first; raises PayloadError.

    The body stands as it is from the first encoding that it is not in. All of them together may
    not expand it more than `expansion` times.
    """
    decoders = [_DECODERS[name] for name in names if name in _DECODERS]
    if len(decoders) > _MOST_ENCODINGS:
        raise PayloadError(f"more than {_MOST_ENCODINGS} content encodings")
    most = most_output(len(body), expansion)
    for decode in reversed(decoders):
        try:
            body = decode(body, min(limit, most))
        except _UndecodableError:
            break
        except PayloadError as error:
            if most < limit:
                raise _expands(expansion) from error
            raise
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    """Members one after the other; what follows the last is dropped."""
    if not body.startswith(b"\x1f\x8b"):
        raise _UndecodableError
    data, rest, whole = _inflate(body, _GZIP, limit)
    if not data and not whole:
        raise _UndecodableError
    parts = [data]
    while whole and rest.startswith(b"\x1f\x8b"):
        data, rest, whole = _inflate(rest, _GZIP, limit - sum(map(len, parts)))
        parts.append(data)
    return b"".join(parts)


def _deflate(body: bytes, limit: int) -> bytes:
    """With the zlib header that RFC 9110 demands, or without, as some servers send."""
    data, _, whole = _inflate(body, _ZLIB, limit)
    if data or whole:
        return data
    # Nothing marks raw deflate, so it counts only where it ends well.
    data, _, whole = _inflate(body, _RAW_DEFLATE, limit)
    if not whole:
        raise _UndecodableError
    return data


def _inflate(body: bytes, window_bits: int, limit: int) -> tuple[bytes, bytes, bool]:
    """(data, what follows the stream, whether the stream ended well); a fault ends the data."""
    engine = zlib.decompressobj(window_bits)
    data = bytearray()
    position = 0
    while position < len(body) and not engine.eof:
        # A piece at a time: zlib gives nothing back of a call that ends in a fault.
        piece = body[position : position + _PIECE_BYTES]
        position += len(piece)
        try:
            data += engine.decompress(piece, limit + 1 - len(data))
        except zlib.error:
            return bytes(data), b"", False
        if len(data) > limit:
            raise too_large(limit)
    return bytes(data), engine.unused_data + body[position:], engine.eof


def _brotli(body: bytes, limit: int) -> bytes:
    import brotli

    engine = brotli.Decompressor()
    try:
        data: bytes = engine.process(body, output_buffer_limit=limit + 1)
        while not engine.is_finished() and len(data) <= limit:
            more = engine.process(b"", output_buffer_limit=limit + 1 - len(data))
            if not more:
                break
            data += more
    except brotli.error as error:
        raise _UndecodableError from error
    if len(data) > limit:
        raise too_large(limit)
    return data


def _zstd(body: bytes, limit: int) -> bytes:
    import zstandard

    engine = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    data = bytearray()
    with engine.stream_reader(body, read_across_frames=True) as reader:
        while len(data) <= limit:
            try:
                piece = reader.read(2**16)
            except zstandard.ZstdError:
                break
            if not piece:
                break
            data += piece
    if not data and body:
        raise _UndecodableError
    if len(data) > limit:
        raise too_large(limit)
    return bytes(data)


_DECODERS: Final = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
