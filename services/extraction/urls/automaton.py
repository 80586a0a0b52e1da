"""Words as parts of URLs: an Aho-Corasick automaton (CACM 18, 1975) in arrays.

The length of the list costs memory, not time: 4 bytes for each state (at most one a letter of the
list) and each byte that occurs in a word.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from services.extraction.urls.blocklists import Convention
from services.extraction.urls.keys import Bytes, Int64Array
from services.extraction.urls.words import Int16Array, part_bytes, read_words

Int32Array = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Automaton:
    """The states of a set of words; state 0 is the start.

    `columns` gives a byte's column in `steps`, -1 where the byte is passed over. `words` has the
    word that ends in a state, or -1, and `shorter` the next state on the way back whose word ends
    there too, or 0.
    """

    columns: Int16Array
    steps: Int32Array
    words: Int32Array
    shorter: Int32Array
    size: int

    def count(self, data: Bytes, starts: Int64Array, ends: Int64Array) -> Int64Array:
        """How many different words each text has."""
        found = count_parts(
            data, starts, ends, self.columns, self.steps, self.words, self.shorter, self.size
        )
        return np.asarray(found)


@cache
def strict_words_parser(convention: Convention) -> Callable[[Path], Automaton]:
    """The function that reads a list of strict words."""

    def parse(path: Path) -> Automaton:
        words = read_words(path, convention, "strict_words")
        return build([word.encode() for word in words], part_bytes(convention))

    return parse


def build(words: list[bytes], counts: Int16Array) -> Automaton:
    """The automaton of distinct words, over texts whose bytes count as `counts` says.

    A byte that is in no word has column 0, which leads back to the start. Words with a byte that
    never counts are never found.
    """
    alphabet = sorted({byte for word in words for byte in word})
    column = np.zeros(256, np.int16)
    column[alphabet] = np.arange(1, len(alphabet) + 1)
    columns = np.where(counts < 0, -1, column[np.maximum(counts, 0)]).astype(np.int16)
    states = 1 + sum(len(word) for word in words)
    steps = np.zeros((states, len(alphabet) + 1), np.int32)
    ends = np.full(states, -1, np.int32)
    used = 1
    for number, word in enumerate(words):
        state = 0
        for byte in word:
            if not steps[state, column[byte]]:
                steps[state, column[byte]] = used
                used += 1
            state = steps[state, column[byte]]
        ends[state] = number
    steps, ends = steps[:used].copy(), ends[:used].copy()
    shorter = link(steps, ends)
    return Automaton(columns, steps, ends, shorter, len(words))


@njit(cache=True, nogil=True)
def link(steps: Int32Array, words: Int32Array) -> Int32Array:
    """Complete a tree's steps with those after a mismatch, in place; returns `shorter`."""
    shorter = np.zeros(len(steps), np.int32)
    back = np.zeros(len(steps), np.int32)
    queue = np.empty(len(steps), np.int32)
    queue[0] = 0
    read, written = 0, 1
    while read < written:
        state = queue[read]
        read += 1
        for column in range(1, steps.shape[1]):
            child = steps[state, column]
            after = steps[back[state], column] if state else 0
            if child:
                back[child] = after
                shorter[child] = after if words[after] >= 0 else shorter[after]
                queue[written] = child
                written += 1
            else:
                steps[state, column] = after
    return shorter


@njit(cache=True, nogil=True)
def count_parts(
    data: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    columns: Int16Array,
    steps: Int32Array,
    words: Int32Array,
    shorter: Int32Array,
    size: int,
) -> Int64Array:
    """How many different words stand in each text."""
    counts = np.zeros(len(starts), np.int64)
    seen = np.full(size, -1, np.int64)
    for i in range(len(starts)):
        state = 0
        for at in range(starts[i], ends[i]):
            column = columns[data[at]]
            if column < 0:
                continue
            state = steps[state, column]
            ending = state if words[state] >= 0 else shorter[state]
            while ending:
                if seen[words[ending]] != i:
                    seen[words[ending]] = i
                    counts[i] += 1
                ending = shorter[ending]
    return counts
