"""Winnowed fingerprints of grams, and strong hashes of windows, in one pass over the units.

Of the grams of a window the one with the least hash is selected, the last of several equal ones
(Schleimer, Wilkerson, Aiken: Winnowing, SIGMOD 2003). What is selected depends on the window
alone, so that equal windows select the same of their grams: no duplicate is missed where the
windows of grams with equal fingerprints are compared. Of random text 2 / (grams + 1) of all
positions are selected.
"""

from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from services.dedup.kernels.compiled import Int64Array, UInt64Array, compiled
from services.dedup.kernels.shingling import mix64

UInt32Array: TypeAlias = npt.NDArray[np.uint32]
#: uint8 or uint32.
ValueArray: TypeAlias = npt.NDArray[Any]

#: Odd: of the rolling hash mod 2^64 that orders grams. It need not be strong.
_BASE = 0x9E3779B97F4A7C15
#: Keeps fingerprints apart from the order, whose least values are the selected ones.
_FINGERPRINT = 0xD1B54A32D192ED03
_PRIME: Final = (1 << 61) - 1
#: Bits of a window's key that are the window's own.
_WORD: Final = (1 << 56) - 1


def _point(name: bytes) -> int:
    """A number below 2^61 - 1."""
    return int.from_bytes(blake2b(name, digest_size=16).digest(), "little") % _PRIME


#: Where the windows' polynomials are taken, drawn by a hash of a name.
_POINT_1: Final = _point(b"windows of units, point 1")
_POINT_2: Final = _point(b"windows of units, point 2")


class Selected(NamedTuple):
    """Selected grams in order, each with the windows that select it."""

    row: Int64Array  # position of the document among those given
    at: UInt32Array  # first unit of the gram in its document
    window: UInt32Array  # first unit of the first window that selects it; the others follow
    windows: UInt32Array  # how many windows select it
    fingerprint: UInt64Array  # even over all 64 bits


@compiled
def _select_one(
    values: ValueArray,
    gram: int,
    ring: UInt64Array,
    at: UInt32Array,
    window: UInt32Array,
    fingerprint: UInt64Array,
) -> int:
    """The selected grams of a document, how many; `ring` has room for the grams of a window."""
    grams = len(ring)
    base = np.uint64(_BASE)
    power = np.uint64(1)
    h = np.uint64(0)
    for i in range(gram - 1):
        h = np.uint64(h * base + np.uint64(values[i]) + np.uint64(1))
        power = np.uint64(power * base)
    count, slot, least, last = 0, 0, -1, -1
    least_order = np.uint64(0)
    for g in range(len(values) - gram + 1):
        h = np.uint64(h * base + np.uint64(values[g + gram - 1]) + np.uint64(1))
        order = mix64(h)
        h = np.uint64(h - power * np.uint64(np.uint64(values[g]) + np.uint64(1)))
        ring[slot] = order
        if least < 0 or order <= least_order:
            least, least_order = g, order
        elif least <= g - grams:  # it has left the window: look through what is there
            least_order, i = order, slot
            for back in range(grams):
                if ring[i] < least_order or back == 0:
                    least, least_order = g - back, ring[i]
                i = i - 1 if i > 0 else grams - 1
        slot = slot + 1 if slot + 1 < grams else 0
        if g >= grams - 1 and least != last:
            last = least
            at[count], window[count] = least, g - grams + 1
            fingerprint[count] = least_order
            count += 1
    return count


