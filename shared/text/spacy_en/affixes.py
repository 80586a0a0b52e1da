"""Compiled search for what spaCy splits off a chunk: at its start, at its end, inside it.

A chunk is `data[start:end]`, without white space. Sizes are in bytes, 0 where nothing matches.
"""

import numpy as np
import numpy.typing as npt

from shared.text.compiled import leaf
from shared.text.spacy_en.strings import LAST, Bytes, Memory, find
from shared.text.spacy_en.tables import (
    AFTER_INNER_STOP,
    ALPHA,
    BEFORE_INNER_STOP,
    BEFORE_STOP,
    INFIX,
    PREFIX,
    SUFFIX,
    TAILS,
    UPPER,
)
from shared.text.utf8 import flags_at

Flags = npt.NDArray[np.uint16]

STOP, PLUS, HYPHEN, COMMA, DOLLAR = ord("."), ord("+"), ord("-"), ord(","), ord("$")
STAR, CARET, TILDE = ord("*"), ord("^"), ord("~")
COLON, LESS, GREATER, EQUAL, SLASH = ord(":"), ord("<"), ord(">"), ord("="), ord("/")
APOSTROPHE, ZERO, NINE = ord("'"), ord("0"), ord("9")
#: U+20xx: their first two bytes are e2 80, the third follows.
EN_DASH, EM_DASH, CURLY, ELLIPSIS = 0x93, 0x94, 0x99, 0xA6
#: The longest unit or currency, with room.
LONGEST_TAIL = 12


@leaf
def is_digit(byte: int) -> bool:
    """0 to 9."""
    return ZERO <= byte <= NINE


@leaf
def before(data: Bytes, at: int, start: int) -> int:
    """Where the character before `at` begins; `start` at the least."""
    first = max(start, at - 4)
    at -= 1
    while at > first and data[at] & 0xC0 == 0x80:
        at -= 1
    return max(at, start)


@leaf
def kind_at(data: Bytes, at: int, end: int, flags: Flags) -> int:
    """The classes of the character at `at`; none at the end of the chunk."""
    if at < end and data[at] < 0x80:
        return int(flags[data[at]])
    return int(flags_at(data, at, end, flags)[0])


@leaf
def kind_before(data: Bytes, at: int, start: int, flags: Flags) -> int:
    """The classes of the character before `at`; none at the start of the chunk."""
    if at <= start:
        return 0
    return kind_at(data, before(data, at, start), at, flags)


@leaf
def run_of(data: Bytes, at: int, end: int, byte: int) -> int:
    """How many such bytes follow each other from `at`."""
    size = 0
    while at + size < end and data[at + size] == byte:
        size += 1
    return size


@leaf
def is_general(data: Bytes, at: int, start: int, end: int, third: int) -> bool:
    """Whether the character of three bytes U+20xx with this third byte is at `at`."""
    return (
        start <= at
        and at + 3 <= end
        and data[at] == 0xE2
        and data[at + 1] == 0x80
        and data[at + 2] == third
    )


@leaf
def prefix_size(data: Bytes, start: int, end: int, flags: Flags) -> int:
    """What `prefix_search` finds."""
    byte = data[start]
    if byte == STOP:
        dots = run_of(data, start, end, STOP)
        return dots if dots > 1 else 0
    if byte == PLUS:
        return 0 if start + 1 < end and is_digit(data[start + 1]) else 1
    if byte == ord("U"):
        dollars = start + 2 < end and data[start + 1] == ord("S") and data[start + 2] == DOLLAR
        return 3 if dollars else 0
    if byte in (ord("A"), ord("C")):
        return 2 if start + 1 < end and data[start + 1] == DOLLAR else 0
    kind, size = flags_at(data, start, end, flags)
    return size if kind & PREFIX else 0


