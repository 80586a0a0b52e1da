"""WARC records (ISO 28500, WARC 1.1) from a cursor, and the rows that they give.

Read as leniently as fastwarc and warcio read where a payload can be had. What cannot be read is a
row too: it names the place and the cause, so that nothing is lost in silence.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from services.extraction.archive.cursor import Cursor
from services.extraction.archive.fields import HEADER_END, parse_fields
from services.extraction.archive.http import (
    PayloadError,
    is_http,
    parse_head,
    parse_response,
    too_large,
)
from services.extraction.archive.members import WARC_MAGIC, Codec, DamageError, Gap, Member, chain
from services.extraction.archive.row import DAMAGED, GARBAGE, Row, document_id
from services.extraction.archive.window import Window

_ROW_TYPES: Final = frozenset({"response", "resource", "conversion", "revisit"})
_TYPES: Final = _ROW_TYPES | {"warcinfo", "request", "metadata", "continuation"}
#: A record's first line, after the end of another line: where reading goes on after garbage.
_NEXT_RECORD: Final = re.compile(rb"(?i)(?<=\n)WARC/[01]\.[0-9]{1,3}[ \t]{0,8}\r?\n")
_HEADER_BYTES: Final = 2**20
#: HTTP header and chunk headers come on top of the payload.
_FRAMING_BYTES: Final = 2**20
#: Characters of a URL, id, date or content type that are kept; hostile headers are long.
_FIELD_CHARACTERS: Final = 16_384


@dataclass
class Record:
    """A record at inflated bytes [start, end) of its member, or the fault in its place."""

    start: int
    end: int = 0
    type: str = "unknown"
    fields: dict[str, str] = field(default_factory=dict)
    block: bytes | None = None
    error: str | None = None


def read_warc(
    archive: str,
    window: Window,
    codec: Codec | None,
    span: tuple[int, int],
    limit: int,
    counts: Counter[str],
) -> Iterator[Row]:
    """Rows of the records whose member starts in `span`; without a codec, of the whole archive.

    `limit` bounds a payload in bytes; every record is counted in `counts` by its type.
    """
    if codec is None:
        plain = PlainMember(window)
        yield from _member_rows(
            archive, plain, Cursor(plain.pieces()), limit, window.expansion, counts
        )
        return
    for found in chain(window, codec, *span):
        if isinstance(found, Gap):
            if not window.is_zero(found.offset, found.end):
                counts[GARBAGE] += 1
                yield _gap_row(archive, found)
        else:
            yield from _member_rows(archive, *found, limit, window.expansion, counts)


def _gap_row(archive: str, gap: Gap) -> Row:
    length = gap.end - gap.offset
    return Row(
        document_id(archive, gap.offset),
        gap.offset,
        length,
        record_type=GARBAGE,
        error=f"at {gap.offset}: {length} bytes are no record: {gap.cause}",
    )


class PlainMember:
    """An uncompressed archive, as if it were a member that inflates to itself."""

    def __init__(self, window: Window) -> None:
        self.offset = 0
        self.reached = 0
        self.end: int | None = None
        self._window = window

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the archive."""
        while piece := self._window.get(self.reached, 2**18):
            self.reached += len(piece)
            yield piece
        self.end = self.reached


def _member_rows(
    archive: str,
    member: Member,
    cursor: Cursor,
    limit: int,
    expansion: int,
    counts: Counter[str],
) -> Iterator[Row]:
    is_plain = isinstance(member, PlainMember)
    for record in read_records(cursor, limit + _FRAMING_BYTES):
        if is_plain:
            offset, inner, length = record.start, 0, record.end - record.start
        else:
            offset, inner, length = member.offset, record.start, member.reached
        counts[record.type] += 1
        if record.type in _ROW_TYPES or record.error:
            document = document_id(archive, offset, inner)
            row = Row(document, offset, length, error=record.error)
            if record.type in (DAMAGED, GARBAGE):
                row.error = f"at {document.rpartition(':')[2]}: {record.error}"
            _fill(row, record, limit, expansion)
            yield row


def read_records(cursor: Cursor, limit: int) -> Iterator[Record]:
    """Every record up to the end of the data, garbage and damage in their place.

    A block of more than `limit` bytes is passed over. A record is handed out once what follows it
    has been seen: a checksum that is wrong then still speaks against it.
    """
    while True:
        record = Record(cursor.position)
        try:
            cursor.skip_blank()
            record.start = cursor.position
            if not cursor.peek(1):
                return
            _read_record(cursor, record, limit)
            cursor.skip_blank()
        except DamageError as damage:
            record.type, record.block, record.error = DAMAGED, None, str(damage)
            record.end = cursor.position
            yield record
            return
        record.end = cursor.position
        yield record


def _read_record(cursor: Cursor, record: Record, limit: int) -> None:
    is_record = cursor.peek(len(WARC_MAGIC)).upper() == WARC_MAGIC
    head = cursor.take_through(HEADER_END, _HEADER_BYTES) if is_record else None
    if head is None:
        cursor.skip(1)
        cursor.skip_to(_NEXT_RECORD)
        record.type = GARBAGE
        record.error = f"{cursor.position - record.start} bytes are no record"
        return
    record.fields = parse_fields(head.split(b"\n")[1:])
    declared = record.fields.get("warc-type", "").lower()
    record.type = declared if declared in _TYPES else "unknown"
    size = _block_bytes(record)
    if record.type not in _ROW_TYPES or size > limit:
        had = cursor.skip(size)
    else:
        record.block = cursor.take(size)
        had = len(record.block)
    if had < size:
        record.type, record.block = DAMAGED, None
        record.error = f"the record ends after {had} of {size} bytes"


def _block_bytes(record: Record) -> int:
    """Content-Length. Where there is none the block is empty, as for fastwarc and warcio.

    What it held then shows as garbage.
    """
    declared = record.fields.get("content-length", "")
    if re.fullmatch("[0-9]{1,15}", declared, re.ASCII):
        return int(declared)
    if record.type in _ROW_TYPES:
        record.error = f"Content-Length {declared!r} is no number"[:200]
    return 0


def _fill(row: Row, record: Record, limit: int, expansion: int) -> None:
    """Header fields and payload of a record into its row."""
    fields = record.fields
    row.record_type = record.type
    row.record_id = _field(fields, "warc-record-id")
    # wget up to 1.20 writes the URI in angle brackets.
    row.url = (_field(fields, "warc-target-uri") or "").strip("<>") or None
    row.date = _field(fields, "warc-date")
    row.content_type = (_field(fields, "content-type") or "").lower() or None
    if row.error:
        return
    if record.block is None:
        row.error = str(too_large(limit))
    elif record.type == "revisit":
        if is_http(record.block):
            row.http_status, inner, _ = parse_head(record.block)
            row.content_type = (_field(inner, "content-type") or "").lower() or None
    else:
        _payload(row, record.block, limit, expansion)


def _payload(row: Row, block: bytes, limit: int, expansion: int) -> None:
    is_message = row.record_type == "response" or "application/http" in (row.content_type or "")
    if not (is_message and is_http(block)):
        row.payload = block if len(block) <= limit else None
        row.error = None if len(block) <= limit else str(too_large(limit))
        return
    try:
        response = parse_response(block, limit, expansion)
    except PayloadError as error:
        row.error = str(error)
        return
    row.http_status = response.status
    row.content_type = (response.content_type or "")[:_FIELD_CHARACTERS] or None
    row.payload = response.body


def _field(fields: dict[str, str], name: str) -> str | None:
    return fields.get(name, "")[:_FIELD_CHARACTERS] or None
