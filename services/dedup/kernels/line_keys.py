r"""Keys of the lines of texts, and the edits that cut lines out, one compiled pass each.

The lines of a text are those of `text.split("\n")`; an empty text has none. Line i of document d
is entry `bounds[d] + i` of what these loops return. A key is the first 64 bits of the SHA-1 of the
line's normal form (`services.dedup.lines`), as cc_net stores it; the check is the next 64 bits.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.dedup.kernels.compiled import (
    BoolArray,
    ByteArray,
    Int64Array,
    Texts,
    UInt64Array,
    compiled,
)
from services.dedup.kernels.normalise import decode
from services.dedup.kernels.sha1 import SCHEDULE_WORDS, sha1_prefix
from shared.text.hashing import clear, find_or_insert, table_for
from shared.text.lines import line_end, stripped

#: Bits of a code point's kind: it has a replacement; `str.lower` looks past it, or for it, to see
#: whether a sigma ends a word.
REPLACED = 1
CASED = 2
IGNORABLE = 4
#: In the table of ASCII: nothing stands in the place of this character.
DELETED = 0xFF
_SIGMA = 0x3A3
_LOWER_SIGMA = (0xCF, 0x83)
_FINAL_SIGMA = (0xCF, 0x82)


class LineFolding(NamedTuple):
    """What becomes of a line before it is hashed."""

    strip: bool  # as `str.strip`
    fold: bool  # by the tables below
    spaces: ByteArray  # flags of `shared.text.characters`
    ascii: ByteArray  # (128,): what stands for each, or DELETED
    kinds: ByteArray  # (code points,)
    start: npt.NDArray[np.int32]  # (code points,): the replacement in `blob`, UTF-8
    length: ByteArray
    blob: ByteArray
    growth: int  # bytes of a normal form a byte of its line, at most


@compiled
def count_lines(texts: Texts) -> Int64Array:
    """Where the lines of each document begin among all lines, and where the last one's end."""
    rows = len(texts.valid)
    bounds = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        begin, stop = texts.offsets[row], texts.offsets[row + 1]
        lines = 0
        if texts.valid[row] and begin < stop:
            lines = 1
            for at in range(begin, stop):
                lines += texts.data[at] == 10
        bounds[row + 1] = bounds[row] + lines
    return bounds


@compiled
def _before(data: ByteArray, at: int, begin: int) -> int:
    """Where the character before a position begins."""
    at -= 1
    while at > begin and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@compiled
def _ends_word(data: ByteArray, at: int, begin: int, end: int, kinds: ByteArray) -> bool:
    """Whether the capital sigma at a position is the last letter of a word, as CPython sees it."""
    here, kind = at, IGNORABLE
    while kind & IGNORABLE and here > begin:
        here = _before(data, here, begin)
        kind = kinds[decode(data, here, end)[0]]
    if kind & IGNORABLE or not kind & CASED:
        return False
    here, kind = at + 2, IGNORABLE
    while kind & IGNORABLE and here < end:
        code, width = decode(data, here, end)
        here += width
        kind = kinds[code]
    return not kind & CASED


@compiled
def _put(source: ByteArray, at: int, size: int, out: ByteArray, to: int) -> int:
    """Append bytes to `out`; returns where they end."""
    for i in range(size):
        out[to + i] = source[at + i]
    return to + size


@compiled
def _put_sigma(final: bool, out: ByteArray, to: int) -> int:  # noqa: FBT001 (compiled)
    """Append a small sigma."""
    sigma = _FINAL_SIGMA if final else _LOWER_SIGMA
    out[to], out[to + 1] = sigma
    return to + 2


