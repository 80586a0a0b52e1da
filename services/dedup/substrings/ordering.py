"""Sorts positions of units by document in bounded memory: matches come in the order of keys."""

import tempfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.index import ROW_BITS

Int64Array = npt.NDArray[np.int64]
UInt32Array = npt.NDArray[np.uint32]

#: Bytes that a position takes while it is sorted: place and unit (12), copies, the order.
POSITION_BYTES = 40
_ROW_MASK = (1 << ROW_BITS) - 1
_STORED = np.dtype([("place", "<i8"), ("at", "<u4")])


class Positions(NamedTuple):
    """Units by number, of documents by place; both of one length."""

    places: Int64Array
    at: UInt32Array


def sorted_once(places: Int64Array, at: UInt32Array) -> Positions:
    """Positions in order, each once."""
    if len(places) == 0:
        return Positions(places, at)
    shards, rows = places >> ROW_BITS, places & _ROW_MASK
    first = int(shards.min())
    bits = [int(most).bit_length() for most in (shards.max() - first, rows.max(), at.max())]
    if sum(bits) > 64:
        return _sorted_wide(places, at)
    # All in one word, which sorts many times faster than two columns.
    up, down = np.uint64(bits[1]), np.uint64(bits[2])
    words = ((shards - first).astype(np.uint64) << up) | rows.astype(np.uint64)
    words = np.sort((words << down) | at)
    words = words[_is_new(words)]
    at = (words & np.uint64((1 << bits[2]) - 1)).astype(np.uint32)
    words >>= down
    rows = (words & np.uint64((1 << bits[1]) - 1)).astype(np.int64)
    return Positions((((words >> up).astype(np.int64) + first) << ROW_BITS) | rows, at)


def _sorted_wide(places: Int64Array, at: UInt32Array) -> Positions:
    """The same where shard, row and unit take more than 64 bits."""
    order = np.lexsort((at, places))
    places, at = places[order], at[order]
    new = _is_new(places) | _is_new(at)
    return Positions(places[new], at[new])


def _is_new(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """For each of sorted values whether it differs from the one before it."""
    new = np.ones(len(values), np.bool_)
    new[1:] = values[1:] != values[:-1]
    return new


class PositionSorter:
    """Takes positions in any order and gives them back sorted, each once.

    What exceeds `memory` bytes lies in sorted pieces of a temporary file each.
    """

    def __init__(self, memory: int) -> None:
        self._room = max(1, memory // POSITION_BYTES)
        self._waiting: list[Positions] = []
        self._count = 0
        self._pieces: list[_Piece] = []

    def add(self, places: Int64Array, at: UInt32Array) -> None:
        """Add positions."""
        begin = 0
        while begin < len(places):
            end = min(len(places), begin + self._room - self._count)
            self._waiting.append(Positions(places[begin:end].copy(), at[begin:end].copy()))
            self._count += end - begin
            begin = end
            if self._count >= self._room:
                self._pieces.append(_Piece(self._sorted()))

    def sorted_parts(self) -> Iterator[Positions]:
        """All positions in order; a document's lie in one part."""
        if not self._pieces:
            yield self._sorted()
            return
        if self._count:
            self._pieces.append(_Piece(self._sorted()))
        try:
            yield from self._merged()
        finally:
            for piece in self._pieces:
                piece.close()

    def _sorted(self) -> Positions:
        """What waits, in order."""
        waiting = self._waiting or [Positions(np.empty(0, np.int64), np.empty(0, np.uint32))]
        self._waiting, self._count = [], 0
        return sorted_once(*(np.concatenate(column) for column in zip(*waiting, strict=True)))

    def _merged(self) -> Iterator[Positions]:
        """Pieces merged, a block of each at a time; documents that may go on later wait."""
        block = max(1, self._room // len(self._pieces))
        while any(len(piece.buffer) or piece.left for piece in self._pieces):
            for piece in self._pieces:
                if len(piece.buffer) < block:
                    piece.load(block)
            unfinished = [piece for piece in self._pieces if piece.left]
            lasts = [int(piece.buffer["place"][-1]) for piece in unfinished]
            bound = min(lasts, default=None)
            taken = np.concatenate([piece.take_below(bound) for piece in self._pieces])
            if len(taken):
                yield sorted_once(taken["place"], taken["at"])
                continue
            for piece, last in zip(unfinished, lasts, strict=True):
                if last == bound:  # a document with more positions than a block
                    piece.load(block)


class _Piece:
    """A sorted piece in a temporary file, and what is read of it."""

    def __init__(self, positions: Positions) -> None:
        stored = np.empty(len(positions.places), _STORED)
        stored["place"], stored["at"] = positions.places, positions.at
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._file.write(stored.data)
        self._file.seek(0)
        self.left = len(stored)
        self.buffer: npt.NDArray[Any] = stored[:0].copy()

    def load(self, count: int) -> None:
        """Read as many positions more."""
        data = self._file.read(min(count, self.left) * _STORED.itemsize)
        more = np.frombuffer(data, _STORED)
        self.left -= len(more)
        self.buffer = np.concatenate([self.buffer, more])

    def take_below(self, bound: int | None) -> npt.NDArray[Any]:
        """The positions of documents before `bound`, or all."""
        end = len(self.buffer)
        if bound is not None:
            end = int(np.searchsorted(self.buffer["place"], bound))
        taken, self.buffer = self.buffer[:end], self.buffer[end:]
        return taken

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
