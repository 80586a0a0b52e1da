"""Compiled looks at the start and the end of a span of UTF-8, and at the size of lines."""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.compiled import leaf
from shared.text.lines import line_end
from shared.text.utf8 import decode

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@leaf
def stands_at(data: Bytes, at: int, end: int, pattern: Bytes) -> bool:
    """Whether the pattern's bytes stand at a place, and end there or before `end`."""
    if end - at < len(pattern):
        return False
    same = 0
    while same < len(pattern) and data[at + same] == pattern[same]:
        same += 1
    return same == len(pattern)


@leaf
def last_code(data: Bytes, start: int, end: int) -> int:
    """The last code point of a span that is not empty."""
    at = end - 1
    while at > start and data[at] & 0xC0 == 0x80:
        at -= 1
    return int(decode(data, at, end)[0])


@njit(cache=True, nogil=True)
def end_in(
    data: Bytes, starts: Int64Array, ends: Int64Array, codes: Int64Array
) -> npt.NDArray[np.bool_]:
    """Whether each span, none of them empty, ends in one of some code points (sorted)."""
    result = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        code = last_code(data, starts[i], ends[i])
        place = np.searchsorted(codes, code)
        result[i] = place < len(codes) and codes[place] == code
    return result


@njit(cache=True, nogil=True)
def count_long_lines(data: Bytes, begins: Int64Array, stops: Int64Array, fewest: int) -> Int64Array:
    """For each document its lines, blank ones too, of at least so many characters."""
    counts = np.zeros(len(begins), np.int64)
    for row in range(len(begins)):
        at = begins[row]
        while at <= stops[row]:
            feed = line_end(data, at, stops[row])
            characters = 0
            for i in range(at, feed):
                characters += (data[i] & 0xC0) != 0x80
            counts[row] += characters >= fewest
            at = feed + 1
    return counts
