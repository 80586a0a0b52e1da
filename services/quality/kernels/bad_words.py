"""Compiled count of listed words and phrases in lines, by what stands beside them."""

import numpy as np
import numpy.typing as npt
from numba import njit

from services.quality.kernels.automaton import Automaton, fold
from shared.text.characters import LETTER, NUMBER
from shared.text.compiled import leaf
from shared.text.utf8 import flags_at

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

#: What must stand on both sides of a word: a character other than a to z (the line's ends are
#: none); a character that is no letter, number or underscore, or the line's end; anything.
NOT_A_TO_Z, NO_WORD, ANYTHING = 0, 1, 2
_UNDERSCORE = 95


@leaf
def is_word_character(data: Bytes, at: int, end: int, flags: Bytes) -> bool:
    r"""Whether `re`'s \w matches the character at a place."""
    if data[at] == _UNDERSCORE:
        return True
    return bool(flags_at(data, at, end, flags)[0] & (LETTER | NUMBER))


@leaf
def stands_apart(line: Bytes, size: int, start: int, end: int, flags: Bytes, beside: int) -> bool:
    """Whether [start, end) of the first `size` bytes has beside it what `beside` says."""
    if beside == NOT_A_TO_Z:
        if start == 0 or end == size:
            return False
        return not (97 <= line[start - 1] <= 122 or 97 <= line[end] <= 122)
    if beside == ANYTHING:
        return True
    before = start - 1
    while before > 0 and line[before] & 0xC0 == 0x80:
        before -= 1
    return not (
        (start > 0 and is_word_character(line, before, start, flags))
        or (end < size and is_word_character(line, end, size, flags))
    )


@leaf
def count_apart(automaton: Automaton, line: Bytes, size: int, flags: Bytes, beside: int) -> int:
    """How often the automaton's phrases stand apart in a folded line; overlaps all count."""
    classes, table, width = automaton
    state, count = 0, 0
    for at in range(size):
        state = table[state + classes[line[at]]]
        if not table[state + width]:
            continue
        ending = state
        while ending:
            length = table[ending + width + 1]
            if length and stands_apart(line, size, at + 1 - length, at + 1, flags, beside):
                count += 1
            ending = table[ending + width + 2]
    return count


@njit(cache=True, nogil=True)
def count_bad_words(
    data: Bytes,
    offsets: Int64Array,
    automaton: Automaton,
    lower: Int32Array,
    flags: Bytes,
    beside: int,
) -> Int64Array:
    """How many listed words each line `data[offsets[i]:offsets[i + 1]]` has."""
    counts = np.zeros(len(offsets) - 1, np.int64)
    longest = np.max(offsets[1:] - offsets[:-1]) if len(counts) else 0
    folded = np.empty(2 * longest, np.uint8)
    for i in range(len(counts)):
        size = fold(data, offsets[i], offsets[i + 1], lower, folded, 0)
        counts[i] = count_apart(automaton, folded, size, flags, beside)
    return counts
