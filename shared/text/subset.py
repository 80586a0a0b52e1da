"""Compiled search for the texts of one column in another, by content.

A step gets the rows that are still kept, in new memory; their segments are known from the rows
that the step before got. Comparing bytes costs a hundredth of finding words in them, and needs no
one to say which rows were taken.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.compiled import leaf

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
_BLOCK = 64


@leaf
def same_bytes(data: Bytes, start: int, other: Bytes, begin: int, size: int) -> bool:
    """Whether two spans of a size are equal; block by block, which the compiler does in one go."""
    at = 0
    while at + _BLOCK <= size:
        differ = np.uint8(0)
        for i in range(_BLOCK):  # unsigned: a negative index would be one from the end
            differ |= data[np.uint64(start + at + i)] ^ other[np.uint64(begin + at + i)]
        if differ:
            return False
        at += _BLOCK
    while at < size and data[start + at] == other[begin + at]:
        at += 1
    return at == size


@njit(cache=True, nogil=True)
def find_rows(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    known: Bytes,
    known_begins: Int64Array,
    known_stops: Int64Array,
) -> tuple[Int64Array, bool]:
    """For each text its row among the known ones, ascending; and whether all were found."""
    rows = np.empty(len(begins), np.int64)
    at = 0
    for row in range(len(begins)):
        start, size = begins[row], stops[row] - begins[row]
        while at < len(known_begins):
            begin = known_begins[at]
            if known_stops[at] - begin == size and same_bytes(data, start, known, begin, size):
                break
            at += 1
        if at == len(known_begins):
            return rows, False
        rows[row] = at
        at += 1
    return rows, True