@leaf
def stop_splits(data: Bytes, start: int, at: int, flags: Flags) -> bool:
    """Whether one final full stop at `at` is split off, by what stands before it."""
    if at <= start:
        return False
    last = before(data, at, start)
    kind = kind_at(data, last, at, flags)
    if kind & BEFORE_STOP:
        return True
    if kind & UPPER and kind_before(data, last, start, flags) & UPPER:
        return True
    degree = last - 2 >= start and data[last - 2] == 0xC2 and data[last - 1] == 0xB0
    return degree and data[last] in (70, 67, 75, 102, 99, 107)  # F, C, K, f, c, k


@leaf
def tail_size(data: Bytes, start: int, end: int, memory: Memory) -> int:
    """A unit or currency after a digit."""
    if memory[memory[TAILS] + LAST + data[end - 1]] == 0:
        return 0
    at = end - 1
    while at >= start and end - at <= LONGEST_TAIL + 1:
        if is_digit(data[at]):
            return end - at - 1 if find(data, at + 1, end, memory, memory[TAILS]) >= 0 else 0
        at -= 1
    return 0


@leaf
def suffix_size(data: Bytes, start: int, end: int, flags: Flags, memory: Memory) -> int:
    """What `suffix_search` finds: of all that match at the end, the longest."""
    if start >= end:
        return 0
    byte = data[end - 1]
    if byte == STOP:
        at = end - 1
        while at > start and data[at - 1] == STOP:
            at -= 1
        return end - at if end - at > 1 else int(stop_splits(data, start, at, flags))
    if byte in (ord("s"), ord("S")):
        if end - 2 >= start and data[end - 2] == APOSTROPHE:
            return 2
        if is_general(data, end - 4, start, end, CURLY):
            return 4
    if is_general(data, end - 6, start, end, ELLIPSIS) and is_general(
        data, end - 3, start, end, ELLIPSIS
    ):
        return 6
    if byte == PLUS:
        return int(end - 2 >= start and is_digit(data[end - 2]))
    last = before(data, end, start)
    size = end - last if kind_at(data, last, end, flags) & SUFFIX else 0
    return max(size, tail_size(data, start, end, memory))


@leaf
def hyphen_size(data: Bytes, at: int, end: int) -> int:
    """Up to three hyphens, an en dash, one or two em dashes, or a tilde at a byte."""
    byte = data[at]
    if byte == HYPHEN:
        size = run_of(data, at, end, HYPHEN)
        return size if size <= 3 else 0
    if byte == TILDE:
        return 1
    if is_general(data, at, at, end, EN_DASH):
        return 3
    if is_general(data, at, at, end, EM_DASH):
        if not is_general(data, at + 3, at, end, EM_DASH):
            return 3
        return 0 if is_general(data, at + 6, at, end, EM_DASH) else 6
    return 0


@leaf
def infix_size(data: Bytes, at: int, start: int, end: int, flags: Flags) -> int:
    """What `infix_finditer` finds at `at`, a character that is ACTIVE."""
    byte = data[at]
    kind, size = flags_at(data, at, end, flags)
    if kind & INFIX:
        return size
    left = kind_before(data, at, start, flags)
    right = kind_at(data, at + size, end, flags)
    digit_left = at > start and is_digit(data[at - 1])
    if byte == STOP:
        dots = run_of(data, at, end, STOP)
        if dots > 1:
            return dots
        return int(left & BEFORE_INNER_STOP != 0 and right & AFTER_INNER_STOP != 0)
    if byte == COMMA:
        return int(left & ALPHA != 0 and right & ALPHA != 0)
    if byte in (PLUS, HYPHEN, STAR, CARET) and digit_left and at + 1 < end:
        following = data[at + 1]
        if is_digit(following) or following == HYPHEN:
            return 1
    if not (left & ALPHA or digit_left):
        return 0
    if byte in (COLON, LESS, GREATER, EQUAL, SLASH):
        return int(right & ALPHA != 0)
    size = hyphen_size(data, at, end)
    return size if size and kind_at(data, at + size, end, flags) & ALPHA else 0
