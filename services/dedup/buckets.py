"""Temporary files of fixed-width records, by bucket: what passes between the rounds of clustering.

A bucket is a range of places whose documents fit in memory together. Records are appended for many
buckets at once and read a bucket at a time. There is one file a column, however many buckets: what
is appended is ordered by bucket and written in one piece, and the pieces of each bucket are noted
(16 bytes a piece). The space is freed when all is closed.
"""

import os
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from io import FileIO
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

AnyArray: TypeAlias = npt.NDArray[Any]
Int64Array: TypeAlias = npt.NDArray[np.int64]


class Buckets:
    """Records of some columns (`place="i8"`) in `count` buckets; those of one keep their order."""

    def __init__(self, count: int, **types: str) -> None:
        self.count = count
        self.records = 0
        self.types = types
        self._types = {name: np.dtype(kind) for name, kind in types.items()}
        # Begin and end of each bucket's pieces, in records of the files.
        self._pieces = [array("q") for _ in range(count)]
        self._files: dict[str, FileIO] = {}

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for name in self._types:
                # Unbuffered: reads go by the descriptor, and what is written is large.
                file = tempfile.TemporaryFile(buffering=0)
                self._files[name] = opened.enter_context(file)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files."""
        self._opened.close()

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return self.records * sum(kind.itemsize for kind in self._types.values())

    def size(self, bucket: int) -> int:
        """Records of a bucket."""
        pieces = self._pieces[bucket]
        return sum(pieces[1::2]) - sum(pieces[::2])

    def append(self, bucket: int, /, **columns: AnyArray) -> None:
        """Add records to one bucket."""
        bounds = np.zeros(self.count + 1, np.int64)
        bounds[bucket + 1 :] = len(next(iter(columns.values())))
        self.write(bounds, **columns)

    def scatter(self, keys: AnyArray, cuts: Int64Array, /, **columns: AnyArray) -> None:
        """Add records to the buckets that their keys lie in: as many `cuts` as a key reaches."""
        if self.count == 1:
            self.append(0, **columns)
            return
        from services.dedup.kernels.union_find import order_by_bucket

        order, bounds = order_by_bucket(keys.astype(np.int64, copy=False), cuts)
        self.write(bounds, **{name: values[order] for name, values in columns.items()})

    def write(self, bounds: Int64Array, /, **columns: AnyArray) -> None:
        """Add records that are in the order of their buckets; i has [bounds[i], bounds[i + 1])."""
        for name, kind in self._types.items():
            values = np.ascontiguousarray(columns[name], kind)
            data = values.view(np.uint8).data
            while len(data):
                data = data[self._files[name].write(data) :]
        for bucket in np.flatnonzero(np.diff(bounds)).tolist():
            begin, end = (self.records + int(bounds[bucket + i]) for i in (0, 1))
            pieces = self._pieces[bucket]
            if pieces and pieces[-1] == begin:
                pieces[-1] = end
            else:
                pieces.extend((begin, end))
        self.records += int(bounds[-1])

    def read(self, bucket: int, most: int) -> Iterator[dict[str, AnyArray]]:
        """A bucket's records, about `most` at a time (up to twice as many)."""
        waiting: list[tuple[int, int]] = []
        count = 0
        pieces = self._pieces[bucket]
        for begin, end in zip(pieces[::2], pieces[1::2], strict=True):
            for start in range(begin, end, most):
                stop = min(end, start + most)
                waiting.append((start, stop))
                count += stop - start
                if count >= most:
                    yield self._fetch(waiting, count)
                    waiting, count = [], 0
        if count:
            yield self._fetch(waiting, count)

    def all(self, bucket: int, *names: str) -> dict[str, AnyArray]:
        """All of a bucket's records, or some columns of them."""
        pieces = self._pieces[bucket]
        every = list(zip(pieces[::2], pieces[1::2], strict=True))
        return self._fetch(every, self.size(bucket), names)

    def _fetch(
        self, pieces: list[tuple[int, int]], count: int, names: tuple[str, ...] = ()
    ) -> dict[str, AnyArray]:
        """The records of some pieces, one after the other."""
        columns = {}
        for name in names or self._types:
            kind = self._types[name]
            values = np.empty(count, kind)
            room, at = values.view(np.uint8).data, 0
            for begin, end in pieces:
                at += self._fill(name, room[at : at + (end - begin) * kind.itemsize], begin)
            columns[name] = values
        return columns

    def _fill(self, name: str, room: memoryview, begin: int) -> int:
        """Read a column's bytes from a record on, as many as there is room for."""
        at, size = begin * self._types[name].itemsize, len(room)
        while len(room):
            read = os.preadv(self._files[name].fileno(), [room], at)
            if read == 0:
                raise EOFError(f"temporary file of {name} ends at {at}")
            at, room = at + read, room[read:]
        return size
