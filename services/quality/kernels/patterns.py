"""Compiled look-ups over spans: patterns at a place, members of a list, kinds of characters."""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.utf8 import flags_at

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]
Float64Array = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

#: Word lengths that `medians` counts in a table; longer ones are sorted.
SHORT = 256


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


@njit(cache=True, nogil=True)
def first_has(
    data: Bytes, starts: Int64Array, ends: Int64Array, flags: Bytes, flag: int
) -> BoolArray:
    """Whether a span's first character has a flag; never in an empty span."""
    result = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        result[i] = flags_at(data, starts[i], ends[i], flags)[0] & flag != 0
    return result


@njit(cache=True, nogil=True)
def any_lacks(
    data: Bytes, starts: Int64Array, ends: Int64Array, flags: Bytes, flag: int
) -> BoolArray:
    """Whether a span has a character without a flag."""
    result = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        at = starts[i]
        while at < ends[i] and not result[i]:
            kind, size = flags_at(data, at, ends[i], flags)
            result[i] = kind & flag == 0
            at += size
    return result


@njit(cache=True, nogil=True)
def medians(bounds: Int64Array, values: Int64Array) -> Float64Array:
    """The median of each document's values (not negative), the mean of the middle two; 0 of none.

    Word lengths are small, so they are counted; only where the middle is longer are they sorted.
    """
    result, counts = np.zeros(len(bounds) - 1, np.float64), np.zeros(SHORT, np.int64)
    for row in range(len(bounds) - 1):
        own = values[bounds[row] : bounds[row + 1]]
        if len(own) == 0:
            continue
        counts[:] = 0
        for value in own:
            counts[min(value, SHORT - 1)] += 1
        below, low, high = 0, -1, -1
        for value in range(SHORT):
            below += counts[value]
            if low < 0 and below > (len(own) - 1) // 2:
                low = value
            if high < 0 and below > len(own) // 2:
                high = value
        if high == SHORT - 1:
            ordered = np.sort(own)
            low, high = ordered[(len(own) - 1) // 2], ordered[len(own) // 2]
        result[row] = (low + high) / 2
    return result
