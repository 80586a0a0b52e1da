"""A document as lines of characters that rules drop or shorten, and the edits that say so.

The loops work on the characters of one document at a time: `codes` and `places` (the byte where
each begins) in arrays that are reused, and for each line its characters [first, last) and its
state. Dropping a line sets its state; shortening it moves `first` or `last`, or closes a gap inside
it. In the end, what is left is compared with the bytes: all that lies between becomes edits.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.quality.kernels.characters import SPACE
from shared.text.lines import NEWLINE
from shared.text.utf8 import decode

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

#: States of a line: kept, dropped by a rule, or blank at an end of the text.
KEPT, UPPERCASE, DIGITS, COUNTER, FEW_WORDS, PATTERN, TRIMMED = 0, 1, 2, 3, 4, 5, 6


class Work(NamedTuple):
    """One document, in arrays long enough for the longest one."""

    codes: Int32Array  # a place a character
    places: Int64Array
    first: Int64Array  # a place a line, as all below
    last: Int64Array
    feed: Int64Array  # the byte of the line feed that ends it, or of the text's end
    state: Bytes
    gaps: npt.NDArray[np.bool_]  # whether a piece was cut out of its middle
    edited: npt.NDArray[np.bool_]  # whether any piece was


@njit(cache=True, nogil=True)
def kinds(code: int, flags: Bytes) -> int:
    """The flags of a code point."""
    return int(flags[code]) if code < len(flags) else 0


@njit(cache=True, nogil=True)
def read(work: Work, data: Bytes, begin: int, stop: int) -> int:
    r"""A document's characters, and its lines as `text.split("\n")`; returns their number."""
    at, size, lines = begin, 0, 0
    work.first[0] = 0
    while True:
        if at == stop or data[at] == NEWLINE:
            work.last[lines], work.feed[lines] = size, at
            work.state[lines] = KEPT
            work.gaps[lines] = work.edited[lines] = False
            lines += 1
            if at == stop:
                return lines
            work.first[lines] = size
            at += 1
        else:
            code, width = decode(data, at, stop)
            work.codes[size], work.places[size] = code, at
            size += 1
            at += width


@njit(cache=True, nogil=True)
def skip_space(codes: Int32Array, at: int, last: int, flags: Bytes) -> int:
    """The first character from `at` on that is no white space."""
    while at < last and kinds(codes[at], flags) & SPACE:
        at += 1
    return at


@njit(cache=True, nogil=True)
def trim(work: Work, lines: int, flags: Bytes) -> None:
    """`str.strip` of the text that the kept lines make."""
    for i in range(lines):
        if work.state[i] == KEPT:
            work.first[i] = skip_space(work.codes, work.first[i], work.last[i], flags)
            if work.first[i] < work.last[i]:
                break
            work.state[i] = TRIMMED
    for i in range(lines - 1, -1, -1):
        if work.state[i] == KEPT:
            while (
                work.last[i] > work.first[i] and kinds(work.codes[work.last[i] - 1], flags) & SPACE
            ):
                work.last[i] -= 1
            if work.first[i] < work.last[i]:
                break
            work.state[i] = TRIMMED


@njit(cache=True, nogil=True)
def width_of(code: int) -> int:
    """Bytes of a character in UTF-8."""
    return 1 + (code >= 0x80) + (code >= 0x800) + (code >= 0x10000)


@njit(cache=True, nogil=True)
def grown(array: Int32Array, size: int) -> Int32Array:
    """An array with at least so many places, with the values of `array`."""
    if size <= len(array):
        return array
    larger = np.empty(2 * size, np.int32)
    larger[: len(array)] = array
    return larger


@njit(cache=True, nogil=True)
def write_edits(
    work: Work, lines: int, begin: int, stop: int, edits: tuple[Int32Array, Int32Array], count: int
) -> tuple[Int32Array, Int32Array, int]:
    """Append the deletions of a document (bytes, from its begin); returns edits and their number.

    Kept lines are joined by one line feed: the one that ended the first of the two.
    """
    starts, ends = edits
    settled, previous = begin, -1
    for i in range(lines):
        if work.state[i] != KEPT:
            continue
        size = int(work.last[i] - work.first[i])
        starts, ends = grown(starts, count + size + 3), grown(ends, count + size + 3)
        if previous >= 0:
            feed = work.feed[previous]
            if feed > settled:
                starts[count], ends[count] = settled - begin, feed - begin
                count += 1
            settled = feed + 1
        previous = i
        at = work.first[i]
        while at < work.last[i]:
            run = at + 1 if work.gaps[i] else work.last[i]
            if work.places[at] > settled:
                starts[count], ends[count] = settled - begin, work.places[at] - begin
                count += 1
            settled = work.places[run - 1] + width_of(work.codes[run - 1])
            at = run
    starts, ends = grown(starts, count + 1), grown(ends, count + 1)
    if settled < stop:
        starts[count], ends[count] = settled - begin, stop - begin
        count += 1
    return starts, ends, count
