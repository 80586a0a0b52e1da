"""Write WARC records byte by byte, sound ones and damaged ones, the same bytes at every call.

Written by hand instead of with a WARC library, because half of what the sample needs (half a gzip
stream, a length that lies, a member with wrong bytes) is what a library refuses to write.
Layout: WARC 1.0 (ISO 28500:2017), one gzip member a record, as Common Crawl publishes.
"""

import base64
import hashlib
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Any

CRLF = b"\r\n"


def deflate(data: bytes, wbits: int = 31) -> bytes:
    """A stream of zlib: gzip with no name and no time (31), zlib (15) or raw deflate (-15)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return packer.compress(data) + packer.flush()


def chunked(body: bytes, size: int = 4096) -> bytes:
    """Transfer-Encoding: chunked, RFC 9112 section 7.1."""
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


def http_response(status: str, headers: dict[str, str], body: bytes) -> bytes:
    """Status line, headers, blank line, body as on the wire."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return CRLF.join(line.encode() for line in lines) + CRLF + CRLF + body


@dataclass
class Archive:
    """One .warc.gz in memory, and what its records are, for the manifest."""

    name: str
    date: str
    data: bytearray = field(default_factory=bytearray)
    records: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        kind: str,
        record_type: str,
        block: bytes,
        *,
        url: str = "",
        date: str = "",
        content_type: str = "application/http; msgtype=response",
        extra: dict[str, str] | None = None,
        note: dict[str, Any] | None = None,
    ) -> str:
        """Append a record in a gzip member of its own; returns its WARC-Record-ID."""
        seed = f"{self.name} {len(self.records)} {record_type} {url}"
        record_id = f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, seed)}>"
        headers = {
            "WARC-Type": record_type,
            "WARC-Date": date or self.date,
            "WARC-Record-ID": record_id,
            "Content-Length": str(len(block)),
            "Content-Type": content_type,
            **({"WARC-Target-URI": url} if url else {}),
            **(extra or {}),
        }
        head = CRLF.join(f"{name}: {value}".encode() for name, value in headers.items())
        member = deflate(b"WARC/1.0" + CRLF + head + CRLF * 2 + block + CRLF * 2)
        note = note or {}
        if note.get("how") == "corrupt member":
            member = corrupt(member)
        elif note.get("how") == "truncated member":
            member = member[: len(member) * 2 // 3]
        self.records.append(
            {
                "archive": self.name,
                "offset": len(self.data),
                "length": len(member),
                "type": record_type,
                "kind": kind,
                "id": record_id,
                **({"url": url} if url else {}),
                **note,
            }
        )
        self.data += member
        return record_id


def corrupt(member: bytes) -> bytes:
    """A gzip member whose deflate stream breaks a third of the way: 0xff opens no valid block."""
    middle = len(member) // 3
    return member[:middle] + b"\xff" * 64 + member[middle + 64 :]


def payload_digest(body: bytes) -> str:
    """WARC-Payload-Digest as Common Crawl writes it."""
    # SHA-1 names the payload here, it protects nothing.
    return "sha1:" + base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()
