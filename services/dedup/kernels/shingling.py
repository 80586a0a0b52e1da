"""Shingles of a document: where its units start, and a fast 64-bit hash of every n in a row.

Units are hashed once; the hash of n in a row is a polynomial of theirs, rolled from one shingle to
the next, so that its cost depends neither on n nor on their length.
"""

import numpy as np

from services.dedup.kernels.compiled import ByteArray, Int64Array, UInt64Array, compiled
from services.dedup.kernels.normalise import SPACE

#: FNV-1a, 64 bits (Fowler, Noll, Vo).
_FNV_BASIS = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
#: An odd factor, the first 64 bits of pi's fraction: nothing up the sleeve.
_BASE = np.uint64(0x243F6A8885A308D3)


@compiled
def mix64(h: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser, a bijection."""
    h = np.uint64((h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD))
    h = np.uint64((h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53))
    return np.uint64(h ^ (h >> np.uint64(33)))


@compiled
def unit_starts(text: ByteArray, size: int, by_words: bool) -> Int64Array:  # noqa: FBT001 (compiled: no keyword-only arguments)
    """Where each word (or character) of a normal form starts, and one past its end.

    The last entry is `size + 1` for words, as if a space followed, so that word i ends one before
    the start of word i + 1.
    """
    count = 0
    for i in range(size):
        count += int(text[i] == SPACE) if by_words else int(text[i] & 0xC0 != 0x80)
    starts = np.empty(count + 2, np.int64)
    units = 0
    if by_words and size > 0:
        starts[0] = 0
        units = 1
    for i in range(size):
        if by_words:
            if text[i] == SPACE:
                starts[units] = i + 1
                units += 1
        elif text[i] & 0xC0 != 0x80:
            starts[units] = i
            units += 1
    starts[units] = size + 1 if by_words else size
    return starts[: units + 1]


@compiled
def gram_hashes(
    text: ByteArray, starts: Int64Array, gap: int, ngram: int, out: UInt64Array
) -> None:
    """The hash of each `ngram` units in a row: FNV-1a of a unit, mixed; a polynomial of units.

    `out` holds one entry a shingle, `len(starts) - ngram`, at least one; unit i ends `gap` bytes
    before unit i + 1 starts.
    """
    units = np.empty(len(starts) - 1, np.uint64)
    for i in range(len(units)):
        h = _FNV_BASIS
        for at in range(starts[i], starts[i + 1] - gap):
            h = np.uint64((h ^ np.uint64(text[at])) * _FNV_PRIME)
        units[i] = mix64(h)
    leaving = np.uint64(1)
    value = np.uint64(0)
    for i in range(ngram):
        value = np.uint64(value * _BASE + units[i])
        leaving = np.uint64(leaving * _BASE)
    out[0] = mix64(value)
    for i in range(1, len(out)):
        entering = units[i + ngram - 1]
        value = np.uint64(value * _BASE + entering - units[i - 1] * leaving)
        out[i] = mix64(value)
