"""One pass over a text's UTF-8 that writes its normal form (`services.dedup.normalization`)."""

import numpy as np

from services.dedup.kernels.compiled import ByteArray, Int64Array, Texts, compiled
from services.dedup.normalization import (
    ALONE,
    CODE_POINTS,
    COPIED,
    DECIMAL,
    DIGIT,
    KIND,
    SEPARATOR,
    Table,
)

SPACE = 0x20


@compiled
def decode(data: ByteArray, at: int, end: int) -> tuple[int, int]:
    """The code point at a position and its width in bytes; never reads beyond `end`.

    Bytes that are no UTF-8 give some code point: the caller's column is valid.
    """
    lead = int(data[at])
    if lead < 0x80:
        return lead, 1
    width = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    code = lead & (0xFF >> (width + 1))
    for i in range(at + 1, min(at + width, end)):
        code = (code << 6) | (int(data[i]) & 0x3F)
    return min(code, CODE_POINTS - 1), min(width, end - at)


@compiled
def _digit_at(data: ByteArray, at: int, end: int, table: Table) -> bool:
    """Whether a digit that numbers are folded by stands at a position."""
    if at >= end:
        return False
    code, _ = decode(data, at, end)
    return bool(table.flags[code] & KIND == DIGIT)


@compiled
def _copy(source: ByteArray, at: int, size: int, out: ByteArray, to: int) -> int:
    """Append bytes to `out`; returns where they end."""
    for i in range(size):
        out[to + i] = source[at + i]
    return to + size


@compiled
def normalise(
    data: ByteArray,
    at: int,
    end: int,
    table: Table,
    split: bool,  # noqa: FBT001 (compiled functions have no keyword-only arguments)
    out: ByteArray,
    begin: int,
) -> int:
    """Write the normal form of `data[at:end]` to `out` from `begin` on; returns where it ends.

    With `split`, each character of a script without spaces is a word of its own. `out` has at least
    `capacity(end - at, table)` bytes left.
    """
    to = begin
    gap = False  # a space is due before the next character
    number = 0  # 1 within the integer part of a number, 2 after its separator
    while at < end:
        code, width = decode(data, at, end)
        here, at = at, at + width
        flags = table.flags[code]
        kind = flags & KIND
        if number == 1 and flags & DECIMAL and _digit_at(data, at, end, table):
            number = 2
        elif kind == DIGIT and number > 0:
            continue
        else:
            number = int(kind == DIGIT)
            if kind == SEPARATOR:
                gap = True
            elif kind == COPIED or table.length[code] > 0:
                alone = split and flags & ALONE != 0
                if (gap or alone) and to > begin:
                    out[to] = SPACE
                    to += 1
                gap = alone
                if kind == COPIED:
                    to = _copy(data, here, width, out, to)
                else:
                    to = _copy(table.blob, table.start[code], table.length[code], out, to)
    return to


@compiled
def capacity(size: int, table: Table) -> int:
    """Bytes that the normal form of a text of `size` bytes may take, its spaces too."""
    return (table.growth + 1) * size + 1


@compiled
def normalise_all(texts: Texts, table: Table) -> tuple[ByteArray, Int64Array]:
    """The normal forms of a column, one after the other, and their offsets; null texts are empty.

    Pages of the buffer that stay empty are never touched, so they take no memory.
    """
    rows = len(texts.valid)
    out = np.empty(capacity(int(texts.offsets[rows] - texts.offsets[0]), table), np.uint8)
    offsets = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        to = offsets[row]
        if texts.valid[row]:
            at, end = texts.offsets[row], texts.offsets[row + 1]
            to = normalise(texts.data, at, end, table, False, out, to)
        offsets[row + 1] = to
    return out, offsets