@compiled
def fold_line(data: ByteArray, begin: int, end: int, folding: LineFolding, out: ByteArray) -> int:
    """Write the normal form of `data[begin:end]`, which is stripped, to `out`; returns its size."""
    at, to = begin, 0
    while at < end:
        if data[at] < 0x80:
            out[to] = folding.ascii[data[at]]
            to += out[to] != DELETED
            at += 1
            continue
        code, width = decode(data, at, end)
        if code == _SIGMA:
            to = _put_sigma(_ends_word(data, at, begin, end, folding.kinds), out, to)
        elif folding.kinds[code] & REPLACED:
            to = _put(folding.blob, folding.start[code], folding.length[code], out, to)
        else:
            to = _put(data, at, width, out, to)
        at += width
    return to


@compiled
def line_keys(
    texts: Texts, bounds: Int64Array, folding: LineFolding
) -> tuple[UInt64Array, UInt64Array, BoolArray]:
    """Key, check, and whether the normal form is empty, of each line."""
    count = bounds[len(bounds) - 1]
    keys, checks = np.empty(count, np.uint64), np.empty(count, np.uint64)
    blank = np.zeros(count, np.bool_)
    state, words = np.empty(5, np.uint32), np.empty(SCHEDULE_WORDS, np.uint32)
    out = np.empty(4096, np.uint8)
    data = texts.data
    for row in range(len(texts.valid)):
        at = texts.offsets[row]
        for line in range(bounds[row], bounds[row + 1]):
            feed = line_end(data, at, texts.offsets[row + 1])
            begin, end = at, feed
            if folding.strip:
                begin, end = stripped(data, at, feed, folding.spaces)
            if folding.fold:
                if folding.growth * (end - begin) + 4 > len(out):
                    out = np.empty(2 * folding.growth * (end - begin) + 4, np.uint8)
                size = fold_line(data, begin, end, folding, out)
                keys[line] = sha1_prefix(out, 0, size, state, words)
            else:
                size = end - begin
                keys[line] = sha1_prefix(data, begin, end, state, words)
            checks[line] = (np.uint64(state[2]) << np.uint64(32)) | np.uint64(state[3])
            blank[line] = size == 0
            at = feed + 1
    return keys, checks, blank


@compiled
def firsts(keys: UInt64Array, bounds: Int64Array) -> BoolArray:
    """Whether a line is the first of its document with its key."""
    most = 0
    for row in range(len(bounds) - 1):
        most = max(most, bounds[row + 1] - bounds[row])
    slots = table_for(most)
    first = np.empty(len(keys), np.bool_)
    for row in range(len(bounds) - 1):
        bits = clear(slots, bounds[row + 1] - bounds[row])
        for line in range(bounds[row], bounds[row + 1]):
            first[line] = find_or_insert(slots, bits, keys, line) == line
    return first


@compiled
def line_edits(
    texts: Texts, rows: Int64Array, lines: Int64Array
) -> tuple[Int64Array, Int64Array, Int64Array]:
    r"""The edits that leave `"\n".join` of the other lines: starts, ends, where each row's begin.

    `lines[i]` of document `rows[i]` goes; both ascend, and are distinct. Starts and ends are bytes
    of the document.
    """
    starts, ends = np.empty(len(lines), np.int64), np.empty(len(lines), np.int64)
    bounds = np.zeros(len(texts.valid) + 1, np.int64)
    cut = count = 0
    for row in range(len(texts.valid)):
        begin, stop = texts.offsets[row], texts.offsets[row + 1]
        at, line, pending = begin, 0, np.int64(-1)  # where the cut begins that is being made
        while cut < len(lines) and rows[cut] == row and at <= stop:
            goes = lines[cut] == line
            if goes and pending < 0:
                pending = at
            if not goes and pending >= 0:
                starts[count], ends[count] = pending - begin, at - begin
                count, pending = count + 1, np.int64(-1)
            cut += goes
            at = line_end(texts.data, at, stop) + 1
            line += 1
        if pending >= 0:
            last = at > stop  # the cut reaches the end, and takes the line feed before it
            starts[count] = max(0, pending - begin - last)
            ends[count] = min(at, stop) - begin
            count += 1
        bounds[row + 1] = count
    return starts[:count], ends[:count], bounds
