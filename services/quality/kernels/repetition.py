"""Compiled measures of repetition over hashed segments.

Segments and n-grams are compared by their 61-bit hashes; `shared.text.hashing` bounds the chance
of a collision. A table is cleared only as far as a document needs it, so the cost grows with the
words of each document, not with the longest one of the column.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.hashing import append, clear, find_or_insert, multiply, power, reduce, table_for

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]
Slots = npt.NDArray[np.int32]
#: For each word (scale, shift), see `joints`.
Joints = tuple[UInt64Array, UInt64Array]

#: The n of the measures (MassiveText, table A1): most frequent 2 to 4, repeated 5 to 10.
SHORTEST, LONGEST_TOP, LONGEST = 2, 4, 10
#: How n-grams are counted (`gopher_repetition_v1` explains each).
PAPER, DATATROVE, DCLM = 0, 1, 2


@njit(cache=True, nogil=True)
def duplicates(
    bounds: Int64Array, hashes: UInt64Array, characters: Int64Array, count_from: int
) -> tuple[Int64Array, Int64Array]:
    """For each document: its segments that occur more than once, and their characters.

    `count_from` 1: every copy of such a segment counts; 2: those after the first.
    """
    rows = len(bounds) - 1
    segments, sizes = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    most = np.max(bounds[1:] - bounds[:-1]) if rows else 0
    slots, copies = table_for(most), np.empty(most, np.int64)
    for row in range(rows):
        keys, length = hashes[bounds[row] : bounds[row + 1]], characters[bounds[row] :]
        bits = clear(slots, len(keys))
        for i in range(len(keys)):
            first = find_or_insert(slots, bits, keys, i)
            copies[i] = 1
            if first != i:
                copies[first] += 1
                counted = 2 if copies[first] == 2 and count_from == 1 else 1
                segments[row] += counted
                sizes[row] += counted * length[i]
    return segments, sizes


@njit(cache=True, nogil=True)
def joints(starts: Int64Array, ends: Int64Array, hashes: UInt64Array, separator: int) -> Joints:
    """For each word (scale, shift): with hash h for some words, h * scale + shift with this one.

    `separator` is the byte that joins words; -1: none does.
    """
    scale, shift = np.empty(len(starts), np.uint64), np.empty(len(starts), np.uint64)
    for i in range(len(starts)):
        scale[i], shift[i] = power(ends[i] - starts[i]), hashes[i]
        if separator >= 0:
            between = append(np.uint64(0), separator)
            shift[i] = reduce(multiply(between, scale[i]) + shift[i])
            scale[i] = multiply(scale[i], power(1))
    return scale, shift


@njit(cache=True, nogil=True)
def extend(grams: UInt64Array, scale: UInt64Array, shift: UInt64Array, n: int) -> UInt64Array:
    """Turn the hashes of all (n - 1)-grams into those of the n-grams, in place; returns those."""
    size = max(len(scale) - n + 1, 0)
    for i in range(size):
        last = i + n - 1
        grams[i] = reduce(multiply(grams[i], scale[last]) + shift[last])
    return grams[:size]


@njit(cache=True, nogil=True)
def first_and_copies(
    grams: UInt64Array, slots: Slots, first: Int64Array, copies: Int64Array
) -> None:
    """For each n-gram where it occurs first, and, there, how often it occurs."""
    bits = clear(slots, len(grams))
    for i in range(len(grams)):
        first[i] = find_or_insert(slots, bits, grams, i)
        copies[i] = 0
        copies[first[i]] += 1


@njit(cache=True, nogil=True)
def top_joined(before: Int64Array, n: int, grams: UInt64Array, copies: Int64Array) -> int:
    """Characters of the most frequent n-gram, joined by spaces, times its copies (datatrove).

    The first of equally frequent ones. `before[i]` are the characters of the words before word i.
    """
    best = 0
    for i in range(len(grams)):
        if copies[i] > copies[best]:
            best = i
    if len(grams) == 0:
        return 0
    return int((before[best + n] - before[best] + n - 1) * copies[best])


@njit(cache=True, nogil=True)
def covered(before: Int64Array, n: int, chosen: npt.NDArray[np.bool_]) -> int:
    """Characters of the words inside any of the chosen n-grams, each once."""
    total, end = 0, 0
    for i in range(len(chosen)):
        if chosen[i]:
            total += before[i + n] - before[max(i, end)]
            end = i + n
    return total


@njit(cache=True, nogil=True)
def top_longest(before: Int64Array, n: int, grams: UInt64Array, copies: Int64Array) -> int:
    """Where the most frequent n-gram occurs first; -1 where nothing repeats.

    The longest of equally frequent ones, and of those the first.
    """
    best, most, longest = -1, 1, 0
    for i in range(len(grams)):
        length = before[i + n] - before[i]
        if copies[i] > most or (copies[i] == most > 1 and length > longest):
            best, most, longest = i, copies[i], length
    return best


@njit(cache=True, nogil=True)
def top(
    convention: int,
    before: Int64Array,
    n: int,
    grams: UInt64Array,
    first: Int64Array,
    copies: Int64Array,
) -> int:
    """Characters of the most frequent n-gram, as the convention counts them."""
    if convention == DATATROVE:
        return top_joined(before, n, grams, copies)
    best = top_longest(before, n, grams, copies)
    if best < 0:
        return 0
    if convention == DCLM:
        return int((before[best + n] - before[best]) * copies[best])
    return covered(before, n, first[: len(grams)] == best)


@njit(cache=True, nogil=True)
def greedy(before: Int64Array, n: int, grams: UInt64Array, slots: Slots) -> int:
    """Characters of n-grams met before, going on after each of them (datatrove)."""
    bits, total, i = clear(slots, len(grams)), 0, 0
    while i < len(grams):
        if find_or_insert(slots, bits, grams, i) != i:
            total += before[i + n] - before[i]
            i += n
        else:
            i += 1
    return total


@njit(cache=True, nogil=True)
def running(characters: Int64Array) -> Int64Array:
    """Characters of the words before each word, and of all."""
    before = np.zeros(len(characters) + 1, np.int64)
    for i in range(len(characters)):
        before[i + 1] = before[i] + characters[i]
    return before


@njit(cache=True, nogil=True)
def ngrams(
    convention: int,
    bounds: Int64Array,
    hashes: UInt64Array,
    spaced: Joints,
    joined: Joints,
    characters: Int64Array,
) -> Int64Array:
    """Characters (document, n - 2) of the most frequent n-grams, then of repeated ones.

    `spaced` and `joined` are the joints by which most frequent and repeated n-grams are compared.
    """
    rows = len(bounds) - 1
    result = np.zeros((rows, LONGEST - SHORTEST + 1), np.int64)
    most = np.max(bounds[1:] - bounds[:-1]) if rows else 0
    slots, first, copies = table_for(most), np.empty(most, np.int64), np.empty(most, np.int64)
    for row in range(rows):
        a, b = bounds[row], bounds[row + 1]
        before = running(characters[a:b])
        tops, grams = hashes[a:b].copy(), hashes[a:b].copy()
        for n in range(SHORTEST, LONGEST + 1):
            grams = extend(grams, joined[0][a:b], joined[1][a:b], n)
            if n <= LONGEST_TOP:
                tops = extend(tops, spaced[0][a:b], spaced[1][a:b], n)
                first_and_copies(tops, slots, first, copies)
                size = top(convention, before, n, tops, first, copies)
            elif convention == DATATROVE:
                size = greedy(before, n, grams, slots)
            else:
                first_and_copies(grams, slots, first, copies)
                size = covered(before, n, copies[first[: len(grams)]] > 1)
            result[row, n - SHORTEST] = size
    return result
