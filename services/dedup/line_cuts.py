"""Lines that go, in the order of their documents, whatever their number: sorted in pieces on disk.

Matching finds cuts in the order of the keys; the join reads them shard by shard. A cut is a place
and a line number, 12 bytes.
"""

import tempfile
from collections.abc import Iterator
from typing import IO, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.index import ROW_BITS

Int64Array: TypeAlias = npt.NDArray[np.int64]
Int32Array: TypeAlias = npt.NDArray[np.int32]
Piece: TypeAlias = tuple[Int64Array, Int32Array]

#: A cut table: line `line` (from 0) of a document goes.
CUTS: Final = pa.schema([("shard", pa.int32()), ("row", pa.int64()), ("line", pa.int32())])
#: Bytes of a cut while it is sorted: itself, gathered, its sorted copy (12 each), the order and its
#: room (8 each), and its row of the table (16).
CUT_BYTES = 72


def cut_batch(places: Int64Array, lines: Int32Array) -> pa.RecordBatch:
    """Rows of a cut table; places are those of the batch, without the index's base."""
    shards = pa.array((places >> ROW_BITS).astype(np.int32))
    rows = pa.array(places & ((1 << ROW_BITS) - 1))
    return pa.record_batch([shards, rows, pa.array(lines)], schema=CUTS)


def sorted_cuts(places: Int64Array, lines: Int32Array) -> Piece:
    """Cuts by place, then by line."""
    order = np.lexsort((lines, places))
    return places[order], lines[order]


class CutSorter:
    """Takes cuts in any order and gives them sorted, within a number of bytes."""

    def __init__(self, memory: int) -> None:
        self._room = max(1, memory // CUT_BYTES)
        self._waiting: list[Piece] = []
        self._count = 0
        self._files: list[tuple[IO[bytes], IO[bytes]]] = []

    def add(self, places: Int64Array, lines: Int32Array) -> None:
        """Take some cuts."""
        self._waiting.append((places, lines))
        self._count += len(places)
        if self._count >= self._room:
            files = (tempfile.TemporaryFile(), tempfile.TemporaryFile())  # noqa: SIM115 (`batches`)
            places, lines = self._sorted()
            for file, data in zip(files, (places.data, lines.data), strict=True):
                file.write(data)
                file.flush()
            self._files.append(files)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All cuts by place, then by line; afterwards nothing is left on disk."""
        try:
            pieces: list[Piece] = [
                (np.memmap(files[0], np.int64, "r"), np.memmap(files[1], np.int32, "r"))
                for files in self._files
            ]
            pieces.append(self._sorted())
            for window in _merged(pieces, max(1, self._room // len(pieces))):
                yield cut_batch(*window)
        finally:
            for file in (f for files in self._files for f in files):
                file.close()

    def _sorted(self) -> Piece:
        """What waits, sorted; nothing waits then."""
        self._waiting.append((np.empty(0, np.int64), np.empty(0, np.int32)))
        places, lines = (np.concatenate([w[i] for w in self._waiting]) for i in (0, 1))
        self._waiting, self._count = [], 0
        return sorted_cuts(places, lines)


def _merged(pieces: list[Piece], step: int) -> Iterator[Piece]:
    """Sorted pieces as one, at most about `step` cuts of each at a time."""
    at = [0] * len(pieces)
    while True:
        left = [i for i, (places, _) in enumerate(pieces) if at[i] < len(places)]
        if not left:
            return
        # No piece has more than `step` cuts up to the least of these, but for a single document's.
        bound = min(pieces[i][0][min(at[i] + step, len(pieces[i][0])) - 1] for i in left)
        taken: list[Piece] = []
        for i in left:
            places, lines = pieces[i]
            end = at[i] + int(np.searchsorted(places[at[i] :], bound, "right"))
            taken.append((places[at[i] : end], lines[at[i] : end]))
            at[i] = end
        yield sorted_cuts(*(np.concatenate([t[k] for t in taken]) for k in (0, 1)))