@compiled
def select_all(
    values: ValueArray,
    begins: Int64Array,
    ends: Int64Array,
    gram: int,
    grams: int,
    salt: np.uint64,
    out: Selected,
) -> int:
    """The selected grams of all documents, how many; `out` has room for one a window."""
    ring = np.empty(grams, np.uint64)
    total = 0
    for d in range(len(begins)):
        size = ends[d] - begins[d]
        if size < gram + grams - 1:
            continue
        found = _select_one(
            values[begins[d] : ends[d]],
            gram,
            ring,
            out.at[total:],
            out.window[total:],
            out.fingerprint[total:],
        )
        windows = size - gram - grams + 2
        for i in range(total, total + found):
            following = out.window[i + 1] if i + 1 < total + found else windows
            out.row[i] = d
            out.windows[i] = following - out.window[i]
            out.fingerprint[i] = mix64(
                np.uint64(out.fingerprint[i] ^ salt) + np.uint64(_FINGERPRINT)
            )
        total += found
    return total


@compiled
def _times(a: np.uint64, b: np.uint64) -> np.uint64:
    """The product of two numbers below 2^61 - 1, mod 2^61 - 1."""
    low, thirty = np.uint64((1 << 31) - 1), np.uint64((1 << 30) - 1)
    a_high, a_low = a >> np.uint64(31), a & low
    b_high, b_low = b >> np.uint64(31), b & low
    middle = np.uint64(a_low * b_high + a_high * b_low)
    total = np.uint64(
        a_high * b_high * np.uint64(2)
        + (middle >> np.uint64(30))
        + ((middle & thirty) << np.uint64(31))
        + a_low * b_low
    )
    return _reduced(total)


@compiled
def _reduced(total: np.uint64) -> np.uint64:
    """A number mod 2^61 - 1."""
    prime = np.uint64(_PRIME)
    total = np.uint64((total & prime) + (total >> np.uint64(61)))
    return np.uint64(total - prime) if total >= prime else total


@compiled
def _powers(length: int) -> tuple[np.uint64, np.uint64]:
    """Both points to the power of `length`."""
    one, two = np.uint64(1), np.uint64(1)
    for _ in range(length):
        one, two = _times(one, np.uint64(_POINT_1)), _times(two, np.uint64(_POINT_2))
    return one, two


@compiled
def hash_windows(
    values: ValueArray,
    begins: Int64Array,
    counts: Int64Array,
    fingerprints: UInt64Array,
    length: int,
    salt: np.uint64,
    keys: UInt64Array,
    checks: UInt64Array,
) -> None:
    """128 bits of each window: `counts[i]` windows in a row from unit `begins[i]` on.

    Both words are values of the window's polynomial mod 2^61 - 1, whose coefficients are its units
    plus one, mixed with the salt by a bijection. Two different windows agree in one word at no more
    than `length` of all points, so in both, at two points drawn at random, with a probability of
    at most (length / (2^61 - 1))^2: 2^-110 for 50 units. The key's first 8 bits are those of
    the fingerprint of the gram that all these windows select, `fingerprints[i]`, so that windows
    in a row are matched by one task and leave one range; the other 56 are the word's, which costs
    less than one bit of the bound. Among 10^12 windows a false match has a chance of 2^-31.
    """
    power_1, power_2 = _powers(length)
    n = 0
    for i in range(len(begins)):
        head = np.uint64(fingerprints[i] & ~np.uint64(_WORD))
        one, two = np.uint64(0), np.uint64(0)
        for j in range(length + counts[i] - 1):
            at = begins[i] + j
            new = np.uint64(np.uint64(values[at]) + np.uint64(1))
            one = np.uint64(_times(one, np.uint64(_POINT_1)) + new)
            two = np.uint64(_times(two, np.uint64(_POINT_2)) + new)
            if j >= length:
                old = np.uint64(np.uint64(values[at - length]) + np.uint64(1))
                one = np.uint64(one + np.uint64(_PRIME) - _times(old, power_1))
                two = np.uint64(two + np.uint64(_PRIME) - _times(old, power_2))
            one, two = _reduced(one), _reduced(two)
            if j >= length - 1:
                keys[n] = head | (mix64(np.uint64(one + salt)) & np.uint64(_WORD))
                checks[n] = mix64(np.uint64(two ^ salt))
                n += 1
