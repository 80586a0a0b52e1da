"""Features of a block by itself: its text, its kind, the elements that it is in."""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from services.extraction.engines.blocks.counts import (
    BYTES,
    CJK,
    COMMAS,
    DIGITS,
    LINES,
    LINK,
    SIGNS,
    STOPS,
    UPPER,
    WORDS,
)  # fmt: skip
from services.extraction.engines.blocks.layout import Blocks, Bytes, Elements, Int32s
from services.extraction.engines.blocks.tags import ID
from shared.text.compiled import leaf

Floats = npt.NDArray[np.float32]
UInt64s = npt.NDArray[np.uint64]

TEXT: Final = (
    "bytes", "words", "word_length", "link", "digits", "upper", "stops", "commas", "cjk", "signs",
    "lines", "first_upper", "last_stop", "last_colon", "last_dots", "first_digit", "kind", "level",
    "number", "quote", "depth", "hidden", "same_text", "title_share",
)  # fmt: skip
SAME_TEXT: Final = TEXT.index("same_text")
TITLE_SHARE: Final = TEXT.index("title_share")
WATCHED: Final = (
    "nav", "header", "footer", "aside", "form", "article", "main", "section", "table", "td", "ul",
    "ol", "li", "dl", "figure", "figcaption", "button", "noscript", "a", "label", "p", "blockquote",
    "pre", "details", "template", "div", "span", "time", "strong",
)  # fmt: skip
NAMES: Final = (*TEXT, *(f"in_{tag}" for tag in WATCHED))
_IN_AT: Final = len(TEXT)
_WATCHED_AT: Final = np.full(256, -1, np.int32)
_WATCHED_AT[[ID[tag] for tag in WATCHED]] = range(len(WATCHED))
_WATCHED_AT.setflags(write=False)
#: Words of a title are kept by hash in so many places; a later one displaces an earlier one.
_TITLE_PLACES: Final = 1021
#: How much of a title is read, and the longest block that may be a title, in bytes.
_TITLE_BYTES: Final = 1000
_HEADLINE_BYTES: Final = 400
_BASIS, _PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)


@leaf
def ratio(part: float, whole: float) -> np.float32:
    """A share in float32; 0 of nothing."""
    return np.float32(np.float32(part) / np.float32(whole)) if whole > 0 else np.float32(0)


@njit(cache=True, nogil=True)
def text_keys(text: Bytes, blocks: Blocks) -> UInt64s:
    """A hash of each block's text (FNV-1a)."""
    keys = np.empty(len(blocks.start), np.uint64)
    for i in range(len(blocks.start)):
        value = _BASIS
        for at in range(blocks.start[i], blocks.stop[i]):
            value = (value ^ np.uint64(text[at])) * _PRIME
        keys[i] = value
    return keys


@njit(cache=True, nogil=True)
def add_text(x: Floats, text: Bytes, blocks: Blocks, elements: Elements, counts: Int32s) -> None:
    """The columns TEXT but for the last two."""
    for i in range(len(blocks.start)):
        c, r = counts[i], x[i]
        size = max(c[BYTES], 1)
        r[0], r[1], r[2] = c[BYTES], c[WORDS], ratio(c[BYTES], c[WORDS])
        r[3], r[4], r[5] = ratio(c[LINK], size), ratio(c[DIGITS], size), ratio(c[UPPER], size)
        r[6], r[7], r[8] = c[STOPS], ratio(c[COMMAS], c[WORDS]), ratio(c[CJK], size)
        r[9], r[10] = ratio(c[SIGNS], size), c[LINES]
        _ends(r, text, blocks.start[i], blocks.stop[i])
        r[16], r[17] = blocks.kind[i], blocks.level[i]
        r[18], r[19] = blocks.number[i], blocks.quote[i]
        element = blocks.element[i]
        r[20] = elements.depth[element]
        while element >= 0:
            r[21] += elements.hidden[element]
            element = elements.parent[element]


@leaf
def _ends(r: Floats, text: Bytes, start: int, stop: int) -> None:
    """How a block begins and ends; of characters beyond ASCII the last byte is looked at."""
    first, last = text[start], text[stop - 1]
    r[11] = 65 <= first <= 90
    # . ! ? and the last bytes of the Chinese full stop, the full-width and the closing ones
    r[12] = last == 46 or last == 33 or last == 63 or last == 0x82 or last == 0x81 or last == 0x9F
    r[13] = last == 58 or last == 0x9A
    r[14] = last == 0xA6 or (last == 46 and stop - start > 2 and text[stop - 2] == 46)
    r[15] = 48 <= first <= 57


@leaf
def _fold(byte: int) -> int:
    """A byte of a word, lowered; 0 for what is between words."""
    if 65 <= byte <= 90:
        return byte + 32
    return byte if 97 <= byte <= 122 or 48 <= byte <= 57 or byte >= 128 else 0


@njit(cache=True, nogil=True)
def add_title(x: Floats, text: Bytes, blocks: Blocks, title: Bytes) -> None:
    """The share of a block's words that the page's title has."""
    known = np.zeros(_TITLE_PLACES, np.uint64)
    value, end = np.uint64(0), min(len(title), _TITLE_BYTES)
    for at in range(end + 1):
        byte = _fold(int(title[at])) if at < end else 0
        if byte:
            value = value * _PRIME + np.uint64(byte + 1)
        elif value:
            known[value % np.uint64(_TITLE_PLACES)] = value
            value = np.uint64(0)
    for i in range(len(blocks.start)):
        if blocks.stop[i] - blocks.start[i] <= _HEADLINE_BYTES:
            x[i, TITLE_SHARE] = _shared(text, blocks.start[i], blocks.stop[i], known)


@leaf
def _shared(text: Bytes, start: int, stop: int, known: UInt64s) -> np.float32:
    words, shared, value = 0, 0, np.uint64(0)
    for at in range(start, stop + 1):
        byte = _fold(int(text[at])) if at < stop else 0
        if byte:
            value = value * _PRIME + np.uint64(byte + 1)
        elif value:
            words += 1
            shared += known[value % np.uint64(_TITLE_PLACES)] == value
            value = np.uint64(0)
    return ratio(shared, words)


@njit(cache=True, nogil=True)
def add_inside(x: Floats, blocks: Blocks, elements: Elements) -> None:
    """How many elements up the nearest of each watched tag is, 1 for the block's own; 0: none."""
    for i in range(len(blocks.start)):
        element, up = blocks.element[i], 1
        while element >= 0:
            place = _WATCHED_AT[elements.tag[element]]
            if place >= 0 and x[i, _IN_AT + place] == 0:
                x[i, _IN_AT + place] = up
            element = elements.parent[element]
            up += 1
