"""Compiled look-ups over spans: patterns at a place, members of a list."""

import numpy as np
import numpy.typing as npt
from numba import njit

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def equal_at(data: Bytes, places: Int64Array, pattern: Bytes, sizes: Int64Array) -> BoolArray:
    """Whether the pattern's bytes stand at each place; never where the span's size is less."""
    result = np.zeros(len(places), np.bool_)
    for i in range(len(places)):
        same = 0
        if sizes[i] >= len(pattern):
            while same < len(pattern) and data[places[i] + same] == pattern[same]:
                same += 1
            result[i] = same == len(pattern)
    return result


@njit(cache=True, nogil=True)
def count_members(bounds: Int64Array, keys: UInt64Array, wanted: UInt64Array) -> Int64Array:
    """How often each document (rows) has each of the wanted keys (columns; sorted, distinct)."""
    counts = np.zeros((len(bounds) - 1, len(wanted)), np.int64)
    for row in range(len(bounds) - 1):
        for i in range(bounds[row], bounds[row + 1]):
            at = np.searchsorted(wanted, keys[i])
            if at < len(wanted) and wanted[at] == keys[i]:
                counts[row, at] += 1
    return counts
