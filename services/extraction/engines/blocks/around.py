"""Features of what is around a block: its place, ancestors, template, neighbours, page."""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from services.extraction.engines.blocks.counts import (
    BYTES,
    CJK,
    COMMAS,
    HEADINGS,
    ITEMS,
    LINK,
    LINKS,
    LONG,
    PROSE,
    STOPS,
    WORDS,
)  # fmt: skip
from services.extraction.engines.blocks.layout import Blocks, Elements, Int32s, Kind
from services.extraction.engines.blocks.own import TITLE_SHARE, ratio
from services.extraction.engines.blocks.tags import ID

Floats = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

#: Ancestors that hold more than the one below, from the innermost.
LEVELS: Final = 8
#: How many elements above its own count for a block's template.
TEMPLATES: Final = (0, 2, 4)
NEIGHBOURS: Final = (-3, -2, -1, 1, 2, 3)
_PLACE: Final = (
    "index", "index_share", "bytes_before", "bytes_after", "since_heading", "heading_level",
    "bytes_since_heading", "until_heading", "bytes_until_heading", "since_h1", "since_title",
    "prose_before", "prose_after",
)  # fmt: skip
_UP: Final = (
    "share", "link", "mean", "count", "prose", "commas", "place", "items", "links", "distance",
)  # fmt: skip
_TEMPLATE: Final = ("count", "bytes", "mean", "link", "first", "last", "prose")
_NEAR: Final = ("bytes", "link", "kind", "stops", "same_template", "same_parent")
_PAGE: Final = (
    "bytes", "blocks", "link", "prose", "long", "titles", "cjk", "headings", "longest", "articles",
    "mains", "items",
)  # fmt: skip
NAMES: Final = (
    *_PLACE,
    *(f"up{level}_{name}" for level in range(LEVELS) for name in _UP),
    *(f"template{up}_{name}" for up in TEMPLATES for name in _TEMPLATE),
    *(f"near{step}_{name}" for step in NEIGHBOURS for name in _NEAR),
    *(f"page_{name}" for name in _PAGE),
)
_UP_AT: Final = len(_PLACE)
_TEMPLATE_AT: Final = _UP_AT + LEVELS * len(_UP)
_NEAR_AT: Final = _TEMPLATE_AT + len(TEMPLATES) * len(_TEMPLATE)
_PAGE_AT: Final = _NEAR_AT + len(NEIGHBOURS) * len(_NEAR)
_N_UP, _N_TEMPLATE, _N_NEAR = len(_UP), len(_TEMPLATE), len(_NEAR)
_ARTICLE, _MAIN, _HEADING = ID["article"], ID["main"], int(Kind.HEADING)
#: A distance to what is not there.
_FAR: Final = 9999.0
#: A block is the title if the title has more of its words than this.
_TITLE: Final = 0.6


@njit(cache=True, nogil=True)
def add_place(x: Floats, base: int, blocks: Blocks, counts: Int32s, sums: Int64s) -> None:
    """Where on the page a block is: from both ends, from headings, from the title."""
    n = len(blocks.start)
    total = max(sums[n, BYTES], 1)
    heading, h1, title = -1, -1, -1
    for i in range(n):
        r = x[i, base:]
        r[0], r[1] = i, ratio(i, n)
        r[2], r[3] = ratio(sums[i, BYTES], total), total - sums[i + 1, BYTES]
        r[4] = i - heading if heading >= 0 else _FAR
        r[5] = blocks.level[heading] if heading >= 0 else 9
        r[6] = sums[i, BYTES] - sums[heading + 1, BYTES] if heading >= 0 else -1
        r[9] = i - h1 if h1 >= 0 else _FAR
        r[10] = i - title if title >= 0 else _FAR
        r[11], r[12] = sums[i, PROSE], sums[n, PROSE] - sums[i + 1, PROSE]
        if blocks.kind[i] == _HEADING:
            heading = i
            h1 = i if blocks.level[i] == 1 else h1
        if x[i, TITLE_SHARE] > _TITLE and counts[i, WORDS] >= 2:
            title = i
    after, stop = -1, n
    for i in range(n - 1, -1, -1):
        x[i, base + 7] = after - i if after >= 0 else _FAR
        x[i, base + 8] = sums[stop, BYTES] - sums[i + 1, BYTES]
        if blocks.kind[i] == _HEADING:
            after = stop = i


