"""What the second stage knows beside: what the first one thinks of the blocks around."""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from services.extraction.engines.blocks.around import LEVELS
from services.extraction.engines.blocks.forest import UNIT
from services.extraction.engines.blocks.layout import Blocks, Elements, Int32s, Kind, Scan

Floats = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]
#: The template of each block, by how much of its path counts.
Groups = tuple[Int64s, ...]

_STEPS: Final = (-4, -3, -2, -1, 1, 2, 3, 4)
_WINDOWS: Final = (2, 5, 12)
NAMES: Final = (
    "score",
    *(f"score{step}" for step in _STEPS),
    *(f"window{width}" for width in _WINDOWS),
    *(f"{name}{level}" for level in range(LEVELS) for name in ("up_mean", "up_recall", "up_best")),
    *(f"template{depth}_mean" for depth in range(3)),
    "page_mean", "page_best", "page_doubt", "before", "after", "since_kept", "until_kept",
    "since_first", "until_last", "section_mean", "heading_score", "in_best30", "in_best50",
    "best30_share", "best50_share", "bytes_since_kept", "bytes_until_kept", "main_bytes",
    "main_bytes_before",
)  # fmt: skip
_STEPS_AT: Final = 1
_WINDOWS_AT: Final = _STEPS_AT + len(_STEPS)
_UP_AT: Final = _WINDOWS_AT + len(_WINDOWS)
_TEMPLATE_AT: Final = _UP_AT + 3 * LEVELS
_PAGE_AT: Final = _TEMPLATE_AT + 3
_HEADING: Final = int(Kind.HEADING)
#: Where the score of a block that is not there stands.
_NONE: Final = -12.0
#: 1 / (1 + exp(-x)) at x = -8, -7.75 ... 8, in 2^-16: between them a straight line.
_STEP: Final = UNIT // 4
_SIGMOID: Final = np.array(
    [round(65536 / (1 + 2.718281828459045 ** (-x / 4))) for x in range(-32, 33)], np.int64
)
_SIGMOID.setflags(write=False)


@njit(cache=True, nogil=True)
def probabilities(scores: Int32s) -> Int64s:
    """Of log-odds in 2^-16 the probabilities, in 2^-16 as well."""
    result = np.empty(len(scores), np.int64)
    for i in range(len(scores)):
        at = min(max(int(scores[i]) + 32 * _STEP, 0), 64 * _STEP - 1)
        low, rest = at // _STEP, at % _STEP
        result[i] = _SIGMOID[low] + (_SIGMOID[low + 1] - _SIGMOID[low]) * rest // _STEP
    return result


