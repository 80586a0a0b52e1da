"""SHA-1, compiled: its first 64 bits are the hash of a shingle in datasketch and datatrove.

A call of hashlib for each shingle would cost more than all the rest of MinHash. Security plays no
part here. FIPS 180-4, section 6.1.
"""

import numpy as np
import numpy.typing as npt

from services.dedup.kernels.compiled import ByteArray, compiled

UInt32Array = npt.NDArray[np.uint32]

BLOCK_BYTES = 64
#: Words of the message schedule of a block.
SCHEDULE_WORDS = 80


@compiled
def _rotate(x: np.uint32, bits: int) -> np.uint32:
    return np.uint32(np.uint32(x << np.uint32(bits)) | np.uint32(x >> np.uint32(32 - bits)))


@compiled
def _load(data: ByteArray, start: int, size: int, at: int, padded: int, w: UInt32Array) -> None:
    """The block at `at` of the padded message: its bytes, 0x80, zeros, last its size in bits."""
    here = min(BLOCK_BYTES, max(0, size - at))
    words = here >> 2
    for i in range(words):
        p = start + at + 4 * i
        w[i] = np.uint32(
            np.uint32(np.uint32(data[p]) << np.uint32(24))
            | np.uint32(np.uint32(data[p + 1]) << np.uint32(16))
            | np.uint32(np.uint32(data[p + 2]) << np.uint32(8))
            | np.uint32(data[p + 3])
        )
    for i in range(words, 16):
        w[i] = np.uint32(0)
    for i in range(4 * words, here):
        shifted = np.uint32(data[start + at + i]) << np.uint32(24 - 8 * (i & 3))
        w[i >> 2] = np.uint32(w[i >> 2] | shifted)
    if 0 <= size - at < BLOCK_BYTES:
        end = size - at
        w[end >> 2] = np.uint32(w[end >> 2] | (np.uint32(0x80) << np.uint32(24 - 8 * (end & 3))))
    if at + BLOCK_BYTES == padded:
        w[14] = np.uint32((size * 8) >> 32)
        w[15] = np.uint32((size * 8) & 0xFFFFFFFF)


@compiled
def _compress(h: UInt32Array, w: UInt32Array) -> None:
    """Add a block to the state."""
    for i in range(16, SCHEDULE_WORDS):
        w[i] = _rotate(np.uint32(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]), 1)
    a, b, c, d, e = h[0], h[1], h[2], h[3], h[4]
    for i in range(SCHEDULE_WORDS):
        if i < 20:
            f, k = np.uint32(d ^ (b & np.uint32(c ^ d))), np.uint32(0x5A827999)
        elif i < 40:
            f, k = np.uint32(b ^ c ^ d), np.uint32(0x6ED9EBA1)
        elif i < 60:
            f, k = np.uint32((b & c) | (d & np.uint32(b | c))), np.uint32(0x8F1BBCDC)
        else:
            f, k = np.uint32(b ^ c ^ d), np.uint32(0xCA62C1D6)
        total = np.uint32(_rotate(a, 5) + f + e + k + w[i])
        e, d, c, b, a = d, c, _rotate(b, 30), a, total
    h[0] = np.uint32(h[0] + a)
    h[1] = np.uint32(h[1] + b)
    h[2] = np.uint32(h[2] + c)
    h[3] = np.uint32(h[3] + d)
    h[4] = np.uint32(h[4] + e)


@compiled
def _swap(x: np.uint32) -> np.uint64:
    """The bytes of a word in reverse, widened."""
    y = np.uint64(x)
    return np.uint64(
        ((y & np.uint64(0xFF)) << np.uint64(24))
        | ((y & np.uint64(0xFF00)) << np.uint64(8))
        | ((y >> np.uint64(8)) & np.uint64(0xFF00))
        | (y >> np.uint64(24))
    )


@compiled
def sha1_prefix(data: ByteArray, start: int, end: int, h: UInt32Array, w: UInt32Array) -> np.uint64:
    """The first 8 bytes of the digest of `data[start:end]` as a little-endian integer.

    Its low 32 bits are datasketch's `sha1_hash32`, all of it datasketch's and datatrove's
    `sha1_hash64`. `h` (5,) and `w` (80,) are room to work in.
    """
    h[0] = np.uint32(0x67452301)
    h[1] = np.uint32(0xEFCDAB89)
    h[2] = np.uint32(0x98BADCFE)
    h[3] = np.uint32(0x10325476)
    h[4] = np.uint32(0xC3D2E1F0)
    size = end - start
    padded = ((size + 8) // BLOCK_BYTES + 1) * BLOCK_BYTES
    for at in range(0, padded, BLOCK_BYTES):
        _load(data, start, size, at, padded, w)
        _compress(h, w)
    return np.uint64(_swap(h[0]) | (_swap(h[1]) << np.uint64(32)))
