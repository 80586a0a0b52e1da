"""Shingles of a document: where its units start, and a fast 64-bit hash of every n in a row.

Units are words, characters or tokens, each a range of bytes of the document's normal form (tokens:
four bytes of their id). Units are hashed once; the hash of n in a row is a polynomial of theirs,
rolled from one shingle to the next, so that its cost depends neither on n nor on their length.
"""

import numpy as np

from services.dedup.kernels.compiled import ByteArray, Int64Array, Texts, UInt64Array, compiled
from services.dedup.kernels.normalise import SPACE, capacity, normalise
from services.dedup.normalization import Table

#: Bytes of a token's id.
TOKEN_BYTES = 4
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


@compiled
def _distinct(values: UInt64Array) -> int:
    """Sort values and bring each to the front once; returns how many they are."""
    values.sort()
    count = 0
    for i in range(len(values)):
        if count == 0 or values[i] != values[count - 1]:
            values[count] = values[i]
            count += 1
    return count


@compiled
def text_shingles(
    texts: Texts,
    table: Table,
    split: bool,  # noqa: FBT001 (compiled functions have no keyword-only arguments)
    by_words: bool,  # noqa: FBT001
    ngram: int,
) -> tuple[UInt64Array, Int64Array]:
    """The distinct shingle hashes of each text, ascending, and where each text's begin."""
    rows = len(texts.valid)
    # A shingle starts at a byte of its own, but folding may write more than it reads.
    found = np.empty(int(texts.offsets[rows] - texts.offsets[0]) * table.growth + rows, np.uint64)
    offsets = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        offsets[row + 1] = offsets[row]
        if not texts.valid[row]:
            continue
        at, end = texts.offsets[row], texts.offsets[row + 1]
        text = np.empty(capacity(end - at, table), np.uint8)
        size = normalise(texts.data, at, end, table, split, text, 0)
        starts = unit_starts(text, size, by_words)
        shingles = len(starts) - ngram
        if shingles > 0:
            out = found[offsets[row] : offsets[row] + shingles]
            gram_hashes(text, starts, int(by_words), ngram, out)
            offsets[row + 1] += _distinct(out)
    return found[: offsets[rows]], offsets


@compiled
def token_shingles(
    ids: ByteArray, bounds: Int64Array, ngram: int
) -> tuple[UInt64Array, Int64Array]:
    """The same of documents of tokens: document i has tokens `bounds[i]:bounds[i + 1]`.

    `ids` are the bytes of the tokens' ids.
    """
    rows = len(bounds) - 1
    found = np.empty(len(ids) // TOKEN_BYTES, np.uint64)
    offsets = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        offsets[row + 1] = offsets[row]
        shingles = int(bounds[row + 1] - bounds[row]) - ngram + 1
        if shingles > 0:
            out = found[offsets[row] : offsets[row] + shingles]
            starts = np.arange(bounds[row], bounds[row + 1] + 1) * TOKEN_BYTES
            gram_hashes(ids, starts, 0, ngram, out)
            offsets[row + 1] += _distinct(out)
    return found[: offsets[rows]], offsets
