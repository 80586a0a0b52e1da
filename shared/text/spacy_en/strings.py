"""Compiled look-up of short strings: a hash table over one block of bytes."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

#: Strings are shorter than this: their lengths are bits of a word.
LIMIT = 64
_OFFSET, _FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a
_32 = np.uint64(32)


class Strings(NamedTuple):
    """A set of strings; string i is `data[bounds[i]:bounds[i + 1]]`."""

    data: Bytes
    bounds: Int64Array
    #: Open addressing: an index, or -1.
    slots: npt.NDArray[np.int32]
    #: For each byte, bit n: some string of n bytes begins (ends) with it.
    first: UInt64Array
    last: UInt64Array


def build_strings(strings: list[str]) -> Strings:
    """The set of different, not empty strings."""
    encoded = [s.encode() for s in strings]
    lengths = [len(e) for e in encoded]
    if not all(0 < n < LIMIT for n in lengths):
        raise ValueError(f"strings must have 1 to {LIMIT - 1} bytes")
    first, last = np.zeros(256, np.uint64), np.zeros(256, np.uint64)
    for raw in encoded:
        first[raw[0]] |= np.uint64(1 << len(raw))
        last[raw[-1]] |= np.uint64(1 << len(raw))
    data = np.frombuffer(b"".join(encoded), np.uint8)
    bounds = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    slots = np.full(1 << (8 * len(strings)).bit_length(), -1, np.int32)
    fill(data, bounds, slots)
    return Strings(data, bounds, slots, first, last)


@njit(cache=True, nogil=True)
def slot_of(data: Bytes, start: int, end: int, slots: int) -> int:
    """Where the search for a string begins."""
    value = _OFFSET
    for at in range(start, end):
        value = (value ^ np.uint64(data[at])) * _FACTOR
    return int(np.int64((value ^ (value >> _32)) & np.uint64(slots - 1)))


@njit(cache=True, nogil=True)
def fill(data: Bytes, bounds: Int64Array, slots: npt.NDArray[np.int32]) -> None:
    """Enter each string."""
    for i in range(len(bounds) - 1):
        at = slot_of(data, bounds[i], bounds[i + 1], len(slots))
        while slots[at] >= 0:
            at = (at + 1) & (len(slots) - 1)
        slots[at] = i


@njit(cache=True, nogil=True)
def find(data: Bytes, start: int, end: int, strings: Strings) -> int:
    """The index of the string `data[start:end]`, or -1."""
    size = end - start
    if size <= 0 or size >= LIMIT:
        return -1
    lengths = strings.first[data[start]] & strings.last[data[end - 1]]
    if not (lengths >> np.uint64(size)) & np.uint64(1):
        return -1
    slots = strings.slots
    at = slot_of(data, start, end, len(slots))
    while slots[at] >= 0:
        index = int(slots[at])
        begin = strings.bounds[index]
        if strings.bounds[index + 1] - begin == size:
            same = True
            for i in range(size):
                same &= strings.data[begin + i] == data[start + i]
            if same:
                return index
        at = (at + 1) & (len(slots) - 1)
    return -1
