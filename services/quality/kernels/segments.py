"""Compiled segmentations that only the quality rules use, after released code.

The loops have the arguments of those in `shared.text.words`. Segments may touch, so each document
needs a place a byte.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.lines import NEWLINE, stripped
from shared.text.python_lines import split_size

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

#: Carriage return.
_RETURN = 13


@njit(cache=True, nogil=True)
def lines_with_blank(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """Lines as `str.splitlines()` gives them, each stripped, blank ones too."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        at = begins[row]
        while at < stops[row]:
            end, size = at, 0
            while end < stops[row] and size == 0:
                size = split_size(data, end, stops[row])
                end += size == 0
            starts[count], ends[count] = stripped(data, at, end, flags)
            count += 1
            at = end + size
            if data[at - 1] == _RETURN and at < stops[row] and data[at] == NEWLINE:
                at += 1  # the two are one end
    bounds[len(begins)] = count
    return count


@njit(cache=True, nogil=True)
def fasttext_words(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    _flags: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """Words as fastText's tokenizer: what lies between ASCII white space or NUL."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        start = -1
        for at in range(begins[row], stops[row]):
            byte = data[at]
            if byte == 0x20 or 0x09 <= byte <= 0x0D or byte == 0:
                if start >= 0:
                    starts[count], ends[count] = start, at
                    count += 1
                start = -1
            elif start < 0:
                start = at
        if start >= 0:
            starts[count], ends[count] = start, stops[row]
            count += 1
    bounds[len(begins)] = count
    return count


@njit(cache=True, nogil=True)
def strip_segments(
    data: Bytes, starts: Int64Array, ends: Int64Array, bounds: Int64Array, flags: Bytes
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The segments without white space at their ends, empty ones left out."""
    new_starts, new_ends = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    new_bounds, count = np.empty(len(bounds), np.int64), 0
    for row in range(len(bounds) - 1):
        new_bounds[row] = count
        for i in range(bounds[row], bounds[row + 1]):
            start, end = stripped(data, starts[i], ends[i], flags)
            if start < end:
                new_starts[count], new_ends[count] = start, end
                count += 1
    new_bounds[len(bounds) - 1] = count
    return new_starts[:count], new_ends[:count], new_bounds
