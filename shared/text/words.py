"""Compiled segmentation of UTF-8 bytes into words.

Each convention is one loop over the bytes of all documents of a column. It takes the bytes, where
each document begins and stops (bytes) and the flags of characters, writes the segments that it
finds to `starts` and `ends` (bytes), and where each document's segments begin to `bounds`; it
returns their number. Two segments have at least one byte between them, or one of them is a
character of three bytes, so `(stop - begin) // 2 + 2` places for each document are enough.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.characters import EXTEND, LETTER, MID_LETTER, MID_NUMBER, NUMBER, SINGLE, SPACE
from shared.text.utf8 import flags_at

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def whitespace_words(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """Words as `str.split()` gives them: what lies between white space."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        at, stop, start = begins[row], stops[row], -1
        while at < stop:
            kind, size = flags_at(data, at, stop, flags)
            if kind & SPACE:
                if start >= 0:
                    starts[count], ends[count] = start, at
                    count += 1
                start = -1
            elif start < 0:
                start = at
            at += size
        if start >= 0:
            starts[count], ends[count] = start, stop
            count += 1
    bounds[len(begins)] = count
    return count


@njit(cache=True, nogil=True)
def unicode_word_end(data: Bytes, at: int, stop: int, flags: Bytes) -> int:
    """Where the word ends that starts at `at`; `at` itself where none starts there."""
    kind, size = flags_at(data, at, stop, flags)
    if not kind & (LETTER | NUMBER):
        return at
    single = kind & SINGLE
    while True:
        at += size
        if kind & (LETTER | NUMBER):
            before = kind  # the last character that is no mark
        kind, size = flags_at(data, at, stop, flags)
        if kind & EXTEND:
            continue
        if single or kind & SINGLE:
            return at
        if kind & (LETTER | NUMBER):
            continue
        after, _ = flags_at(data, at + size, stop, flags)
        joins = (kind & MID_LETTER and before & LETTER and after & LETTER) or (
            kind & MID_NUMBER and before & NUMBER and after & NUMBER
        )
        if not joins or after & SINGLE:
            return at


@njit(cache=True, nogil=True)
def unicode_words(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """Runs of letters, digits and their marks; each ideograph and kana by itself."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        at, stop = begins[row], stops[row]
        while at < stop:
            end = unicode_word_end(data, at, stop, flags)
            if end > at:
                starts[count], ends[count] = at, end
                count += 1
                at = end
            else:
                at += flags_at(data, at, stop, flags)[1]
    bounds[len(begins)] = count
    return count
