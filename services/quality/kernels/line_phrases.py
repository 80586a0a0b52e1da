"""Compiled phrases in a line: patterns that are cut out of it, and counters ("1.2k likes")."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.quality.kernels.characters import DECIMAL, SPACE, WORD
from services.quality.kernels.line_text import Work, kinds, skip_space

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

#: In a pattern: any one character; a place beside which no letter or digit stands.
ANY, EDGE = -1, -2


class Phrases(NamedTuple):
    """A list of phrases: code points in lower case, one phrase after the other."""

    codes: Int32Array
    bounds: Int64Array


class Tables(NamedTuple):
    """What is known of characters."""

    flags: Bytes  # of `services.quality.kernels.characters`
    scripts: Bytes  # of `shared.text.characters`
    lower: Int32Array


class Counters(NamedTuple):
    """What a counter such as "1.2k likes" is made of."""

    number_first: Phrases  # what is counted, after the number
    number_last: Phrases  # what is counted, before the number
    suffixes: Phrases  # thousands, millions
    classifiers: Phrases
    space: bool  # whether white space must follow the number
    several: bool  # whether a line may hold more than one


@njit(cache=True, nogil=True)
def match(
    codes: Int32Array, span: tuple[int, int], at: int, pattern: Int32Array, tables: Tables
) -> int:
    """Where a pattern ends that begins at `at` of the line `span`; -1 where it does not."""
    first, last = span
    for token in pattern:
        if token == EDGE:
            inner = first < at < last
            if inner and kinds(codes[at - 1], tables.flags) & kinds(codes[at], tables.flags) & WORD:
                return -1
            continue
        if at >= last:
            return -1
        code = codes[at]
        if token >= 0 and (tables.lower[code] if code < len(tables.lower) else code) != token:
            return -1
        at += 1
    return at


@njit(cache=True, nogil=True)
def first_match(
    codes: Int32Array, span: tuple[int, int], at: int, phrases: Phrases, tables: Tables
) -> int:
    """Where the first phrase ends that fits at `at`; -1 where none does."""
    for i in range(len(phrases.bounds) - 1):
        pattern = phrases.codes[phrases.bounds[i] : phrases.bounds[i + 1]]
        end = match(codes, span, at, pattern, tables)
        if end >= 0:
            return end
    return -1


@njit(cache=True, nogil=True)
def skip_symbols(codes: Int32Array, at: int, last: int, flags: Bytes) -> int:
    r"""The first character from `at` on that is `\w`."""
    while at < last and not kinds(codes[at], flags) & WORD:
        at += 1
    return at


@njit(cache=True, nogil=True)
def number_end(
    codes: Int32Array, span: tuple[int, int], at: int, counters: Counters, tables: Tables
) -> int:
    r"""The end of `\d[,.\d]*` and a suffix; -1 where no number begins."""
    if at >= span[1] or not kinds(codes[at], tables.flags) & DECIMAL:
        return -1
    while at < span[1] and (
        kinds(codes[at], tables.flags) & DECIMAL or codes[at] == ord(",") or codes[at] == ord(".")
    ):
        at += 1
    return max(at, first_match(codes, span, at, counters.suffixes, tables))


@njit(cache=True, nogil=True)
def counter_end(
    codes: Int32Array, span: tuple[int, int], at: int, counters: Counters, tables: Tables
) -> int:
    """The end of a number and what it counts, in either order; -1 where there is none."""
    number = number_end(codes, span, at, counters, tables)
    if number >= 0:
        noun = skip_space(codes, number, span[1], tables.flags)
        if counters.space and noun == number:
            return -1
        classified = first_match(codes, span, noun, counters.classifiers, tables)
        if classified >= 0:
            after = skip_space(codes, classified, span[1], tables.flags)
            end = first_match(codes, span, after, counters.number_first, tables)
            if end >= 0:
                return end
        return first_match(codes, span, noun, counters.number_first, tables)
    noun = first_match(codes, span, at, counters.number_last, tables)
    if noun < 0:
        return -1
    digits = skip_symbols(codes, noun, span[1], tables.flags)
    end = number_end(codes, span, digits, counters, tables)
    if end < 0:
        return -1
    return max(end, first_match(codes, span, end, counters.classifiers, tables))


@njit(cache=True, nogil=True)
def is_counter(
    codes: Int32Array, first: int, last: int, counters: Counters, tables: Tables
) -> bool:
    """Whether a line is a counter, or several, and nothing else but symbols."""
    span, found = (first, last), 0
    at = skip_symbols(codes, first, last, tables.flags)
    while at < last:
        if found and not counters.several:
            return False
        at = counter_end(codes, span, at, counters, tables)
        if at < 0:
            return False
        found += 1
        at = skip_symbols(codes, at, last, tables.flags)
    return found > 0


@njit(cache=True, nogil=True)
def cut_anywhere(work: Work, i: int, phrases: Phrases, tables: Tables) -> None:
    r"""Delete every phrase of the line, each with a white space before it (`\s?`)."""
    codes, span = work.codes, (work.first[i], work.last[i])
    at = out = work.first[i]
    while at < span[1]:
        end = -1
        if kinds(codes[at], tables.flags) & SPACE:
            end = first_match(codes, span, at + 1, phrases, tables)
        if end < 0:
            end = first_match(codes, span, at, phrases, tables)
        if end > at:
            at = end
        else:
            codes[out], work.places[out] = codes[at], work.places[at]
            out += 1
            at += 1
    work.gaps[i] |= out < span[1]
    work.last[i] = out


@njit(cache=True, nogil=True)
def cut_end(work: Work, i: int, phrases: Phrases, tables: Tables) -> None:
    """Delete the longest phrase that ends the line, with a white space before it."""
    span = (work.first[i], work.last[i])
    best = span[1]
    for k in range(len(phrases.bounds) - 1):
        pattern = phrases.codes[phrases.bounds[k] : phrases.bounds[k + 1]]
        at = span[1] - np.sum(pattern != EDGE)
        if span[0] <= at < best and match(work.codes, span, at, pattern, tables) == span[1]:
            best = at
    if span[0] < best < span[1] and kinds(work.codes[best - 1], tables.flags) & SPACE:
        best -= 1
    work.last[i] = best


@njit(cache=True, nogil=True)
def cut_start(work: Work, i: int, phrases: Phrases, tables: Tables) -> None:
    """Delete the first phrase that begins the line, with a white space after it."""
    span = (work.first[i], work.last[i])
    end = first_match(work.codes, span, span[0], phrases, tables)
    if end >= 0:
        after = end < span[1] and kinds(work.codes[end], tables.flags) & SPACE
        work.first[i] = end + (1 if after else 0)
