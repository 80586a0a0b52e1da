"""Compiled hashes of spans of bytes.

A span of bytes b0 ... bk is hashed as the polynomial sum of (bi + 1) * BASE^(k - i) modulo the
Mersenne prime 2^61 - 1. The hash of a concatenation follows from the hashes of its parts, so an
n-gram costs one multiplication, whatever its length, and n-grams joined with and without spaces
are told apart exactly as their strings would be.

Collisions: two different spans of at most L bytes collide for at most L of the 2^61 bases (a
polynomial of degree L has at most L roots). For m different n-grams of at most L bytes in a
document the chance of any collision is below m^2 L / 2^62: 2e-9 for a page with 10,000 n-grams of
100 bytes. The base is fixed, so that results can be repeated: who knows it can build collisions,
and gains what copying a sentence would gain.

These loops are inlined into others', and numba's cache does not see a change here from there:
delete `__pycache__` after a change of this file.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

PRIME = np.uint64(2**61 - 1)
#: The fraction digits of pi (0x243F6A8885A308D3 13198A2E...), top 60 bits: nothing up the sleeve.
BASE = np.uint64(0x243F6A8885A308D)
_LOW_30 = np.uint64(2**30 - 1)
_LOW_31 = np.uint64(2**31 - 1)
_30, _31, _61 = np.uint64(30), np.uint64(31), np.uint64(61)
_ONE = np.uint64(1)
#: 2^64 / golden ratio: spreads neighbouring hashes over a table (Knuth, TAOCP 6.4).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def reduce(value: np.uint64) -> np.uint64:
    """`value` modulo PRIME."""
    value = (value >> _61) + (value & PRIME)
    return value - PRIME if value >= PRIME else value


@njit(cache=True, nogil=True)
def multiply(a: np.uint64, b: np.uint64) -> np.uint64:
    """`a * b` modulo PRIME, for a, b < PRIME: in halves of 30 and 31 bits, as 2^61 = 1."""
    a_high, a_low = a >> _31, a & _LOW_31
    b_high, b_low = b >> _31, b & _LOW_31
    middle = a_low * b_high + a_high * b_low
    high = (a_high * b_high << _ONE) + (middle >> _30)
    return reduce(high + ((middle & _LOW_30) << _31) + a_low * b_low)


@njit(cache=True, nogil=True)
def power(exponent: int) -> np.uint64:
    """BASE to the `exponent` modulo PRIME, by squaring."""
    result, square = _ONE, BASE
    while exponent > 0:
        if exponent & 1:
            result = multiply(result, square)
        square = multiply(square, square)
        exponent >>= 1
    return result


@njit(cache=True, nogil=True)
def append(value: np.uint64, byte: int | np.integer) -> np.uint64:
    """The hash of the span that `value` hashes and one more byte (or code point)."""
    return reduce(multiply(value, BASE) + np.uint64(byte + 1))


@njit(cache=True, nogil=True)
def hash_spans(data: Bytes, starts: Int64Array, ends: Int64Array) -> UInt64Array:
    """The hash of each span `data[starts[i]:ends[i]]`; 0 for an empty one."""
    hashes = np.empty(len(starts), np.uint64)
    for i in range(len(starts)):
        value = np.uint64(0)
        for at in range(starts[i], ends[i]):
            value = append(value, data[at])
        hashes[i] = value
    return hashes


@njit(cache=True, nogil=True)
def clear(slots: npt.NDArray[np.int32], entries: int) -> int:
    """Empty the part of a table that `entries` need; returns its bits. `find_or_insert` uses it."""
    bits = 1
    while (1 << bits) < 2 * entries:
        bits += 1
    slots[: 1 << bits] = -1
    return bits


@njit(cache=True, nogil=True)
def find_or_insert(
    slots: npt.NDArray[np.int32], bits: int, keys: UInt64Array, i: int | np.integer
) -> int:
    """The first index inserted with the key `keys[i]`; inserts and returns `i` where none was."""
    mask = (1 << bits) - 1
    at = np.int64((keys[i] * _GOLDEN) >> np.uint64(64 - bits))
    while slots[at] >= 0:
        if keys[slots[at]] == keys[i]:
            return int(slots[at])
        at = (at + 1) & mask
    slots[at] = i
    return int(i)


@njit(cache=True, nogil=True)
def table_for(entries: int) -> npt.NDArray[np.int32]:
    """A table large enough for `clear` with up to so many entries."""
    return np.empty(max(2, 4 * entries), np.int32)
