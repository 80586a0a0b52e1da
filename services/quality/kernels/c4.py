"""Compiled rules of C4 for lines: why a line goes, and what is left of one that stays."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.quality.kernels.automaton import Automaton, find_groups, fold
from services.quality.kernels.ends import last_code, stands_at
from shared.text.characters import SPACE
from shared.text.compiled import leaf
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


#: The copy of kept lines, starts and ends of cuts, and room for a line in lower case.
Buffers = tuple[Bytes, Int64Array, Int64Array, Bytes]


@leaf
def has_long_word(data: Bytes, start: int, end: int, flags: Bytes, most: int) -> bool:
    """Whether there are more characters than `most` between white space."""
    if end - start <= most:
        return False
    size, at = 0, start
    while at < end and size <= most:
        kind, step = flags_at(data, at, end, flags)
        size = 0 if kind & SPACE else size + 1
        at += step
    return size > most


@leaf
def count_words(data: Bytes, start: int, end: int, flags: Bytes, most: int) -> int:
    """Words between white space, counted up to `most`."""
    words, inside, at = 0, False, start
    while at < end and words < most:
        kind, step = flags_at(data, at, end, flags)
        words += not kind & SPACE and not inside
        inside = not kind & SPACE
        at += step
    return words


@leaf
def has_byte(data: Bytes, start: int, end: int, byte: int) -> bool:
    """Whether a byte is in a span."""
    found = False
    for at in range(start, end):
        found |= data[at] == byte
    return found


@leaf
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


@leaf
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


@leaf
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


@leaf
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
def clean_line(
    data: Bytes, span: tuple[int, int], rules: Rules, out: Buffers, at: int, cuts: int
) -> tuple[int, int, int, int]:
    """A line's fate, the document's groups in it, and the places after its last byte and cut.

    It is copied if it may be kept.
    """
    start, end = span
    if has_long_word(data, start, end, rules.flags, rules.most_characters):
        return LONG_WORD, 0, at, cuts
    blob, cut_starts, cut_ends, folded = out
    words = count_words(data, start, end, rules.flags, rules.fewest_words)
    if rules.cut_citations and has_byte(data, start, end, _OPEN):
        uncited = blob, cut_starts, cut_ends
        last, cuts = copy_uncited(data, span, rules.digits, uncited, at, cuts)
        if rules.count_after:
            words = count_words(blob, at, last, rules.flags, rules.fewest_words)
        fate, groups = judge(blob, at, last, words, rules, folded)
        return fate, groups, last, cuts
    fate, groups = judge(data, start, end, words, rules, folded)
    last = at + end - start
    if fate == KEPT:
        blob[at:last] = data[start:end]
    return fate, groups, last, cuts


@njit(cache=True, nogil=True)
def clean_lines(
    data: Bytes, starts: Int64Array, ends: Int64Array, bounds: Int64Array, rules: Rules, opens: int
) -> Cleaned:
    """Judge all lines and copy the kept ones; `opens` is how many "[" the lines have, or more."""
    total, rows = len(starts), len(bounds) - 1
    fates, groups = np.zeros(total, np.uint8), np.zeros(rows, np.int64)
    offsets, lines = np.zeros(total + 1, np.int64), np.empty(total, np.int64)
    kept_bounds, cut_bounds = np.zeros(rows + 1, np.int64), np.zeros(total + 1, np.int64)
    blob = np.empty(np.sum(ends - starts), np.uint8)
    cut_starts, cut_ends = np.empty(opens, np.int64), np.empty(opens, np.int64)
    folded = np.empty(2 * np.max(ends - starts) if total else 0, np.uint8)
    out, kept = (blob, cut_starts, cut_ends, folded), 0
    for row in range(rows):
        for i in range(bounds[row], bounds[row + 1]):
            at, cuts = offsets[kept], cut_bounds[kept]
            fate, found, at, cuts = clean_line(data, (starts[i], ends[i]), rules, out, at, cuts)
            fates[i] = fate
            groups[row] |= found
            if fate == KEPT:
                lines[kept] = i
                kept += 1
                offsets[kept], cut_bounds[kept] = at, cuts
        kept_bounds[row + 1] = kept
    offsets, cut_bounds = offsets[: kept + 1], cut_bounds[: kept + 1]
    blob, lines = blob[: offsets[kept]], lines[:kept]
    cuts = cut_bounds[kept]
    cited = cut_starts[:cuts], cut_ends[:cuts]
    return Cleaned(fates, groups, blob, offsets, lines, kept_bounds, cited[0], cited[1], cut_bounds)
