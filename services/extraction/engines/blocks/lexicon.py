"""What words say: those in class and id of the elements around a block, and those of its text.

The model has two tables of scores by hash: how much of the text inside elements with such a token,
or of the blocks with such a word, is main text on other sites. Hashes that collide share a score.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from services.extraction.engines.blocks.layout import Blocks, Bytes, Elements, Int32s, Scan, UInt32s
from shared.text.compiled import leaf

Floats = npt.NDArray[np.float32]
#: Scores, -127 (never main) to 127 (always), 0: not known; one a bucket.
Scores = npt.NDArray[np.int8]

#: Buckets of each table.
BUCKETS: Final = 2**15
#: Words of a block that are looked at, from its start.
WORDS: Final = 24
NAMES: Final = (
    "token_own_low", "token_own_high", "token_up_low", "token_up_high", "token_sum", "token_near",
    "token_near_up", "token_low_up", "word_mean", "word_low", "word_high", "word_first",
    "word_last", "word_known",
)  # fmt: skip


@leaf
def bucket(value: np.uint32) -> np.int64:
    """The bucket of a hash."""
    mixed = np.uint32(value ^ (value >> np.uint32(15))) * np.uint64(0x9E3779B1)
    return np.int64((mixed >> np.uint64(12)) & np.uint64(BUCKETS - 1))


def lexicon_features(matrix: Floats, base: int, scan: Scan, tokens: Scores, words: Scores) -> None:
    """Fill in the columns from `base` on; the matrix has a row a block and holds zeros."""
    if len(matrix):
        add_token_scores(matrix, base, scan.blocks, scan.elements, tokens)
        add_word_scores(matrix, base, scan.text, scan.blocks, words)


@njit(cache=True, nogil=True)
def add_token_scores(
    x: Floats, base: int, blocks: Blocks, elements: Elements, table: Scores
) -> None:
    """The scores of the tokens of each block's elements: lowest, highest, nearest, sum."""
    count = len(elements.tag)
    low, high = np.zeros(count, np.int16), np.zeros(count, np.int16)
    for e in range(count):
        for t in range(elements.token_bounds[e], elements.token_bounds[e + 1]):
            score = table[bucket(elements.tokens[t])]
            low[e], high[e] = min(low[e], score), max(high[e], score)
    for i in range(len(blocks.start)):
        r, element, up = x[i, base:], blocks.element[i], 0
        r[0], r[1] = low[element], high[element]
        while element >= 0:
            if low[element] < r[2]:
                r[2], r[7] = low[element], up
            r[3] = max(r[3], np.float32(high[element]))
            both = low[element] + high[element]
            r[4] += both
            if r[5] == 0 and both != 0:
                r[5], r[6] = both, up
            element = elements.parent[element]
            up += 1


@leaf
def next_word(text: Bytes, at: int, stop: int) -> tuple[np.uint32, int]:
    """(hash of the next word, where it ends): letters lowered; two characters where each is one."""
    while at < stop and not (97 <= text[at] | 32 <= 122 or text[at] >= 0xC3):
        at += 1
    value = np.uint32(0)
    if at < stop and 0xE3 <= text[at] <= 0xED:
        end = min(at + 6, stop)
        for i in range(at, end):
            value = np.uint32((value ^ np.uint32(text[i])) * np.uint32(0x01000193))
        return value, min(at + 3, stop)
    while at < stop and (97 <= text[at] | 32 <= 122 or text[at] >= 128):
        byte = text[at] | 32 if text[at] < 128 else text[at]
        value = np.uint32((value ^ np.uint32(byte)) * np.uint32(0x01000193))
        at += 1
    return value, at


@njit(cache=True, nogil=True)
def add_word_scores(x: Floats, base: int, text: Bytes, blocks: Blocks, table: Scores) -> None:
    """The scores of the words at the start of each block and of the last one."""
    for i in range(len(blocks.start)):
        r = x[i, base:]
        at, stop = blocks.start[i], blocks.stop[i]
        total, known, seen = 0, 0, 0
        while seen < WORDS:
            value, at = next_word(text, at, stop)
            if value == 0:
                break
            score = int(table[bucket(value)])
            if seen == 0:
                r[11] = score
            seen += 1
            if score != 0:
                total += score
                known += 1
                r[9], r[10] = min(r[9], np.float32(score)), max(r[10], np.float32(score))
            r[12] = score
        r[8] = np.float32(total) / np.float32(max(known, 1))
        r[13] = np.float32(known) / np.float32(max(seen, 1))


@njit(cache=True, nogil=True)
def block_words(text: Bytes, blocks: Blocks, words: UInt32s, bounds: Int32s) -> None:
    """Buckets of the words that `add_word_scores` looks at, block i's from `bounds[i]` on."""
    place = 0
    for i in range(len(blocks.start)):
        bounds[i] = place
        at, stop = blocks.start[i], blocks.stop[i]
        for _ in range(WORDS):
            value, at = next_word(text, at, stop)
            if value == 0:
                break
            words[place] = bucket(value)
            place += 1
    bounds[len(blocks.start)] = place
