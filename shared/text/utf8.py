"""Compiled reading of characters in UTF-8 bytes: their flags, their number, their hashes.

A span is `data[starts[i]:ends[i]]`. Bytes that are no UTF-8 (Arrow does not check) give some
character or other, and never a read outside the span.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.compiled import leaf
from shared.text.hashing import append

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
#: Flags of each code point, of this package or of one convention.
Flags = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@leaf
def decode(data: Bytes, at: int, end: int) -> tuple[np.int64, int]:
    """The code point at a byte, and its bytes; never reads beyond `end`."""
    first = np.int64(data[at])
    if first < 0x80 or at + 1 >= end:
        return first, 1
    second = np.int64(data[at + 1]) & 0x3F
    if first < 0xE0 or at + 2 >= end:
        return (first & 0x1F) << 6 | second, 2
    third = np.int64(data[at + 2]) & 0x3F
    if first < 0xF0 or at + 3 >= end:
        return (first & 0x0F) << 12 | second << 6 | third, 3
    fourth = np.int64(data[at + 3]) & 0x3F
    return (first & 0x07) << 18 | second << 12 | third << 6 | fourth, 4


@leaf
def flags_at(data: Bytes, at: int, end: int, flags: Flags) -> tuple[np.int64, int]:
    """The flags of the character at a byte, and its bytes; no flags beyond the text's end."""
    if at >= end:
        return np.int64(0), 1
    code, size = decode(data, at, end)
    return (np.int64(flags[code]) if code < len(flags) else np.int64(0)), size


@njit(cache=True, nogil=True)
def count_characters(data: Bytes, starts: Int64Array, ends: Int64Array) -> Int64Array:
    """Code points of each span."""
    counts = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        count = 0
        for at in range(starts[i], ends[i]):
            count += (data[at] & 0xC0) != 0x80
        counts[i] = count
    return counts


@njit(cache=True, nogil=True)
def have_any(
    data: Bytes, starts: Int64Array, ends: Int64Array, flags: Bytes, wanted: int
) -> npt.NDArray[np.bool_]:
    """Whether a span has a character with one of the `wanted` flags."""
    result = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        at = starts[i]
        while at < ends[i] and not result[i]:
            kind, size = flags_at(data, at, ends[i], flags)
            result[i] = kind & wanted != 0
            at += size
    return result


@njit(cache=True, nogil=True)
def hash_characters(
    data: Bytes, starts: Int64Array, ends: Int64Array, lower: npt.NDArray[np.int32]
) -> npt.NDArray[np.uint64]:
    """As `hash_spans`, but over code points, each replaced by its place in `lower` if any."""
    hashes = np.empty(len(starts), np.uint64)
    for i in range(len(starts)):
        value, at = np.uint64(0), starts[i]
        while at < ends[i]:
            code, size = decode(data, at, ends[i])
            if code < len(lower):
                code = np.int64(lower[code])
            value = append(value, code)
            at += size
        hashes[i] = value
    return hashes
