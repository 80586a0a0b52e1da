"""Which candidate pairs are linked: those that pass, and those that stars have hidden.

A document that shares a band with another is paired with the first of all that do. Where the first
is like neither, the two are refuted, though they may be equal. So the documents of refuted pairs
are compared with more of their component: with each that they share a shingle with, of those of the
document that come first in an order which is the same for all. Similar sets share one of these.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from services.dedup.index.run import Entries, windows
from services.dedup.pairs import (
    Candidates,
    Measured,
    Pairs,
    Thresholds,
    in_order,
    local_runs,
    measure,
)

Int64Array = npt.NDArray[np.int64]

#: Of a shingle that more documents of a component share, each is compared with the first and the
#: one before it only: pairs, never whole buckets squared.
MOST_SHARERS: Final = 16
#: A shingle's pairs take up to so many times the memory of its entries: 15 pairs, of two numbers
#: and what they share (20 bytes), in arrays that double as they grow, for an entry of 64.
_PAIRS_OF_ENTRY: Final = 10


def linked(
    candidates: Candidates,
    edges: Iterator[Pairs],
    least: Thresholds,
    memory: int,
    counts: Counter[str],
) -> Iterator[Measured]:
    """The pairs that pass: candidates, then those that stars have hidden."""
    from services.dedup.kernels.jaccard import flatten, unite

    roots = np.arange(len(candidates.places))
    refuted = np.zeros(len(roots), np.bool_)
    with in_order(edges, len(roots), memory) as ordered:
        for measured in _measured(candidates, ordered, least, memory):
            pairs, passed = measured.pairs, measured.passed
            unite(roots, pairs.left[passed], pairs.right[passed])
            refuted[pairs.left[~passed]] = refuted[pairs.right[~passed]] = True
            counts["pairs"] += len(passed)
            counts["refuted_jaccard"] += int(np.sum(~measured.similar))
            counts["refuted_edit"] += int(np.sum(measured.similar & ~passed))
            yield measured
    flatten(roots)
    if least.jaccard is None or not refuted.any():
        return
    with in_order(
        _recovered(candidates, roots, refuted, least.jaccard, memory), len(roots), memory
    ) as more:
        for measured in _measured(candidates, more, least, memory):
            counts["recovered"] += int(np.sum(measured.passed))
            yield measured


def _measured(
    candidates: Candidates, ordered: Iterator[Pairs], least: Thresholds, memory: int
) -> Iterator[Measured]:
    for pairs in ordered:
        yield from measure(candidates, pairs, least, memory)


def _recovered(
    candidates: Candidates,
    roots: Int64Array,
    refuted: npt.NDArray[np.bool_],
    least: float,
    memory: int,
) -> Iterator[Pairs]:
    """Pairs within a component that may be similar enough but were not compared.

    Each has a document of a refuted pair in it and is not linked yet. Two sets of that similarity
    share a key (`kernels.jaccard.prefixes`), so none is missed unless more than `MOST_SHARERS` of
    the component share every key that the two do.
    """
    from services.dedup.kernels.jaccard import pairs_of_keys

    _, component = np.unique(candidates.components, return_inverse=True)
    parts = np.zeros(int(component.max()) + 1, np.int64)  # into how many a component has fallen
    np.add.at(parts, component, roots == np.arange(len(roots)))
    inside = np.flatnonzero(parts[component] > 1)
    with local_runs(_keys(candidates, inside, least, memory), memory) as runs:
        for window in windows(runs, 0, 2**64, memory // _PAIRS_OF_ENTRY):
            left, right = pairs_of_keys(window.keys, window.places, roots, refuted, MOST_SHARERS)
            yield Pairs(left, right, np.zeros(len(left), np.int32))


def _keys(
    candidates: Candidates, chosen: Int64Array, least: float, memory: int
) -> Iterator[Entries]:
    """The keys of some documents: entries whose places are the documents' numbers."""
    from services.dedup.kernels.jaccard import prefixes

    ends = np.cumsum(candidates.sets.sizes[chosen] * 8)
    begin, taken = 0, 0
    while begin < len(chosen):
        end = max(begin + 1, int(np.searchsorted(ends, taken + memory, "right")))
        numbers = chosen[begin:end]
        keys, owners = prefixes(
            *candidates.sets.load(numbers), candidates.components[numbers], least
        )
        yield Entries(keys, numbers[owners], {})
        begin, taken = end, int(ends[end - 1])