def context_features(
    matrix: Floats, base: int, scan: Scan, sizes: Int32s, scores: Int32s, groups: Groups
) -> None:
    """Fill in the columns from `base` on; sizes are bytes, groups those of the templates."""
    if not len(sizes):
        return
    chances = probabilities(scores)
    mass, size = np.zeros(len(sizes) + 1, np.int64), np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(chances * sizes, out=mass[1:])
    np.cumsum(sizes, out=size[1:])
    _around(matrix, base, scores, mass, size)
    _ancestors(matrix, base, scan.blocks, scan.elements, mass, size)
    for depth, group in enumerate(groups):
        _templates(matrix, base + _TEMPLATE_AT + depth, group, chances, sizes)
    _page(matrix, base, scores, chances, mass, size)
    _kept(matrix, base, scan.blocks, scores, mass, size)
    for i, threshold in enumerate((UNIT * 3 // 10, UNIT // 2)):
        _best(matrix, base + _PAGE_AT + 11 + i, scan.elements, threshold, mass, size)


@njit(cache=True, nogil=True)
def _mean(mass: Int64s, size: Int64s, first: int, last: int) -> np.float32:
    """Mean probability of the bytes of some blocks."""
    of = size[last] - size[first]
    return np.float32(mass[last] - mass[first]) / np.float32(max(of, 1) * UNIT)


@njit(cache=True, nogil=True)
def _around(x: Floats, base: int, scores: Int32s, mass: Int64s, size: Int64s) -> None:
    n = len(scores)
    for i in range(n):
        r = x[i, base:]
        r[0] = np.float32(scores[i]) / np.float32(UNIT)
        for k in range(8):
            j = i + (k - 4 if k < 4 else k - 3)
            r[_STEPS_AT + k] = np.float32(scores[j]) / np.float32(UNIT) if 0 <= j < n else _NONE
        for k in range(3):
            width = 2 if k == 0 else 5 if k == 1 else 12
            r[_WINDOWS_AT + k] = _mean(mass, size, max(i - width, 0), min(i + width + 1, n))


@njit(cache=True, nogil=True)
def _ancestors(
    x: Floats, base: int, blocks: Blocks, elements: Elements, mass: Int64s, size: Int64s
) -> None:
    n = len(blocks.start)
    total = max(mass[n], 1)
    for i in range(n):
        element = blocks.element[i]
        for level in range(LEVELS):
            first, last = elements.first_block[element], elements.last_block[element]
            first, last = min(first, i), max(last, i + 1)
            r, at = x[i, base:], _UP_AT + 3 * level
            inside = mass[last] - mass[first]
            r[at] = _mean(mass, size, first, last)
            r[at + 1] = np.float32(inside) / np.float32(total)
            # F1 of keeping just this element
            r[at + 2] = np.float32(2 * inside) / np.float32(
                max(mass[n] + (size[last] - size[first]) * UNIT, 1)
            )
            while elements.parent[element] >= 0:
                element = elements.parent[element]
                if elements.last_block[element] - elements.first_block[element] > last - first:
                    break


@njit(cache=True, nogil=True)
def _templates(x: Floats, at: int, group: Int64s, chances: Int64s, sizes: Int32s) -> None:
    n = len(group)
    mass, size = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for i in range(n):
        mass[group[i]] += chances[i] * sizes[i]
        size[group[i]] += sizes[i]
    for i in range(n):
        g = group[i]
        x[i, at] = np.float32(mass[g]) / np.float32(max(size[g], 1) * UNIT)


@njit(cache=True, nogil=True)
def _page(
    x: Floats, base: int, scores: Int32s, chances: Int64s, mass: Int64s, size: Int64s
) -> None:
    n = len(scores)
    total, best, doubt = max(mass[n], 1), np.int64(scores[0]), 0
    for i in range(n):
        best = max(best, np.int64(scores[i]))
        if UNIT // 5 < chances[i] < UNIT - UNIT // 5:
            doubt += size[i + 1] - size[i]
    for i in range(n):
        r, at = x[i, base:], _PAGE_AT
        r[at] = _mean(mass, size, 0, n)
        r[at + 1] = np.float32(best) / np.float32(UNIT)
        r[at + 2] = np.float32(doubt) / np.float32(max(size[n], 1))
        r[at + 3] = np.float32(mass[i]) / np.float32(total)
        r[at + 4] = np.float32(mass[n] - mass[i + 1]) / np.float32(total)
        # expected main text of the page, and how much of it is before
        r[at + 17], r[at + 18] = np.float32(mass[n] // UNIT), np.float32(mass[i] // UNIT)


@njit(cache=True, nogil=True)
def _kept(x: Floats, base: int, blocks: Blocks, scores: Int32s, mass: Int64s, size: Int64s) -> None:
    """Distances to blocks that are likely kept, in blocks and bytes, and the section's mean."""
    n = len(scores)
    at = _PAGE_AT + 5
    kept, first, heading = -1, -1, -1
    for i in range(n):
        r = x[i, base:]
        r[at] = i - kept if kept >= 0 else 999
        r[at + 10] = size[i] - size[kept + 1] if kept >= 0 else -1
        r[at + 2] = i - first if first >= 0 else -1
        r[at + 5] = np.float32(scores[heading]) / np.float32(UNIT) if heading >= 0 else _NONE
        if scores[i] > 0:
            kept = i
            first = i if first < 0 else first
        if blocks.kind[i] == _HEADING:
            heading = i
    kept, last, stop = -1, -1, n
    for i in range(n - 1, -1, -1):
        r = x[i, base:]
        r[at + 1] = kept - i if kept >= 0 else 999
        r[at + 11] = size[kept] - size[i + 1] if kept >= 0 else -1
        r[at + 3] = last - i if last >= 0 else -1
        r[at + 4] = _mean(mass, size, min(i + 1, n), max(stop, i + 1))
        if scores[i] > 0:
            kept = i
            last = i if last < 0 else last
        if blocks.kind[i] == _HEADING:
            stop = i


@njit(cache=True, nogil=True)
def _best(
    x: Floats, at: int, elements: Elements, threshold: int, mass: Int64s, size: Int64s
) -> None:
    """The element with the most above a threshold: which blocks it has, and its share of all."""
    best, most, n = 0, np.int64(0), len(size) - 1
    for e in range(len(elements.tag)):
        first, last = elements.first_block[e], elements.last_block[e]
        gain = mass[last] - mass[first] - threshold * (size[last] - size[first])
        if gain > most:
            best, most = e, gain
    first, last = elements.first_block[best], elements.last_block[best]
    share = np.float32(mass[last] - mass[first]) / np.float32(max(mass[n], 1))
    for i in range(n):
        x[i, at] = first <= i < last
        x[i, at + 2] = share
