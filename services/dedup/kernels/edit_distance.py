"""Levenshtein distance up to a cutoff: of sequences of words, and of characters.

Diagonals in place of a table (Ukkonen 1985): with e edits, how far does each diagonal reach?
Similar sequences take as many steps as they are long, plus the square of their distance; others end
at the cutoff, after at most (2 cutoff + 1) times their length, which is what a banded table takes
always. A full table of two texts of 700 words has half a million cells.
"""

import numpy as np
import numpy.typing as npt

from services.dedup.kernels.compiled import Int64Array, UInt64Array, compiled

Sequence = npt.NDArray[np.uint64] | npt.NDArray[np.uint32]

#: A diagonal that cannot be reached; far enough from 0 that a step more does not matter.
_NOWHERE = -(2**40)
#: Beyond the reached diagonals on both sides, so that their neighbours can be read.
_MARGIN = 3


@compiled
def room_for(cutoff: int) -> Int64Array:
    """Room to work in, for cutoffs up to this one."""
    return np.empty((2, 2 * cutoff + 2 * _MARGIN + 1), np.int64)


@compiled
def distance(
    a: Sequence,
    start: int,
    end: int,
    b: Sequence,
    begin: int,
    stop: int,
    cutoff: int,
    work: Int64Array,
) -> int:
    """Edits from `a[start:end]` to `b[begin:stop]`; `cutoff + 1` where they are more than `cutoff`.

    An edit inserts, deletes or replaces one element. `work` is `room_for(cutoff)` or larger.
    """
    while start < end and begin < stop and a[start] == b[begin]:
        start, begin = start + 1, begin + 1
    n, m = end - start, stop - begin
    goal = m - n
    if abs(goal) > cutoff:
        return cutoff + 1
    if n == 0 or m == 0:
        return max(n, m)
    zero = cutoff + _MARGIN  # where diagonal 0 stands; i of a meets i + k of b on diagonal k
    work[:, : 2 * zero + 1] = _NOWHERE
    before, now = 0, 1
    work[before, zero] = 0  # the first elements differ
    for edits in range(1, cutoff + 1):
        left = cutoff - edits
        low, high = max(-edits, goal - left), min(edits, goal + left)
        for k in range(low, high + 1):
            at = zero + k
            i = max(work[before, at] + 1, work[before, at - 1], work[before, at + 1] + 1)
            if i < 0:
                work[now, at] = _NOWHERE
                continue
            i = min(i, n, m - k)
            while i < n and i + k < m and a[start + i] == b[begin + i + k]:
                i += 1
            work[now, at] = i
        if work[now, zero + goal] >= n:
            return edits
        for outside in range(1, _MARGIN):
            work[now, zero + low - outside] = _NOWHERE
            work[now, zero + high + outside] = _NOWHERE
        before, now = now, before
    return cutoff + 1


@compiled
def most_edits(longest: int, least: float) -> int:
    """The greatest distance d of sequences with 1 - d / longest >= least."""
    edits = int((1.0 - least) * longest)
    while edits < longest and 1.0 - (edits + 1) / longest >= least:
        edits += 1
    while edits > 0 and 1.0 - edits / longest < least:
        edits -= 1
    return edits


@compiled
def edit_similarities(
    values: UInt64Array, offsets: Int64Array, left: Int64Array, right: Int64Array, least: float
) -> npt.NDArray[np.float64]:
    """1 - distance / length of the longer, of sequences `left[i]` and `right[i]` of ragged values.

    Exact where it is at least `least`, else -1. Two empty sequences are equal.
    """
    found = np.empty(len(left), np.float64)
    longest = 0
    for i in range(len(left)):
        for k in (left[i], right[i]):
            longest = max(longest, offsets[k + 1] - offsets[k])
    work = room_for(most_edits(longest, least))
    for i in range(len(left)):
        at, end = offsets[left[i]], offsets[left[i] + 1]
        begin, stop = offsets[right[i]], offsets[right[i] + 1]
        longer = max(end - at, stop - begin)
        if longer == 0:
            found[i] = 1.0
            continue
        cutoff = most_edits(longer, least)
        edits = distance(values, at, end, values, begin, stop, cutoff, work)
        found[i] = 1.0 - edits / longer if edits <= cutoff else -1.0
    return found
