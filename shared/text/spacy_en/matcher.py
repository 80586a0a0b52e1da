"""Compiled final pass: tokens that together are a special case (`_apply_special_cases`).

Cutting a chunk leaves tokens that were a special case before some other rule cut between them:
":)" in "fine:)ok". spaCy looks for such rows of tokens in the finished text, takes the longest
first, and cuts them as the special case says. A row with spaces in it changes nothing itself,
but keeps shorter ones that overlap it from being taken.
"""

import numpy as np
from numba import njit

from shared.text.compiled import leaf
from shared.text.spacy_en.chunks import put_special
from shared.text.spacy_en.strings import Bytes, Int64Array, Memory, find
from shared.text.spacy_en.tables import CHANGES, FOUND, SPECIALS, STEPS, TOKEN_COUNT, TOKENS

#: Tokens of a pattern are fewer: lengths are bits of a word.
_BITS = 63


@leaf
def next_state(state: int, token: int | np.int64, memory: Memory) -> int:
    """Where a token leads, or -1: a binary search of the steps."""
    size = memory[memory[STEPS]]
    first = memory[STEPS] + 1
    key = state * memory[TOKEN_COUNT] + token
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if memory[first + middle] < key:
            low = middle + 1
        else:
            high = middle
    return int(memory[first + size + low]) if low < size and memory[first + low] == key else -1


@leaf
def changes_within(
    data: Bytes, starts: Int64Array, ends: Int64Array, first: int, count: int, memory: Memory
) -> bool:
    """Whether some row of a chunk's tokens, without spaces, has to be cut otherwise."""
    for i in range(first, count - 1):
        state = 0
        for j in range(i, count):
            token = find(data, starts[j], ends[j], memory, memory[TOKENS])
            if token < 0:
                break
            state = next_state(state, token, memory)
            if state < 0:
                break
            if memory[memory[CHANGES] + state]:
                return True
    return False


@leaf
def follows(data: Bytes, end: int, start: int) -> bool:
    """Whether there is nothing or one space between two tokens: more is a token of its own."""
    return start == end or (start == end + 1 and data[end] == ord(" "))


@njit(cache=True, nogil=True)
def match_lengths(data: Bytes, starts: Int64Array, ends: Int64Array, memory: Memory) -> Int64Array:
    """For each token, bit n: n tokens from there are a pattern."""
    ids = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        ids[i] = find(data, starts[i], ends[i], memory, memory[TOKENS])
    lengths = np.zeros(len(starts), np.int64)
    for i in range(len(starts)):
        state, j = 0, i
        while j < len(starts) and ids[j] >= 0 and (j == i or follows(data, ends[j - 1], starts[j])):
            state = next_state(state, ids[j], memory)
            if state < 0:
                break
            j += 1
            if memory[memory[FOUND] + state] >= 0 and j - i < _BITS:
                lengths[i] |= 1 << (j - i)
    return lengths


@njit(cache=True, nogil=True)
def taken_lengths(
    starts: Int64Array, ends: Int64Array, lengths: Int64Array, longest: int
) -> Int64Array:
    """For each token how many from there are replaced: of rows that overlap, the longest."""
    taken = np.zeros(len(starts), np.int64)
    seen = np.zeros(len(starts), np.bool_)
    for size in range(longest, 1, -1):
        for i in range(len(starts) - size + 1):
            if not (lengths[i] >> size) & 1:
                continue
            together = not seen[i] and not seen[i + size - 1]
            for j in range(i, i + size):
                together &= j == i or starts[j] == ends[j - 1]
                seen[j] = True
            if together:
                taken[i] = size
    return taken


@njit(cache=True, nogil=True)
def apply_special_cases(
    data: Bytes, starts: Int64Array, ends: Int64Array, first: int, count: int, memory: Memory
) -> int:
    """Cut the tokens of one text, from `first` on, as the final pass does; the new count."""
    old_starts, old_ends = starts[first:count].copy(), ends[first:count].copy()
    lengths = match_lengths(data, old_starts, old_ends, memory)
    longest = 0
    while np.any(lengths >> (longest + 1)):
        longest += 1
    taken = taken_lengths(old_starts, old_ends, lengths, longest)
    i, count = 0, first
    while i < len(taken):
        if taken[i]:
            end = old_ends[i + taken[i] - 1]
            special = find(data, old_starts[i], end, memory, memory[SPECIALS])
            count = put_special(old_starts[i], special, memory, starts, ends, count)
            i += taken[i]
        else:
            starts[count], ends[count] = old_starts[i], old_ends[i]
            count += 1
            i += 1
    return count
