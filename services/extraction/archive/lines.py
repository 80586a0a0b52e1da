"""JSONL: a document a line, plain or compressed as one gzip or zstd stream.

A plain file is split at lines: a shard owns the lines that start in its range. A compressed one is
a single stream to its lines, so the shard that starts at 0 reads it whole.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from services.extraction.archive.cursor import Cursor
from services.extraction.archive.members import Codec, DamageError
from services.extraction.archive.row import DAMAGED, Row, document_id
from services.extraction.archive.window import Window

LINE: Final = "line"
#: Fields that name a document, tried in order.
ID_FIELDS: Final = ("id",)
URL_FIELDS: Final = ("url",)
DATE_FIELDS: Final = ("date", "timestamp")
#: What the payload is: the text field in UTF-8.
TEXT_TYPE: Final = "text/plain; charset=utf-8"

_LINE_END: Final = re.compile(rb"\n")
_READ_BYTES: Final = 2**18
#: JSON may write a character of three bytes in six, and has other fields beside the text.
_LINE_BYTES_A_TEXT_BYTE: Final = 4
_MARK: Final = b"\xef\xbb\xbf"


def read_lines(
    archive: str,
    window: Window,
    codec: Codec | None,
    span: tuple[int, int],
    limit: int,
    text_fields: tuple[str, ...],
    counts: Counter[str],
) -> Iterator[Row]:
    """Rows of the lines that start in `span`; all lines for the span at 0 of a compressed file.

    `limit` bounds a text in bytes of UTF-8.
    """
    start, end = span
    if codec is not None:
        if start > 0:
            return
        stream: _Stream | _Plain = _Stream(window, codec)
        end = -1
    else:
        stream = _Plain(window, start)
    cursor = Cursor(stream.pieces())
    # Whether a line starts at `start` shows in the byte before it.
    if start > 0 and window.get(start - 1, 1) != b"\n":
        cursor.skip_to(_LINE_END)
        cursor.skip(1)
    try:
        for line, at in _lines(cursor, start, end, limit * _LINE_BYTES_A_TEXT_BYTE):
            if line is not None and not line.strip().removeprefix(_MARK):
                continue
            if codec is None:
                row = Row(document_id(archive, at), at, start + cursor.position - at)
            else:
                row = Row(document_id(archive, 0, at), 0, stream.reached)
            row.record_type = LINE
            counts[LINE] += 1
            _fill(row, line, text_fields, limit)
            yield row
    except DamageError as damage:
        yield _broken(archive, window, stream.reached, str(damage), counts)


def _lines(cursor: Cursor, start: int, end: int, limit: int) -> Iterator[tuple[bytes | None, int]]:
    """(line, where it starts); None for a line of more than `limit` bytes. `end` -1: all."""
    while cursor.peek(1) and (end < 0 or start + cursor.position < end):
        at = start + cursor.position
        line = cursor.take_through(_LINE_END, limit)
        if line is None:
            cursor.skip_to(_LINE_END)
            cursor.skip(1)
        yield line, at


class _Plain:
    """An uncompressed file from a byte on."""

    def __init__(self, window: Window, start: int) -> None:
        self.reached = start
        self._window = window

    def pieces(self) -> Iterator[bytes]:
        while piece := self._window.get(self.reached, _READ_BYTES):
            self.reached += len(piece)
            yield piece


class _Stream:
    """All members of a compressed file as one stream of bytes."""

    def __init__(self, window: Window, codec: Codec) -> None:
        self.reached = 0
        self._window = window
        self._codec = codec

    def pieces(self) -> Iterator[bytes]:
        position = 0
        while position < self._window.size:
            member = self._codec.open(position)
            for piece in member.pieces():
                self.reached = position + member.reached
                yield piece
            if member.end is None:
                raise DamageError(position, "the member has no end")
            position = self.reached = member.end


def _broken(archive: str, window: Window, reached: int, cause: str, counts: Counter[str]) -> Row:
    """The row for a stream that cannot be inflated any further: no line after it can be found."""
    counts[DAMAGED] += 1
    rest = window.size - reached
    return Row(
        document_id(archive, reached),
        reached,
        rest,
        record_type=DAMAGED,
        error=f"{cause}; the last {rest} bytes of the archive were not read",
    )


def _fill(row: Row, line: bytes | None, text_fields: tuple[str, ...], limit: int) -> None:
    if line is None:
        row.error = f"line longer than {limit * _LINE_BYTES_A_TEXT_BYTE} bytes"
        return
    try:
        value = json.loads(line.removeprefix(_MARK))
    except (ValueError, RecursionError) as error:
        row.error = f"not JSON: {error}"
        return
    if not isinstance(value, dict):
        row.error = "not a JSON object"
        return
    fill_document(row, value, text_fields, limit)


def fill_document(
    row: Row, value: dict[str, Any], text_fields: tuple[str, ...], limit: int
) -> None:
    """Fields of a JSON object or a table's row into `row`; its text becomes the payload."""
    row.record_id = _first(value, ID_FIELDS)
    row.url = _first(value, URL_FIELDS)
    row.date = _first(value, DATE_FIELDS)
    row.content_type = TEXT_TYPE
    text = next((value[name] for name in text_fields if value.get(name) is not None), None)
    if not isinstance(text, str):
        row.error = f"no text in the fields {', '.join(text_fields)}"
        return
    payload = _well_formed(text).encode()
    if len(payload) > limit:
        row.error = f"payload larger than {limit} bytes"
        return
    row.payload = payload


def _first(value: dict[str, Any], names: tuple[str, ...]) -> str | None:
    found = next((value[name] for name in names if value.get(name) is not None), None)
    return None if found is None else _well_formed(str(found))


def _well_formed(text: str) -> str:
    """`text` with U+FFFD for each lone surrogate, which JSON can write and UTF-8 cannot."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
