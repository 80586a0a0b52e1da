"""Compiled line-wise corrections: which lines go, and which pieces of lines.

The order and the details are those of DCLM's modifiers (mlfoundations/dclm,
baselines/mappers/modifiers.py), whose text is stripped after each rule but the fourth.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.quality.kernels.characters import DIGIT, SPACE, UPPER
from services.quality.kernels.line_phrases import (
    Counters,
    Phrases,
    Tables,
    cut_anywhere,
    cut_end,
    cut_start,
    is_counter,
)
from services.quality.kernels.line_text import (
    COUNTER,
    DIGITS,
    FEW_WORDS,
    KEPT,
    PATTERN,
    UPPERCASE,
    Work,
    kinds,
    read,
    skip_space,
    trim,
    write_edits,
)
from shared.text.characters import LETTER, NUMBER, SINGLE

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


class Rules(NamedTuple):
    """Everything that decides."""

    uppercase_frac: float
    digit_frac: float
    by_character: bool  # how words of a line are counted
    min_words: int
    max_words: int
    counters: Counters
    anywhere: Phrases
    end: Phrases
    start: Phrases


@njit(cache=True, nogil=True)
def share_exceeds(work: Work, i: int, flags: Bytes, flag: int, most: float) -> bool:
    """Whether a greater share than `most` of a line's characters have a flag.

    Looks at no more characters than it takes to know.
    """
    left = int(work.last[i] - work.first[i])
    missing = int(most * left)
    while missing / left <= most:
        missing += 1
    for at in range(work.first[i], work.last[i]):
        if missing > left:
            return False
        missing -= kinds(work.codes[at], flags) & flag != 0
        left -= 1
    return missing <= 0


@njit(cache=True, nogil=True)
def words_of(work: Work, i: int, tables: Tables, by_character: bool, enough: int) -> int:  # noqa: FBT001 (numba)
    """Words between white space; or ideographs and kana, other words as two. Counts to `enough`."""
    count, inside = 0, False
    for at in range(work.first[i], work.last[i]):
        if count >= enough:
            return count
        if kinds(work.codes[at], tables.flags) & SPACE:
            inside = False
        elif by_character:
            kind = kinds(work.codes[at], tables.scripts)
            if kind & SINGLE:
                count += 1
                inside = False
            elif kind & (LETTER | NUMBER) and not inside:
                count += 2
                inside = True
        elif not inside:
            count += 1
            inside = True
    return count


@njit(cache=True, nogil=True)
def cut_pieces(work: Work, lines: int, rules: Rules, tables: Tables, where: int) -> None:
    """Delete phrases from short lines, and the lines of which nothing is left."""
    for i in range(lines):
        before = work.last[i] - work.first[i]
        if work.state[i] != KEPT or before == 0:
            continue
        enough = rules.max_words + 1
        if words_of(work, i, tables, rules.by_character, enough) >= enough:
            continue
        if where == 0:
            cut_anywhere(work, i, rules.anywhere, tables)
        elif where == 1:
            cut_end(work, i, rules.end, tables)
        else:
            cut_start(work, i, rules.start, tables)
        work.edited[i] |= work.last[i] - work.first[i] < before
        if skip_space(work.codes, work.first[i], work.last[i], tables.flags) == work.last[i]:
            work.state[i] = PATTERN


@njit(cache=True, nogil=True)
def drop_lines(work: Work, lines: int, rules: Rules, tables: Tables, why: int) -> None:
    """Drop the lines that one rule names; empty ones stay."""
    for i in range(lines):
        first, last = work.first[i], work.last[i]
        if work.state[i] != KEPT or first == last:
            continue
        if why == UPPERCASE:
            drop = share_exceeds(work, i, tables.flags, UPPER, rules.uppercase_frac)
        elif why == DIGITS:
            drop = share_exceeds(work, i, tables.flags, DIGIT, rules.digit_frac)
        elif why == COUNTER:
            drop = is_counter(work.codes, first, last, rules.counters, tables)
        else:
            words = words_of(work, i, tables, rules.by_character, rules.min_words)
            drop = words < rules.min_words
        if drop:
            work.state[i] = why


@njit(cache=True, nogil=True)
def correct(
    data: Bytes, begins: Int64Array, stops: Int64Array, rules: Rules, tables: Tables
) -> tuple[Int32Array, Int32Array, Int64Array, Int64Array]:
    """The deletions of all documents, where each document's begin, and counts of lines by state.

    The counts' columns: lines by their state, then edited lines among those kept, then all lines.
    """
    rows = len(begins)
    most = int(np.max(stops - begins)) + 1 if rows else 1
    codes, places = np.empty(most, np.int32), np.empty(most, np.int64)
    first, last, feed = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    state, gaps, edited = (
        np.empty(most, np.uint8),
        np.empty(most, np.bool_),
        np.empty(most, np.bool_),
    )
    work = Work(codes, places, first, last, feed, state, gaps, edited)
    starts, ends, count = np.empty(1024, np.int32), np.empty(1024, np.int32), 0
    bounds, counts = np.zeros(rows + 1, np.int64), np.zeros((rows, 9), np.int64)
    for row in range(rows):
        lines = read(work, data, begins[row], stops[row])
        for why in (UPPERCASE, DIGITS, COUNTER, FEW_WORDS):
            drop_lines(work, lines, rules, tables, why)
            if why != FEW_WORDS:
                trim(work, lines, tables.flags)
        for where in range(3):
            cut_pieces(work, lines, rules, tables, where)
            trim(work, lines, tables.flags)
        starts, ends, count = write_edits(
            work, lines, begins[row], stops[row], (starts, ends), count
        )
        bounds[row + 1] = count
        for i in range(lines):
            counts[row, work.state[i]] += 1
            counts[row, 7] += work.state[i] == KEPT and work.edited[i]
        counts[row, 8] = lines
    return starts[:count], ends[:count], bounds, counts
