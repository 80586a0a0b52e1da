"""Compiled loops of `shared.language_model`: fastText's hashes, n-grams and tree of labels.

Sums are in single precision and in the library's order, so that they are the library's bits.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]


class Ngrams(NamedTuple):
    """The n-grams that were not pruned, by their bucket: a bitmap, and rows in its order."""

    bits: npt.NDArray[np.uint64]
    #: How many bits are set before each word of `bits`.
    ranks: Int32Array
    rows: Int32Array
    #: Buckets; the shortest and the longest n-gram in characters.
    limits: Int64Array


class Words(NamedTuple):
    """The vocabulary: word i is `data[ends[i]:ends[i + 1]]`, found through `slots` by its hash.

    A known word stands for the rows `rows[starts[i]:starts[i + 1]]`; a label for none.
    """

    data: Bytes
    ends: Int64Array
    hashes: npt.NDArray[np.uint32]
    slots: Int32Array
    rows: Int32Array
    starts: Int64Array


@njit(cache=True, nogil=True)
def _add_byte(h: Any, byte: Any) -> Any:
    """FNV-1a, 32 bits; a byte is a signed char there."""
    wide = np.uint32(byte) if byte < 128 else np.uint32(byte) | np.uint32(0xFFFFFF00)
    return np.uint32((h ^ wide) * np.uint32(16777619))


@njit(cache=True, nogil=True)
def hash_bytes(data: Bytes) -> Any:
    """The hash of a word."""
    h = np.uint32(2166136261)
    for byte in data:
        h = _add_byte(h, byte)
    return h


@njit(cache=True, nogil=True)
def _row_of(h: Any, inverse: float, ngrams: Ngrams) -> int:
    """The row of an n-gram with this hash, -1 where it was pruned."""
    # h % buckets by the reciprocal: a division would take half of the time of the whole.
    buckets = ngrams.limits[0]
    place = np.int64(h) - np.int64(np.float64(h) * inverse) * buckets
    if place < 0:
        place += buckets
    elif place >= buckets:
        place -= buckets
    block, bit = place >> 6, np.uint64(place & 63)
    word = ngrams.bits[block]
    if not (word >> bit) & np.uint64(1):
        return -1
    before = word & ((np.uint64(1) << bit) - np.uint64(1))
    rank = np.int64(ngrams.ranks[block])
    while before:
        before &= before - np.uint64(1)
        rank += 1
    return int(ngrams.rows[rank])


@njit(cache=True, nogil=True)
def subword_rows(word: Bytes, size: int, ngrams: Ngrams, out: Int32Array) -> int:
    """Rows of the n-grams of `<word>`, its marks included, in the library's order."""
    shortest, longest = ngrams.limits[1], ngrams.limits[2]
    inverse = 1.0 / ngrams.limits[0]
    found = 0
    for i in range(size):
        if (word[i] & 0xC0) == 0x80:
            continue
        h, j, n = np.uint32(2166136261), i, 0
        while n < longest and j < size:
            n += 1
            h = _add_byte(h, word[j])
            j += 1
            while j < size and (word[j] & 0xC0) == 0x80:
                h = _add_byte(h, word[j])
                j += 1
            if n >= shortest and not (n == 1 and (i == 0 or j == size)):
                out[found] = _row_of(h, inverse, ngrams)
                found += out[found] >= 0
    return found


