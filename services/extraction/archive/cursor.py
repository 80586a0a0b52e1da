"""A cursor over the inflated bytes of one member: look ahead, take, skip, in bounded memory."""

import re
from collections.abc import Iterator
from typing import Final

#: A pattern's match may have begun in the last bytes of the buffer; all patterns are shorter.
_OVERLAP: Final = 64
_NOT_BLANK: Final = re.compile(rb"[^\r\n \t]")


class Cursor:
    """Consumes pieces of bytes; `position` counts what was consumed.

    Every method may raise what the pieces raise (`members.DamageError`).
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.position = 0
        self._pieces = pieces
        self._buffer = bytearray()

    def peek(self, length: int) -> bytes:
        """The next `length` bytes without consuming them, fewer only at the end."""
        while len(self._buffer) < length and self._more():
            pass
        return bytes(memoryview(self._buffer)[:length])

    def take(self, length: int) -> bytes:
        """Consume and return `length` bytes, fewer only at the end."""
        data = self.peek(length)
        self._drop(len(data))
        return data

    def skip(self, length: int) -> int:
        """Consume `length` bytes without keeping them; how many there were."""
        left = length
        while left > 0 and (self._buffer or self._more()):
            step = min(left, len(self._buffer))
            self._drop(step)
            left -= step
        return length - left

    def skip_blank(self) -> None:
        """Consume white space."""
        while self._buffer or self._more():
            found = _NOT_BLANK.search(self._buffer)
            self._drop(found.start() if found else len(self._buffer))
            if found:
                return

    def take_through(self, end: re.Pattern[bytes], limit: int) -> bytes | None:
        """Consume through the first match of `end`; at the end of the data, all that is left.

        None, and nothing consumed, where no match ends within `limit` bytes.
        """
        searched = 0
        while True:
            found = end.search(self._buffer, searched, limit)
            if found:
                return self.take(found.end())
            searched = max(0, len(self._buffer) - _OVERLAP)
            if len(self._buffer) >= limit:
                return None
            if not self._more():
                return self.take(len(self._buffer))

    def skip_to(self, start: re.Pattern[bytes]) -> None:
        """Consume up to the first match of `start`, or everything."""
        while True:
            found = start.search(self._buffer)
            if found:
                self._drop(found.start())
                return
            self._drop(max(0, len(self._buffer) - _OVERLAP))
            if not self._more():
                self._drop(len(self._buffer))
                return

    def _more(self) -> bool:
        piece = next(self._pieces, b"")
        self._buffer += piece
        return bool(piece)

    def _drop(self, length: int) -> None:
        del self._buffer[:length]
        self.position += length
