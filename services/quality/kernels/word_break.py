"""Compiled word boundaries of UAX 29, for the rules that DCLM measures with `uniseg`.

The same boundaries as `uniseg.wordbreak.words` 0.10 (Unicode 16), rule by rule (WB3 to WB16); a
test compares them. The table is built once from `services/quality/data/word_break.txt`.
"""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from services.quality.kernels.characters import ALNUM, classes
from shared.text.utf8 import decode

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_TABLE: Final = Path(__file__).parents[1] / "data" / "word_break.txt"
_NAMES: Final = (
    "Other", "ALetter", "Hebrew_Letter", "Numeric", "Katakana", "ExtendNumLet", "MidLetter",
    "MidNum", "MidNumLet", "Single_Quote", "Double_Quote", "Extend", "Format", "ZWJ", "CR", "LF",
    "Newline", "WSegSpace", "Regional_Indicator",
)  # fmt: skip
OTHER, LETTER, HEBREW, NUMERIC, KATAKANA, EXTENDING, MID_LETTER = 0, 1, 2, 3, 4, 5, 6
MID_NUMBER, MID_BOTH, SINGLE_QUOTE, DOUBLE_QUOTE, EXTEND, ZWJ, CR, NEWLINE = (
    7, 8, 9, 10, 11, 13, 14, 16,
)  # fmt: skip
#: The bits of a table's entry: a class, whether it is pictographic, whether `str.isalnum`.
CLASS, PICTOGRAPHIC, ALPHANUMERIC = 0x1F, 0x20, 0x40


@cache
def table() -> Bytes:
    """The entry of each code point, read-only; beyond its end there are none."""
    entries = np.where(classes() & ALNUM, ALPHANUMERIC, 0).astype(np.uint8)
    entry = OTHER
    for word in _words_of_table():
        if word.endswith(":"):
            name, _, pictographic = word[:-1].partition("+")
            entry = _NAMES.index(name) | (PICTOGRAPHIC if pictographic else 0)
        else:
            first, _, last = word.partition("-")
            entries[int(first, 16) : int(last or first, 16) + 1] |= entry
    entries.setflags(write=False)
    return entries


def _words_of_table() -> list[str]:
    lines = _TABLE.read_text("ascii").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]


@njit(cache=True, nogil=True)
def entry_at(data: Bytes, at: int, stop: int, entries: Bytes) -> tuple[np.int64, int]:
    """A character's entry of the table, and its bytes."""
    code, size = decode(data, at, stop)
    return (np.int64(entries[code]) if code < len(entries) else np.int64(0)), size


@njit(cache=True, nogil=True)
def next_class(data: Bytes, at: int, stop: int, entries: Bytes) -> int:
    """The class of the next character that WB4 does not skip; OTHER at the end."""
    while at < stop:
        entry, size = entry_at(data, at, stop, entries)
        kind = entry & CLASS
        if not EXTEND <= kind <= ZWJ:
            return int(kind)
        at += size
    return OTHER


@njit(cache=True, nogil=True)
def joins_next(before: int, kind: int, after: int) -> bool:
    """Whether a letter, number, kana or connector `before` holds on to `kind`."""
    letter = kind in (LETTER, HEBREW)
    if before in (LETTER, HEBREW):
        if kind in (MID_LETTER, MID_BOTH, SINGLE_QUOTE) and after in (LETTER, HEBREW):  # WB6
            return True
        quoted = kind == SINGLE_QUOTE or (kind == DOUBLE_QUOTE and after == HEBREW)  # WB7a, WB7b
        return letter or kind in (NUMERIC, EXTENDING) or (before == HEBREW and quoted)  # 5, 9, 13a
    if before == NUMERIC:
        inside = kind in (MID_NUMBER, MID_BOTH, SINGLE_QUOTE) and after == NUMERIC  # WB12
        return letter or kind in (NUMERIC, EXTENDING) or inside  # WB10, WB8, WB13a
    if before == KATAKANA:
        return kind in (KATAKANA, EXTENDING)  # WB13, WB13a
    return letter or kind in (NUMERIC, KATAKANA, EXTENDING)  # WB13a, WB13b


@njit(cache=True, nogil=True)
def joins(two_before: int, before: int, kind: int, after: int) -> bool:
    """Whether there is no boundary between `before` and `kind` (WB5 to WB13b)."""
    if LETTER <= before <= EXTENDING:
        return joins_next(before, kind, after)
    if kind in (LETTER, HEBREW) and two_before in (LETTER, HEBREW):
        if before in (MID_LETTER, MID_BOTH, SINGLE_QUOTE):  # WB7
            return True
        return two_before == kind == HEBREW and before == DOUBLE_QUOTE  # WB7c
    middle = before in (MID_NUMBER, MID_BOTH, SINGLE_QUOTE)
    return middle and two_before == kind == NUMERIC  # WB11


@njit(cache=True, nogil=True)
def segment_end(data: Bytes, at: int, stop: int, entries: Bytes) -> int:
    """Where the segment ends that starts at `at`."""
    entry, size = entry_at(data, at, stop, entries)
    last = before = int(entry & CLASS)
    two_before = OTHER
    at += size
    while at < stop and not CR <= last <= NEWLINE:  # WB3a
        entry, size = entry_at(data, at, stop, entries)
        kind = int(entry & CLASS)
        if CR <= kind <= NEWLINE:  # WB3b
            return at
        if not EXTEND <= kind <= ZWJ:  # WB4
            joined = last == ZWJ and entry & PICTOGRAPHIC != 0  # WB3c
            if not joined:
                after = next_class(data, at + size, stop, entries)
                joined = joins(two_before, before, kind, after)
            if not joined:
                return at
            two_before, before = before, kind
        last = kind
        at += size
    return at


@njit(cache=True, nogil=True)
def alphanumeric_segments(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    entries: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """The segments that begin with a letter or digit (`str.isalnum`)."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        at = begins[row]
        while at < stops[row]:
            entry, _ = entry_at(data, at, stops[row], entries)
            end = segment_end(data, at, stops[row], entries)
            if entry & ALPHANUMERIC:
                starts[count], ends[count] = at, end
                count += 1
            at = end
    bounds[len(begins)] = count
    return count