@njit(cache=True, nogil=True)
def _equal(data: Bytes, start: int, end: int, other: Any, first: int, last: int) -> bool:
    """Whether two spans of bytes are the same."""
    if end - start != last - first:
        return False
    for i in range(end - start):  # noqa: SIM110 (numba compiles no generator expression here)
        if data[start + i] != other[first + i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _find(text: Bytes, start: int, end: int, words: Words) -> int:
    """The number of a word of the vocabulary, -1 for an unknown one."""
    h = hash_bytes(text[start:end])
    mask = len(words.slots) - 1
    at = np.int64(h) & mask
    while words.slots[at] >= 0:
        word = words.slots[at]
        first, last = words.ends[word], words.ends[word + 1]
        if words.hashes[word] == h and _equal(text, start, end, words.data, first, last):
            return int(word)
        at = (at + 1) & mask
    return -1


@njit(cache=True, nogil=True)
def _word_after(text: Bytes, at: int) -> tuple[int, int]:
    """The next word from a place on: (start, end); they are equal at the end of the text."""
    size = len(text)
    while at < size and (text[at] == 32 or 9 <= text[at] <= 13 or text[at] == 0):
        at += 1
    end = at
    while end < size and not (text[end] == 32 or 9 <= text[end] <= 13 or text[end] == 0):
        end += 1
    return at, end


@njit(cache=True, nogil=True)
def _add(hidden: Float32Array, matrix: Float32Array, rows: Int32Array, first: int, end: int) -> int:
    """Add rows of the matrix; how many."""
    for i in range(first, end):
        for j in range(len(hidden)):
            hidden[j] += matrix[rows[i], j]
    return end - first


@njit(cache=True, nogil=True)
def hidden_layer(
    text: Bytes, words: Words, ngrams: Ngrams, matrix: Float32Array, hidden: Float32Array
) -> int:
    """The mean of a line's rows into `hidden` (zeros before); how many rows there were.

    A word `</s>` ends the line; its row, that of the vocabulary's first `</s>`, always comes last.
    """
    scratch = np.empty(len(text) + 2, np.uint8)
    out = np.empty((len(text) + 2) * ngrams.limits[2] + 1, np.int32)
    scratch[0] = 60  # "<"
    count = 0
    start, end = _word_after(text, 0)
    while start < end and not _equal(text, start, end, b"</s>", 0, 4):
        word = _find(text, start, end, words)
        if word >= 0:
            count += _add(hidden, matrix, words.rows, words.starts[word], words.starts[word + 1])
        elif end - start < 9 or not _equal(text, start, start + 9, b"__label__", 0, 9):
            size = end - start + 2
            scratch[1 : size - 1] = text[start:end]
            scratch[size - 1] = 62  # ">"
            count += _add(hidden, matrix, out, 0, subword_rows(scratch, size, ngrams, out))
        start, end = _word_after(text, end)
    mark = np.frombuffer(b"</s>", np.uint8)
    word = _find(mark, 0, 4, words)
    if word >= 0:
        count += _add(hidden, matrix, words.rows, words.starts[word], words.starts[word + 1])
    if count:
        hidden *= np.float32(1.0 / count)
    return count


@njit(cache=True, nogil=True)
def label_scores(
    hidden: Float32Array, output: Float32Array, tree: Int32Array, lowest: Any, best_only: Any
) -> Float32Array:
    """The labels' probabilities, 0 where the logarithm of one is below `lowest`.

    With `best_only`, of the best one alone: of equal ones the last, as in the library.
    """
    leaves, one = len(tree) + 1, np.float32(1)
    scores = np.full(leaves, -np.inf, np.float32)
    nodes, sums = np.empty(2 * leaves, np.int32), np.empty(2 * leaves, np.float32)
    nodes[0], sums[0], depth = 2 * leaves - 2, np.float32(0), 1
    best = np.float32(-np.inf)
    while depth:
        depth -= 1
        node, score = nodes[depth], sums[depth]
        if score < lowest or (best_only and score < best):
            continue
        if node < leaves:
            if best_only:
                scores[:] = -np.inf
            scores[node] = best = score
            continue
        f = np.float32(0)
        for j in range(len(hidden)):
            f += output[node - leaves, j] * hidden[j]
        f = one / (one + np.float32(math.exp(-f)))
        # The library goes left first: what is pushed last comes first.
        for side in (1, 0):
            nodes[depth] = tree[node - leaves, side]
            sums[depth] = score + np.float32(math.log(np.float64(f if side else one - f) + 1e-5))
            depth += 1
    for leaf in range(leaves):
        scores[leaf] = np.float32(math.exp(scores[leaf]))
    return scores
