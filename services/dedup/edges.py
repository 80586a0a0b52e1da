"""Edges between documents: what matching finds, verification tests and clusters are made of.

A place is shard and row in one integer (`shared.index`), so `left < right` says that the document
at `left` comes first in the order of the batch, or of the index.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.index import ROW_BITS

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
UInt64Array = npt.NDArray[np.uint64]

EDGES: Final = pa.schema(
    [
        ("left", pa.int64()),  # place of the earlier document
        ("right", pa.int64()),  # place of the later one
        ("shared", pa.int32()),  # keys that they are known to share; a pair may have several edges
    ]
)
#: Edges that were measured; null where a measure was not asked for or not needed.
VERIFIED_EDGES: Final = pa.schema(
    [
        *EDGES,
        ("jaccard", pa.float32()),  # similarity of the sets of shingles
        (
            "edit",
            pa.float32(),
        ),  # edit similarity of the sequences of tokens (Lee et al., specs 9.2)
    ]
)

_ROW_MASK = (1 << ROW_BITS) - 1


def edge_table(left: Int64Array, right: Int64Array, shared: Int32Array) -> pa.Table:
    """Edges as a table of `EDGES`."""
    return pa.table([left, right, shared], schema=EDGES)


def edge_batches(left: Int64Array, right: Int64Array) -> Iterator[pa.RecordBatch]:
    """Edges of one shared key each as those of pairs: each pair once, sorted by left and right."""
    if len(left):
        yield from edge_table(*_counted(left, right)).to_batches()


def _counted(left: Int64Array, right: Int64Array) -> tuple[Int64Array, Int64Array, Int32Array]:
    """Each pair once, with how often it was there.

    A pair is one number where that has 64 bits, as it has for two times 4 billion places.
    """
    lefts, rights = _Places(left), _Places(right)
    if lefts.count * rights.count <= 2**64:
        pairs = lefts.numbers(left) * np.uint64(rights.count) + rights.numbers(right)
        pairs.sort()
        starts = np.flatnonzero(_differs(pairs))
        pairs, shared = pairs[starts], np.diff(starts, append=len(pairs))
        a = pairs // np.uint64(rights.count)  # np.divmod takes five times as long
        b = pairs - a * np.uint64(rights.count)
        return lefts.places(a), rights.places(b), shared.astype(np.int32)
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    starts = np.flatnonzero(_differs(left) | _differs(right))
    shared = np.diff(starts, append=len(left)).astype(np.int32)
    return left[starts], right[starts], shared


def _differs(values: npt.NDArray[np.int64] | UInt64Array) -> npt.NDArray[np.bool_]:
    """For each value whether it is another than the one before it."""
    differs = np.ones(len(values), np.bool_)
    differs[1:] = values[1:] != values[:-1]
    return differs


class _Places:
    """Numbers some places from 0, in their order: rows that no shard of theirs has leave gaps."""

    def __init__(self, places: Int64Array) -> None:
        shards = places >> ROW_BITS
        self._first = int(shards.min())
        self._rows = int((places & _ROW_MASK).max()) + 1
        self.count = (int(shards.max()) - self._first + 1) * self._rows

    def numbers(self, places: Int64Array) -> UInt64Array:
        """A number below `count` each."""
        shards = (places >> ROW_BITS) - self._first
        return (shards * self._rows + (places & _ROW_MASK)).view(np.uint64)

    def places(self, numbers: UInt64Array) -> Int64Array:
        """The places again."""
        shards = numbers // np.uint64(self._rows)
        rows = numbers - shards * np.uint64(self._rows)
        places = ((shards + np.uint64(self._first)) << np.uint64(ROW_BITS)) | rows
        return places.view(np.int64)
