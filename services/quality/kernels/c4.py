"""Compiled rules of C4 for lines: why a line goes, and what is left of one that stays."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.quality.kernels.automaton import Automaton, find_groups, fold
from services.quality.kernels.ends import last_code, stands_at
from shared.text.characters import SPACE
from shared.text.utf8 import decode, flags_at

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

#: What becomes of a line.
KEPT, LONG_WORD, NO_TERMINAL_PUNCT, FEW_WORDS, JAVASCRIPT, POLICY = range(6)
#: Bits of the groups of phrases, in the order in which they are compiled.
IN_PLACEHOLDER, IN_JAVASCRIPT, IN_BRACKET, IN_POLICY = 1, 2, 4, 8

_OPEN, _CLOSE = 91, 93
_EDIT = np.frombuffer(b"[edit]", np.uint8)
_NEEDED = np.frombuffer(b"[citation needed]", np.uint8)


class Rules(NamedTuple):
    """What the rules go by; the arrays are read-only tables."""

    flags: Bytes
    #: Code points of digits from U+0080 on, sorted.
    digits: Int64Array
    lower: Int32Array
    phrases: Automaton
    #: Code points, sorted; empty: a line may end in anything.
    terminal_marks: Int64Array
    #: A line that ends so has no terminal mark; empty: none.
    ellipsis: Bytes
    most_characters: int
    fewest_words: int
    cut_citations: bool
    count_after: bool


class Cleaned(NamedTuple):
    """The lines' fates, and the kept lines without their citations, one after the other."""

    fates: Bytes
    #: Bits of the groups found, by document.
    groups: Int64Array
    #: Kept line i is `data[offsets[i]:offsets[i + 1]]`, and line `lines[i]` of the original.
    data: Bytes
    offsets: Int64Array
    lines: Int64Array
    #: By document, where its kept lines begin.
    bounds: Int64Array
    #: Citations of the kept lines, in bytes of the original; those of line i from `cut_bounds[i]`.
    cut_starts: Int64Array
    cut_ends: Int64Array
    cut_bounds: Int64Array


@njit(cache=True, nogil=True)
def measure(data: Bytes, start: int, end: int, flags: Bytes) -> tuple[int, int, bool]:
    """Words between white space, characters of the longest, and whether there is a "["."""
    words, longest, size, opens = 0, 0, 0, False
    at = start
    while at < end:
        byte, step = data[at], 1
        if byte < 0x80:
            space = flags[byte] & SPACE
            opens |= byte == _OPEN
        else:
            kind, step = flags_at(data, at, end, flags)
            space = kind & SPACE
        if space:
            size = 0
        else:
            words += size == 0
            size += 1
            longest = max(longest, size)
        at += step
    return words, longest, opens


@njit(cache=True, nogil=True)
def citation_end(data: Bytes, at: int, end: int, digits: Int64Array) -> int:
    r"""Where `\[\d*]|\[edit]|\[citation needed]` that opens at `at` ends; `at` where none does."""
    close = at + 1
    while close < end and data[close] != _CLOSE:
        code, size = decode(data, close, end)
        if code < 0x80:
            if not 48 <= code <= 57:
                break
        else:
            place = np.searchsorted(digits, code)
            if place == len(digits) or digits[place] != code:
                break
        close += size
    if close < end and data[close] == _CLOSE:
        return close + 1
    for note in (_EDIT, _NEEDED):
        if stands_at(data, at, end, note):
            return at + len(note)
    return at


@njit(cache=True, nogil=True)
def copy_uncited(
    data: Bytes,
    span: tuple[int, int],
    digits: Int64Array,
    out: tuple[Bytes, Int64Array, Int64Array],
    at: int,
    cuts: int,
) -> tuple[int, int]:
    """Copy a line without its citations; returns the places after its last byte and cut."""
    blob, cut_starts, cut_ends = out
    place, end = span
    while place < end:
        if data[place] == _OPEN:
            close = citation_end(data, place, end, digits)
            if close > place:
                cut_starts[cuts], cut_ends[cuts] = place, close
                cuts += 1
                place = close
                continue
        blob[at] = data[place]
        at += 1
        place += 1
    return at, cuts


