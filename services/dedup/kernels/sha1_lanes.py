"""SHA-1 of sixteen messages at once: the hashes of shingles, most of the time of a small signature.

The same word of all messages stands together, one message a lane, so that the compiler's loops over
lanes work on eight at a time: a third of the time of `sha1.sha1_prefix`. FIPS 180-4, section 6.1.
"""

import numpy as np

from services.dedup.kernels.compiled import ByteArray, Int64Array, UInt64Array, compiled
from services.dedup.kernels.sha1 import BLOCK_BYTES, SCHEDULE_WORDS, UInt32Array, _rotate, _swap

#: Named lanes below: L. All distances between words are constants, or nothing is vectorised.
L = 16
_STATE_WORDS = 5


@compiled
def _load(data: ByteArray, start: int, size: int, at: int, w: UInt32Array, lane: int) -> None:
    """The block at `at` of a padded message: its bytes, 0x80, zeros, last its size in bits."""
    here = min(BLOCK_BYTES, max(0, size - at))
    words = here >> 2
    for i in range(words):
        p = start + at + 4 * i
        w[i * L + lane] = np.uint32(
            np.uint32(np.uint32(data[p]) << np.uint32(24))
            | np.uint32(np.uint32(data[p + 1]) << np.uint32(16))
            | np.uint32(np.uint32(data[p + 2]) << np.uint32(8))
            | np.uint32(data[p + 3])
        )
    for i in range(words, 16):
        w[i * L + lane] = np.uint32(0)
    for i in range(4 * words, here):
        shifted = np.uint32(data[start + at + i]) << np.uint32(24 - 8 * (i & 3))
        w[(i >> 2) * L + lane] |= np.uint32(shifted)
    if 0 <= size - at < BLOCK_BYTES:
        end = size - at
        w[(end >> 2) * L + lane] |= np.uint32(np.uint32(0x80) << np.uint32(24 - 8 * (end & 3)))
    if at + BLOCK_BYTES >= size + 9:
        w[14 * L + lane] = np.uint32((size * 8) >> 32)
        w[15 * L + lane] = np.uint32((size * 8) & 0xFFFFFFFF)


@compiled
def _choose(b: np.uint32, c: np.uint32, d: np.uint32) -> np.uint32:
    return np.uint32(d ^ (b & np.uint32(c ^ d)))


@compiled
def _parity(b: np.uint32, c: np.uint32, d: np.uint32) -> np.uint32:
    return np.uint32(b ^ c ^ d)


@compiled
def _majority(b: np.uint32, c: np.uint32, d: np.uint32) -> np.uint32:
    return np.uint32((b & c) | (d & np.uint32(b | c)))


@compiled
def _next(a: np.uint32, f: np.uint32, e: np.uint32, k: np.uint32, w: np.uint32) -> np.uint32:
    return np.uint32(_rotate(a, 5) + f + e + k + w)


@compiled
def _choose_rounds(s: UInt32Array, w: UInt32Array, at: int, k: np.uint32) -> None:
    """Five rounds of the first twenty; after five, each word of the state has its name again."""
    for i in range(L):
        a, b, c, d, e = s[i], s[L + i], s[2 * L + i], s[3 * L + i], s[4 * L + i]
        e, b = _next(a, _choose(b, c, d), e, k, w[at + i]), _rotate(b, 30)
        d, a = _next(e, _choose(a, b, c), d, k, w[at + L + i]), _rotate(a, 30)
        c, e = _next(d, _choose(e, a, b), c, k, w[at + 2 * L + i]), _rotate(e, 30)
        b, d = _next(c, _choose(d, e, a), b, k, w[at + 3 * L + i]), _rotate(d, 30)
        a, c = _next(b, _choose(c, d, e), a, k, w[at + 4 * L + i]), _rotate(c, 30)
        s[i], s[L + i], s[2 * L + i], s[3 * L + i], s[4 * L + i] = a, b, c, d, e


