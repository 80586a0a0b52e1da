"""Which tokens of a page are those of its gold, in order and in runs as long as can be.

A short block ("Share", a repeated title) is then found where the gold has it, and not wherever its
words occur. Texts are aligned like two versions of a file: first runs of words that occur once in
both (patience), which cuts the page into small gaps; then each gap by a dynamic programme that
counts matches and charges for every run. What no order can match is aligned once more by itself.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from scripts.extractor.tokens import Int32s

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]

#: Tokens of a run that is taken for the same text where both have it once.
_ANCHOR: Final = 8
#: Pairs of tokens that the programme looks at for one gap: a byte and about 2 ns each.
_CELLS: Final = 2**26
#: What a run costs, in matches: one that is in order with all others, and one that is not.
IN_ORDER: Final = 0.9
OUT_OF_ORDER: Final = 4.0
#: How often the tokens that are left are aligned again.
_ROUNDS: Final = 3


def align(
    page: Int32s, gold: Int32s, in_order: float = IN_ORDER, out_of_order: float = OUT_OF_ORDER
) -> Bools:
    """For each token of the page whether it is one of the gold's."""
    belongs = np.zeros(len(page), np.bool_)
    pages, golds = np.arange(len(page)), np.arange(len(gold))
    for turn in range(_ROUNDS + 1):
        left_page, left_gold = _with_gaps(page, pages, -1), _with_gaps(gold, golds, -2)
        cost = out_of_order if turn else in_order
        pairs = _pairs(left_page[0], left_gold[0], np.float32(cost))
        if not len(pairs):
            break
        belongs[left_page[1][pairs[:, 0]]] = True
        pages = np.setdiff1d(pages, left_page[1][pairs[:, 0]], assume_unique=True)
        golds = np.setdiff1d(golds, left_gold[1][pairs[:, 1]], assume_unique=True)
    return belongs


def _with_gaps(tokens: Int32s, places: Int64s, gap: int) -> tuple[Int32s, Int64s]:
    """The tokens at the places, a `gap` where some are left out; and the place of each."""
    cuts = np.flatnonzero(np.diff(places) > 1) + 1
    return np.insert(tokens[places], cuts, gap), np.insert(places, cuts, -1)


def _pairs(page: Int32s, gold: Int32s, cost: np.float32) -> Int64s:
    """Matched (place in the page, place in the gold), in order."""
    found = []
    gaps = [(0, len(page), 0, len(gold), True)]
    while gaps:
        a, b, c, d, may_cut = gaps.pop()
        if a == b or c == d:
            continue
        anchors = _anchors(page[a:b], gold[c:d]) if may_cut else np.zeros((0, 3), np.int64)
        if len(anchors):
            starts = anchors[:, :2] + (a, c)
            stops = starts + anchors[:, 2:]
            for (i, j), length in zip(starts.tolist(), anchors[:, 2].tolist(), strict=True):
                found.append(np.arange(length)[:, None] + (i, j))
            froms, tos = [(a, c), *stops.tolist()], [*starts.tolist(), (b, d)]
            gaps += [(p, r, q, s, True) for (p, q), (r, s) in zip(froms, tos, strict=True)]
        elif (b - a) * (d - c) <= _CELLS:
            found.append(_programme(page[a:b], gold[c:d], cost) + np.array([a, c]))
    if not found:
        return np.zeros((0, 2), np.int64)
    return np.concatenate(found)


def _anchors(page: Int32s, gold: Int32s) -> Int64s:
    """Runs that occur once in both, in one order: (place in page, place in gold, length)."""
    if min(len(page), len(gold)) < _ANCHOR:
        return np.zeros((0, 3), np.int64)
    (once_page, at_page), (once_gold, at_gold) = _once(page), _once(gold)
    _, i, j = np.intersect1d(once_page, once_gold, assume_unique=True, return_indices=True)
    order = np.argsort(at_page[i])
    p, g = at_page[i][order], at_gold[j][order]
    kept = _longest_rising(g)
    return _extended(page, gold, p[kept], g[kept])


