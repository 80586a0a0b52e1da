"""Compiled decoding of HTML character references in UTF-8 bytes.

Decodes what `html.unescape` decodes, to the same characters: names with their semicolon, the legacy
names also without one and as a prefix of a longer word (`&notit` is "¬it"), decimal and hexadecimal
numbers. Numbers follow `html.unescape` too: 0x80 to 0x9f mean windows-1252, 0, surrogates and what
is beyond Unicode U+FFFD, and controls and noncharacters nothing at all (HTML5 keeps these with a
parse error; the clean-up of texts would delete the controls anyway). Only a number of more than
4,300 digits, where Python's `int` raises, is U+FFFD here.

Names are a trie of about ten thousand nodes, 200 kB: a usual one takes some 30 nanoseconds.
"""

import html.entities
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.extraction.engines.blocks.layout import Bytes, Int32s
from shared.text.compiled import leaf

#: What names consist of, in the order of `slots`.
_LETTERS: Final = b"0123456789;ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: The slot of bytes that are in no name.
_NO_SLOT: Final = 255
REPLACEMENT: Final = 0xFFFD
_LAST: Final = 0x10FFFF
#: What a longer number is taken for; beyond Unicode and far from overflow.
_TOO_LARGE: Final = 0x110000


class References(NamedTuple):
    """The names as a trie, root 0: a node's children stand together, by slot."""

    #: Slot of each byte, 0 to 62, or 255.
    slots: Bytes
    #: Bit `i` of a node: it has a child at slot `i`.
    children: npt.NDArray[np.uint64]
    #: Its first child.
    first: Int32s
    #: What the name that ends at a node stands for: code points, 0 where there is none.
    code1: Int32s
    code2: Int32s
    #: What the numbers 0x80 to 0x9f stand for.
    windows: Int32s


@cache
def references() -> References:
    """The table of `html.entities.html5`, read-only."""
    names = {name.encode("ascii"): value for name, value in html.entities.html5.items()}
    nodes = sorted({name[:n] for name in names for n in range(len(name) + 1)}, key=_by_level)
    numbers = {prefix: number for number, prefix in enumerate(nodes)}
    table = References(
        slots=np.full(256, _NO_SLOT, np.uint8),
        children=np.zeros(len(nodes), np.uint64),
        first=np.zeros(len(nodes), np.int32),
        code1=np.zeros(len(nodes), np.int32),
        code2=np.zeros(len(nodes), np.int32),
        windows=np.array([_windows(byte) for byte in range(0x80, 0xA0)], np.int32),
    )
    table.slots[list(_LETTERS)] = range(len(_LETTERS))
    for prefix in reversed(nodes[1:]):  # so that the first child is the last to be noted
        parent = numbers[prefix[:-1]]
        table.children[parent] |= np.uint64(1 << _LETTERS.index(prefix[-1]))
        table.first[parent] = numbers[prefix]
    for name, value in names.items():
        node = numbers[name]
        table.code1[node] = ord(value[0])
        table.code2[node] = ord(value[1]) if value[1:] else 0
    for array in table:
        array.setflags(write=False)
    return table


def _by_level(prefix: bytes) -> tuple[int, bytes]:
    """Children of one node follow each other, and `_LETTERS` is in the order of bytes."""
    return len(prefix), prefix


def _windows(byte: int) -> int:
    try:
        return ord(bytes([byte]).decode("cp1252"))
    except UnicodeDecodeError:
        return byte


@leaf
def reference(data: Bytes, at: int, end: int, table: References) -> tuple[int, int, int]:
    """What the `&` at `at` begins: two code points and the bytes of the reference.

    A code point of 0 is none: the second mostly, both for a number that decodes to nothing. No
    bytes: it is no reference, the `&` stands for itself. Reads only below `end`, and no more than
    33 bytes but for digits, which are all part of the reference.
    """
    if at + 1 < end and data[at + 1] == ord("#"):
        code, size = _number(data, at, end, table)
        return code, 0, size
    node, named, size = 0, 0, 0
    for i in range(at + 1, end):
        slot = table.slots[data[i]]
        if slot == _NO_SLOT:
            break
        bit = np.uint64(1) << np.uint64(slot)
        children = table.children[node]
        if children & bit == 0:
            break
        node = table.first[node] + _count_bits(children & (bit - np.uint64(1)))
        if table.code1[node]:
            named, size = node, i + 1 - at
    if size == 0:
        return 0, 0, 0
    return int(table.code1[named]), int(table.code2[named]), size


@leaf
def _count_bits(bits: np.uint64) -> np.int64:
    """How many bits are set, by sums of neighbours."""
    bits = bits - (bits >> np.uint64(1) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    bits = (bits & pairs) + (bits >> np.uint64(2) & pairs)
    bits = bits + (bits >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64(bits * np.uint64(0x0101010101010101) >> np.uint64(56))


@leaf
def _number(data: Bytes, at: int, end: int, table: References) -> tuple[int, int]:
    """The code point of a numeric reference, and its bytes; at the `&` of `&#`."""
    i, base = at + 2, 10
    if i < end and (data[i] == ord("x") or data[i] == ord("X")):
        i, base = i + 1, 16
    start, value = i, 0
    while i < end:
        digit = _digit(data[i])
        if digit >= base:
            break
        value = min(value * base + digit, _TOO_LARGE)
        i += 1
    if i == start:
        return 0, 0
    if i < end and data[i] == ord(";"):
        i += 1
    return _character(value, table), i - at


@leaf
def _digit(byte: int) -> int:
    """The value of a digit, 16 for what is none."""
    if ord("0") <= byte <= ord("9"):
        return byte - ord("0")
    lowered = byte | 0x20
    return lowered - ord("a") + 10 if ord("a") <= lowered <= ord("f") else 16


@leaf
def _character(value: int, table: References) -> int:
    """The code point that a number means; 0: nothing."""
    if 0x20 <= value < 0x7F or 0xA0 <= value < 0xD800:
        return value
    if value == 0 or 0xD800 <= value <= 0xDFFF or value > _LAST:
        return REPLACEMENT
    if 0x80 <= value <= 0x9F:
        return int(table.windows[value - 0x80])
    is_space = 0x09 <= value <= 0x0D and value != 0x0B
    is_control = value < 0x20 or value == 0x7F
    is_noncharacter = 0xFDD0 <= value <= 0xFDEF or value & 0xFFFE == 0xFFFE
    return 0 if (is_control and not is_space) or is_noncharacter else value


@leaf
def append_utf8(out: Bytes, at: int, code: int) -> int:
    """Write a code point, and give where the next one goes; 0 is none and writes nothing."""
    if code == 0:
        return at
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at] = 0xC0 | code >> 6
        out[at + 1] = 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        out[at] = 0xE0 | code >> 12
        out[at + 1] = 0x80 | code >> 6 & 0x3F
        out[at + 2] = 0x80 | code & 0x3F
        return at + 3
    out[at] = 0xF0 | code >> 18
    out[at + 1] = 0x80 | code >> 12 & 0x3F
    out[at + 2] = 0x80 | code >> 6 & 0x3F
    out[at + 3] = 0x80 | code & 0x3F
    return at + 4