@njit(cache=True, nogil=True)
def has_terminal_mark(data: Bytes, start: int, end: int, rules: Rules) -> bool:
    """Whether a line ends in a terminal mark and not in an ellipsis; any does without marks."""
    if not len(rules.terminal_marks):
        return True
    if start == end:
        return False
    code = last_code(data, start, end)
    place = np.searchsorted(rules.terminal_marks, code)
    if place == len(rules.terminal_marks) or rules.terminal_marks[place] != code:
        return False
    size = len(rules.ellipsis)
    return size == 0 or not stands_at(data, max(start, end - size), end, rules.ellipsis)


@njit(cache=True, nogil=True)
def judge(
    data: Bytes, start: int, end: int, words: int, rules: Rules, folded: Bytes
) -> tuple[int, int]:
    """The fate of a line without citations and long words, and the document's groups in it."""
    if not has_terminal_mark(data, start, end, rules):
        return NO_TERMINAL_PUNCT, 0
    if words < rules.fewest_words:
        return FEW_WORDS, 0
    size = fold(data, start, end, rules.lower, folded, 0)
    groups = find_groups(rules.phrases, folded, 0, size)
    if groups & IN_JAVASCRIPT:
        return JAVASCRIPT, groups & IN_PLACEHOLDER
    groups_of_document = groups & (IN_PLACEHOLDER | IN_BRACKET)
    return POLICY if groups & IN_POLICY else KEPT, groups_of_document


@njit(cache=True, nogil=True)
def clean_lines(
    data: Bytes, starts: Int64Array, ends: Int64Array, bounds: Int64Array, rules: Rules, opens: int
) -> Cleaned:
    """Judge all lines and copy the kept ones; `opens` is how many "[" the lines have, or more."""
    total, rows = len(starts), len(bounds) - 1
    fates, groups = np.zeros(total, np.uint8), np.zeros(rows, np.int64)
    blob = np.empty(np.sum(ends - starts), np.uint8)
    offsets, lines = np.zeros(total + 1, np.int64), np.empty(total, np.int64)
    kept_bounds, cut_bounds = np.zeros(rows + 1, np.int64), np.zeros(total + 1, np.int64)
    cut_starts, cut_ends = np.empty(opens, np.int64), np.empty(opens, np.int64)
    folded = np.empty(2 * np.max(ends - starts) if total else 0, np.uint8)
    kept = 0
    for row in range(rows):
        for i in range(bounds[row], bounds[row + 1]):
            start, end = starts[i], ends[i]
            words, longest, brackets = measure(data, start, end, rules.flags)
            if longest > rules.most_characters:
                fates[i] = LONG_WORD
                continue
            first, cuts = offsets[kept], cut_bounds[kept]
            if brackets and rules.cut_citations:
                span, out = (start, end), (blob, cut_starts, cut_ends)
                last, cuts = copy_uncited(data, span, rules.digits, out, first, cuts)
                if rules.count_after:
                    words = measure(blob, first, last, rules.flags)[0]
                fate, found = judge(blob, first, last, words, rules, folded)
            else:
                fate, found = judge(data, start, end, words, rules, folded)
                last = first + end - start
                if fate == KEPT:
                    blob[first:last] = data[start:end]
            fates[i] = fate
            groups[row] |= found
            if fate == KEPT:
                lines[kept] = i
                kept += 1
                offsets[kept], cut_bounds[kept] = last, cuts
        kept_bounds[row + 1] = kept
    cut = cut_bounds[kept]
    return Cleaned(
        fates,
        groups,
        blob[: offsets[kept]],
        offsets[: kept + 1],
        lines[:kept],
        kept_bounds,
        cut_starts[:cut],
        cut_ends[:cut],
        cut_bounds[: kept + 1],
    )