def _once(tokens: Int32s) -> tuple[npt.NDArray[np.uint64], Int64s]:
    """(hash, place) of the runs that occur once, by hash."""
    hashes = np.zeros(len(tokens) - _ANCHOR + 1, np.uint64)
    for k in range(_ANCHOR):
        part = tokens[k : k + len(hashes)].astype(np.uint64)
        hashes = (hashes ^ part) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    values, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    return values[counts == 1], first[counts == 1]


@njit(cache=True, nogil=True)
def _longest_rising(values: Int64s) -> Int64s:
    """Indices of a longest rising subsequence."""
    n = len(values)
    tails = np.empty(n, np.int64)
    before = np.empty(n, np.int64)
    length = 0
    for i in range(n):
        low, high = 0, length
        while low < high:
            middle = (low + high) // 2
            if values[tails[middle]] < values[i]:
                low = middle + 1
            else:
                high = middle
        before[i] = tails[low - 1] if low else -1
        tails[low] = i
        length = max(length, low + 1)
    chosen = np.empty(length, np.int64)
    i = tails[length - 1] if length else -1
    for k in range(length - 1, -1, -1):
        chosen[k] = i
        i = before[i]
    return chosen


@njit(cache=True, nogil=True)
def _extended(page: Int32s, gold: Int32s, at_page: Int64s, at_gold: Int64s) -> Int64s:
    """Runs around places that match, as far as they match and do not overlap."""
    runs = np.empty((len(at_page), 3), np.int64)
    n = 0
    page_end, gold_end = 0, 0
    for k in range(len(at_page)):
        i, j = at_page[k], at_gold[k]
        if i < page_end or j < gold_end:
            continue
        start = 0
        while i - start > page_end and j - start > gold_end:
            if page[i - start - 1] != gold[j - start - 1]:
                break
            start += 1
        stop = 0
        while i + stop < len(page) and j + stop < len(gold) and page[i + stop] == gold[j + stop]:
            stop += 1
        if stop == 0:
            continue
        runs[n, 0], runs[n, 1], runs[n, 2] = i - start, j - start, start + stop
        page_end, gold_end = i + stop, j + stop
        n += 1
    return runs[:n]


@njit(cache=True, nogil=True)
def _programme(page: Int32s, gold: Int32s, cost: np.float32) -> Int64s:
    """The pairs, in order, that give the most matches less `cost` for each run of them."""
    rows, columns = len(page), len(gold)
    # How each cell was reached: 0 page token left out, 1 gold token left out, 2 matched; plus 4
    # where its match goes on from the one before.
    way = np.zeros((rows + 1, columns + 1), np.uint8)
    best = np.zeros(columns + 1, np.float32)
    run = np.full(columns + 1, -1e9, np.float32)
    for i in range(1, rows + 1):
        token = page[i - 1]
        corner, corner_run = best[0], run[0]
        for j in range(1, columns + 1):
            above, above_run = best[j], run[j]
            here, how = above, 0
            if best[j - 1] > here:
                here, how = best[j - 1], 1
            matched = np.float32(-1e9)
            if gold[j - 1] == token:
                matched = corner - cost + np.float32(1)
                if corner_run + np.float32(1) >= matched:
                    matched = corner_run + np.float32(1)
                    how += 4
                if matched > here:
                    here, how = matched, (how & 4) + 2
            best[j], run[j], way[i, j] = here, matched, how
            corner, corner_run = above, above_run
    return _trace(way)


@njit(cache=True, nogil=True)
def _trace(way: npt.NDArray[np.uint8]) -> Int64s:
    """The pairs that lead to the last cell, last first."""
    i, j = way.shape[0] - 1, way.shape[1] - 1
    pairs = np.empty((min(i, j), 2), np.int64)
    n = 0
    in_run = False
    while i and j:
        how = way[i, j]
        if in_run or how & 3 == 2:
            i, j = i - 1, j - 1
            pairs[n, 0], pairs[n, 1] = i, j
            n += 1
            in_run = how & 4 == 4
        elif how & 3 == 1:
            j -= 1
        else:
            i -= 1
    return pairs[:n]
