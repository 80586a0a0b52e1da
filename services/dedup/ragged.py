"""Arrays of many lengths in a temporary file, of which a few at a time are in memory."""

import os
import tempfile
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

_WIDTH = 8


class Ragged:
    """Arrays of 64-bit values; array i has `sizes[i]` of them. A context: leaving it closes it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        self._ends: list[Int64Array] = [np.zeros(1, np.int64)]
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, values: UInt64Array, offsets: Int64Array) -> None:
        """Add arrays `values[offsets[i]:offsets[i + 1]]`."""
        begin, end = int(offsets[0]), int(offsets[-1])
        self._file.write(np.ascontiguousarray(values[begin:end], "<u8").data)
        self._ends.append(offsets[1:] - begin + self._size)
        self._size += end - begin

    def finish(self) -> None:
        """Nothing more is added; arrays may be loaded."""
        self._file.flush()
        self._offsets = np.concatenate(self._ends)
        self._ends = []

    @property
    def sizes(self) -> Int64Array:
        """Values of each array."""
        return np.diff(self._offsets)

    def load(self, index: Int64Array) -> tuple[UInt64Array, Int64Array]:
        """Some arrays, of ascending numbers, one after the other: their values and offsets."""
        begins, ends = self._offsets[index], self._offsets[index + 1]
        offsets = np.concatenate(([0], np.cumsum(ends - begins)))
        room = np.empty(int(offsets[-1]) * _WIDTH, np.uint8)
        view = room.data
        # Neighbours lie side by side and are read at once.
        firsts = np.flatnonzero(np.diff(index, prepend=-2) != 1).tolist()
        for first, last in pairwise([*firsts, len(index)]):
            part = view[offsets[first] * _WIDTH : offsets[last] * _WIDTH]
            self._read(int(begins[first]) * _WIDTH, part)
        return room.view("<u8"), offsets

    def _read(self, at: int, into: memoryview) -> None:
        while len(into):  # the system may read less than it is asked for
            done = os.preadv(self._file.fileno(), [into], at)
            if done == 0:
                raise EOFError(f"nothing at byte {at} of a temporary file")
            at, into = at + done, into[done:]