@compiled
def _parity_rounds(s: UInt32Array, w: UInt32Array, at: int, k: np.uint32) -> None:
    """Five of the second and fourth twenty."""
    for i in range(L):
        a, b, c, d, e = s[i], s[L + i], s[2 * L + i], s[3 * L + i], s[4 * L + i]
        e, b = _next(a, _parity(b, c, d), e, k, w[at + i]), _rotate(b, 30)
        d, a = _next(e, _parity(a, b, c), d, k, w[at + L + i]), _rotate(a, 30)
        c, e = _next(d, _parity(e, a, b), c, k, w[at + 2 * L + i]), _rotate(e, 30)
        b, d = _next(c, _parity(d, e, a), b, k, w[at + 3 * L + i]), _rotate(d, 30)
        a, c = _next(b, _parity(c, d, e), a, k, w[at + 4 * L + i]), _rotate(c, 30)
        s[i], s[L + i], s[2 * L + i], s[3 * L + i], s[4 * L + i] = a, b, c, d, e


@compiled
def _majority_rounds(s: UInt32Array, w: UInt32Array, at: int, k: np.uint32) -> None:
    """Five of the third twenty."""
    for i in range(L):
        a, b, c, d, e = s[i], s[L + i], s[2 * L + i], s[3 * L + i], s[4 * L + i]
        e, b = _next(a, _majority(b, c, d), e, k, w[at + i]), _rotate(b, 30)
        d, a = _next(e, _majority(a, b, c), d, k, w[at + L + i]), _rotate(a, 30)
        c, e = _next(d, _majority(e, a, b), c, k, w[at + 2 * L + i]), _rotate(e, 30)
        b, d = _next(c, _majority(d, e, a), b, k, w[at + 3 * L + i]), _rotate(d, 30)
        a, c = _next(b, _majority(c, d, e), a, k, w[at + 4 * L + i]), _rotate(c, 30)
        s[i], s[L + i], s[2 * L + i], s[3 * L + i], s[4 * L + i] = a, b, c, d, e


@compiled
def _compress(s: UInt32Array, w: UInt32Array, before: UInt32Array) -> None:
    """Add a block of each lane to the states; `before` is room for them."""
    for i in range(16 * L, SCHEDULE_WORDS * L, L):
        for j in range(i, i + L):
            w[j] = _rotate(
                np.uint32(w[j - 3 * L] ^ w[j - 8 * L] ^ w[j - 14 * L] ^ w[j - 16 * L]), 1
            )
    before[:] = s
    for i in range(0, 20 * L, 5 * L):
        _choose_rounds(s, w, i, np.uint32(0x5A827999))
    for i in range(20 * L, 40 * L, 5 * L):
        _parity_rounds(s, w, i, np.uint32(0x6ED9EBA1))
    for i in range(40 * L, 60 * L, 5 * L):
        _majority_rounds(s, w, i, np.uint32(0x8F1BBCDC))
    for i in range(60 * L, 80 * L, 5 * L):
        _parity_rounds(s, w, i, np.uint32(0xCA62C1D6))
    for i in range(_STATE_WORDS * L):
        s[i] = np.uint32(s[i] + before[i])


@compiled
def _start(s: UInt32Array) -> None:
    """The state before the first block."""
    s[:L] = np.uint32(0x67452301)
    s[L : 2 * L] = np.uint32(0xEFCDAB89)
    s[2 * L : 3 * L] = np.uint32(0x98BADCFE)
    s[3 * L : 4 * L] = np.uint32(0x10325476)
    s[4 * L :] = np.uint32(0xC3D2E1F0)


@compiled
def sha1_prefixes(data: ByteArray, starts: Int64Array, ends: Int64Array, out: UInt64Array) -> None:
    """Write the first 8 bytes of each `data[starts[i]:ends[i]]`'s digest, as `sha1_prefix` does."""
    s, before = np.empty(_STATE_WORDS * L, np.uint32), np.empty(_STATE_WORDS * L, np.uint32)
    w = np.zeros(SCHEDULE_WORDS * L, np.uint32)
    for first in range(0, len(starts), L):
        last = min(first + L, len(starts))
        longest = 0
        for i in range(first, last):
            longest = max(longest, ends[i] - starts[i])
        _start(s)
        for at in range(0, longest + 9, BLOCK_BYTES):
            for i in range(first, last):
                if at < ends[i] - starts[i] + 9:
                    _load(data, starts[i], ends[i] - starts[i], at, w, i - first)
            _compress(s, w, before)
            for i in range(first, last):
                if at < ends[i] - starts[i] + 9 <= at + BLOCK_BYTES:  # its last block
                    low, high = s[i - first], s[L + i - first]
                    out[i] = np.uint64(_swap(low) | (_swap(high) << np.uint64(32)))
