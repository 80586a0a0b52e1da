"""Pairs of documents of one partition: put in order on disk, and measured.

Documents are numbered within the partition in the order of their places. Pairs come in any order
and number; sorted runs bring them into the order of their right documents, so that few documents at
a time are in memory. (A left one may be in as many pairs as there are documents, a right one is in
as many as it has bands.)
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.dedup.index.grouping import sorted_pieces, write_runs
from services.dedup.index.run import Entries, Run, windows
from services.dedup.ragged import Ragged
from shared.ranges import ObjectReader

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Pairs(NamedTuple):
    """Pair i is of documents `left[i]` and `right[i]`, which share so many keys."""

    left: Int64Array
    right: Int64Array
    shared: Int32Array

    def take(self, chosen: BoolArray | slice) -> "Pairs":
        """Some of the pairs."""
        return Pairs(self.left[chosen], self.right[chosen], self.shared[chosen])


class Thresholds(NamedTuple):
    """The least similarities of a pair that passes; None where one is not asked for."""

    jaccard: float | None
    edit: float | None


@dataclass
class Candidates:
    """What pairs are measured by. `sequences` is None where edit similarity is not asked for."""

    places: Int64Array
    components: Int64Array
    sets: Ragged
    sequences: Ragged | None


class Measured(NamedTuple):
    """Pairs, their similarities (edit: nan where not measured), and what they pass."""

    pairs: Pairs
    jaccard: Float64Array
    edit: Float64Array
    similar: BoolArray  # by Jaccard
    passed: BoolArray


@contextmanager
def local_runs(pieces: Iterable[Entries], memory: int) -> Iterator[list[Run]]:
    """Entries as sorted runs in temporary files, which go when the context is left."""
    with ExitStack() as stack:
        runs = []
        for path in write_runs(sorted_pieces(pieces, memory)).values():
            assert isinstance(path, Path)
            file = stack.enter_context(path.open("rb"))
            path.unlink()
            size = os.fstat(file.fileno()).st_size
            runs.append(Run(ObjectReader(size, partial(_read, file.fileno()))))
        yield runs


def _read(file: int, offset: int, length: int) -> bytes:
    return os.pread(file, length, offset)


@contextmanager
def in_order(parts: Iterable[Pairs], candidates: int, memory: int) -> Iterator[Iterator[Pairs]]:
    """All pairs by right, then left document, some at a time; each once, what it shares summed."""
    spread = 2**64 // max(2, candidates)  # runs want keys that lie evenly over their range
    entries = (
        Entries(p.right.astype(np.uint64) * np.uint64(spread), p.left, {"shared": p.shared})
        for p in parts
    )
    with local_runs(entries, memory) as runs:
        yield (_once(window, spread) for window in windows(runs, 0, 2**64, memory))


def _once(window: Entries, spread: int) -> Pairs:
    right = (window.keys // np.uint64(spread)).astype(np.int64)
    new = np.ones(len(right), np.bool_)
    new[1:] = (right[1:] != right[:-1]) | (window.places[1:] != window.places[:-1])
    shared = np.add.reduceat(window.columns["shared"], np.flatnonzero(new), dtype=np.int32)
    return Pairs(window.places[new], right[new], shared)


def measure(
    candidates: Candidates, pairs: Pairs, least: Thresholds, memory: int
) -> Iterator[Measured]:
    """The similarities of sorted pairs; the documents of some at a time take `memory` bytes.

    Edit similarity is measured where Jaccard similarity passes, and exact where it passes itself.
    """
    from services.dedup.kernels.edit_distance import edit_similarities
    from services.dedup.kernels.jaccard import jaccard_similarities

    for part in _parts(pairs, _bytes(candidates), memory):
        chosen = pairs.take(part)
        values, offsets, left, right = _load(candidates.sets, chosen)
        jaccard = jaccard_similarities(values, offsets, left, right)
        similar = np.ones(len(jaccard), np.bool_)
        if least.jaccard is not None:
            similar = jaccard >= least.jaccard
        edit = np.full(len(jaccard), np.nan)
        passed = similar
        if least.edit is not None and candidates.sequences is not None:
            values, offsets, left, right = _load(candidates.sequences, chosen.take(similar))
            edit[similar] = edit_similarities(values, offsets, left, right, least.edit)
            passed = similar & (np.nan_to_num(edit, nan=-1.0) >= least.edit)
        yield Measured(chosen, jaccard, edit, similar, passed)


def _bytes(candidates: Candidates) -> Int64Array:
    """Memory that each document takes while it is compared."""
    values = candidates.sets.sizes
    if candidates.sequences is not None:
        values = np.maximum(values, candidates.sequences.sizes)
    return values * 8


def _parts(pairs: Pairs, sizes: Int64Array, memory: int) -> Iterator[slice]:
    """Neighbouring pairs whose documents take about `memory` bytes together; one at least."""
    first = np.ones(len(pairs.right), np.bool_)
    first[1:] = pairs.right[1:] != pairs.right[:-1]
    ends = np.cumsum(sizes[pairs.left] + np.where(first, sizes[pairs.right], 0))
    begin, taken = 0, 0
    while begin < len(ends):
        end = max(begin + 1, int(np.searchsorted(ends, taken + memory, "right")))
        yield slice(begin, end)
        begin, taken = end, int(ends[end - 1])


def _load(
    arrays: Ragged, pairs: Pairs
) -> tuple[npt.NDArray[np.uint64], Int64Array, Int64Array, Int64Array]:
    """The arrays of the pairs' documents, and where among them each pair's are."""
    needed = np.unique(np.concatenate([pairs.left, pairs.right]))
    values, offsets = arrays.load(needed)
    left, right = np.searchsorted(needed, pairs.left), np.searchsorted(needed, pairs.right)
    return values, offsets, left, right
