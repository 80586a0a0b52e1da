"""What a block's text is made of, as counts that add up over blocks."""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from services.extraction.engines.blocks.layout import Blocks, Bytes, Int32s, Kind, Scan

Int64s = npt.NDArray[np.int64]

#: Bytes of the text: a letter counts one to three, so that scripts with more in a letter are even.
BYTES: Final = 0
WORDS: Final = 1
LINK: Final = 2
DIGITS: Final = 3
UPPER: Final = 4
#: Signs that end a sentence, and that part it.
STOPS: Final = 5
COMMAS: Final = 6
#: Characters of Chinese, Japanese and Korean.
CJK: Final = 7
#: Signs that prose seldom has: | / > and the like, bullets, arrows, the copyright sign.
SIGNS: Final = 8
LINES: Final = 9
#: Bytes in long paragraphs; blocks, headings, items, long blocks.
PROSE: Final = 10
COUNT: Final = 11
HEADINGS: Final = 12
ITEMS: Final = 13
LONG: Final = 14
#: Blocks that are all link.
LINKS: Final = 15
COUNTS: Final = 16

#: From here a block is long, in bytes.
_LONG_BYTES: Final = 100
_HEADING, _ITEM, _PARAGRAPH = int(Kind.HEADING), int(Kind.ITEM), int(Kind.PARAGRAPH)


@njit(cache=True, nogil=True)
def count_blocks(text: Bytes, blocks: Blocks) -> Int32s:
    """(blocks, COUNTS): the counts of each block."""
    counts = np.zeros((len(blocks.start), COUNTS), np.int32)
    for i in range(len(blocks.start)):
        row = counts[i]
        _count(text, blocks.start[i], blocks.stop[i], row)
        row[LINK], row[COUNT] = min(blocks.link[i], row[BYTES]), 1
        row[LONG] = row[BYTES] >= _LONG_BYTES
        kind = blocks.kind[i]
        row[HEADINGS], row[ITEMS] = kind == _HEADING, kind == _ITEM
        if row[LONG] and 4 * row[LINK] < row[BYTES] and row[STOPS] + row[COMMAS] > 0:
            row[PROSE] = row[BYTES]
        row[LINKS] = 10 * row[LINK] >= 9 * row[BYTES]
    return counts


@njit(cache=True, nogil=True)
def _count(text: Bytes, start: int, stop: int, row: Int32s) -> None:
    inside = False
    for at in range(start, stop):
        byte = text[at]
        if byte <= 32:
            row[LINES] += byte == 10
            inside = False
            continue
        row[BYTES] += 1
        if byte < 128:
            letter = 97 <= byte | 32 <= 122
            row[UPPER] += 65 <= byte <= 90
            digit = 48 <= byte <= 57
            row[DIGITS] += digit
            if letter or digit:
                row[WORDS] += not inside
                inside = True
                continue
            if byte == 46 or byte == 33 or byte == 63:
                row[STOPS] += at + 1 == stop or text[at + 1] <= 34
            elif byte == 44 or byte == 59:
                row[COMMAS] += 1
            elif byte == 124 or byte == 47 or byte == 62 or byte == 60 or byte == 43 or byte == 61:
                row[SIGNS] += 1
            inside = inside and byte == 39
        elif byte >= 0xC0:
            inside = _beyond(text, at, stop, row, inside)


@njit(cache=True, nogil=True)
def _beyond(text: Bytes, at: int, stop: int, row: Int32s, inside: bool) -> bool:  # noqa: FBT001
    """Count a character beyond ASCII; whether it is part of a word."""
    byte = text[at]
    if at + 2 >= stop or byte < 0xE2:
        if byte == 0xC2:
            row[SIGNS] += 1
            return False
        row[WORDS] += not inside
        return True
    code = (np.int64(byte) & 15) << 12 | (np.int64(text[at + 1]) & 63) << 6 | (text[at + 2] & 63)
    if byte >= 0xF0:
        row[SIGNS] += 1
        return False
    if 0x3040 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7FF:
        row[CJK] += 1
        row[WORDS] += 1
        return False
    if code == 0x3002 or code == 0xFF01 or code == 0xFF1F:
        row[STOPS] += 1
    elif code == 0xFF0C or code == 0x3001 or code == 0xFF1B or code == 0xFF1A:
        row[COMMAS] += 1
    elif code == 0x2019:
        return inside
    elif 0x2022 <= code <= 0x2BFF or code == 0xFF5C:
        row[SIGNS] += 1
    elif code > 0x2E00 or code < 0x2000:
        row[WORDS] += not inside
        return True
    return False


def prefix_sums(counts: Int32s) -> Int64s:
    """(blocks + 1, COUNTS): sums of the blocks before each one."""
    sums = np.zeros((len(counts) + 1, counts.shape[1]), np.int64)
    np.cumsum(counts, axis=0, out=sums[1:])
    return sums


def page_counts(scan: Scan) -> Int32s:
    """The counts of a page's blocks."""
    return count_blocks(scan.text, scan.blocks)