@njit(cache=True, nogil=True)
def add_ancestors(x: Floats, base: int, blocks: Blocks, elements: Elements, sums: Int64s) -> None:
    """What the elements around a block hold, each larger than the one before."""
    total = max(sums[len(blocks.start), BYTES], 1)
    for i in range(len(blocks.start)):
        element, up = blocks.element[i], 0
        for level in range(LEVELS):
            first = min(elements.first_block[element], i)
            last = max(elements.last_block[element], i + 1)
            r = x[i, base + _UP_AT + level * _N_UP :]
            low, high, count = sums[first], sums[last], last - first
            size = high[BYTES] - low[BYTES]
            r[0], r[1] = ratio(size, total), ratio(high[LINK] - low[LINK], size)
            r[2], r[3] = ratio(size, count), count
            r[4] = ratio(high[PROSE] - low[PROSE], size)
            r[5] = ratio(high[COMMAS] - low[COMMAS], high[WORDS] - low[WORDS])
            r[6] = ratio(i - first, count)
            r[7] = ratio(high[ITEMS] - low[ITEMS], count)
            r[8] = ratio(high[LINKS] - low[LINKS], count)
            r[9] = up
            while elements.parent[element] >= 0:
                element = elements.parent[element]
                up += 1
                if elements.last_block[element] - elements.first_block[element] > count:
                    break


@njit(cache=True, nogil=True)
def template_keys(blocks: Blocks, elements: Elements, up: int) -> UInt64s:
    """A hash of the templates of each block's element and of so many above it."""
    keys = np.empty(len(blocks.start), np.uint64)
    for i in range(len(keys)):
        element, value = blocks.element[i], np.uint64(blocks.kind[i])
        for _ in range(up + 1):
            if element < 0:
                break
            value = value * np.uint64(1099511628211) + np.uint64(elements.template[element])
            element = elements.parent[element]
        keys[i] = value
    return keys


@njit(cache=True, nogil=True)
def add_template(x: Floats, base: int, which: int, group: Int64s, counts: Int32s) -> None:
    """What the blocks of a block's template are together."""
    n = len(group)
    sums = np.zeros((n, 6), np.int64)  # blocks, bytes, link, prose, first and last block
    for i in range(n):
        s, c = sums[group[i]], counts[i]
        if s[0] == 0:
            s[4] = i
        s[0] += 1
        s[1] += c[BYTES]
        s[2] += c[LINK]
        s[3] += c[PROSE]
        s[5] = i
    for i in range(n):
        s, r = sums[group[i]], x[i, base + _TEMPLATE_AT + which * _N_TEMPLATE :]
        r[0], r[1], r[2], r[3] = s[0], s[1], ratio(s[1], s[0]), ratio(s[2], s[1])
        r[4], r[5], r[6] = i - s[4], s[5] - i, ratio(s[3], s[1])


@njit(cache=True, nogil=True)
def add_near(x: Floats, base: int, blocks: Blocks, elements: Elements, counts: Int32s) -> None:
    """The three blocks before and after."""
    n = len(blocks.start)
    for i in range(n):
        here = blocks.element[i]
        for k in range(6):
            j = i + (k - 3 if k < 3 else k - 2)
            r = x[i, base + _NEAR_AT + k * _N_NEAR :]
            if j < 0 or j >= n:
                r[:_N_NEAR] = -1
                continue
            there, c = blocks.element[j], counts[j]
            r[0], r[1] = c[BYTES], ratio(c[LINK], max(c[BYTES], 1))
            r[2], r[3] = blocks.kind[j], c[STOPS]
            r[4] = elements.template[here] == elements.template[there]
            r[5] = elements.parent[here] == elements.parent[there]


@njit(cache=True, nogil=True)
def add_page(x: Floats, base: int, elements: Elements, counts: Int32s, sums: Int64s) -> None:
    """What the page is, the same for all blocks."""
    n = len(counts)
    s = sums[n]
    longest, titles, articles, mains = 0, 0, 0, 0
    for i in range(n):
        longest = max(longest, counts[i, BYTES])
        titles += x[i, TITLE_SHARE] > _TITLE
    for tag in elements.tag:
        articles += tag == _ARTICLE
        mains += tag == _MAIN
    size = max(s[BYTES], 1)
    for i in range(n):
        r = x[i, base + _PAGE_AT :]
        r[0], r[1], r[2] = size, n, ratio(s[LINK], size)
        r[3], r[4], r[5] = ratio(s[PROSE], size), s[LONG], titles
        r[6], r[7], r[8] = ratio(s[CJK], size), s[HEADINGS], longest
        r[9], r[10], r[11] = articles, mains, s[ITEMS]
