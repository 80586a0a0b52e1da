"""Compiled segmentation of UTF-8 bytes into lines and paragraphs.

The loops have the arguments of those in `shared.text.words`. Only the line feed ends a line.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.characters import SPACE
from shared.text.utf8 import flags_at

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
NEWLINE = 10


@njit(cache=True, nogil=True)
def stripped(data: Bytes, start: int, end: int, flags: Bytes) -> tuple[int, int]:
    """[start, end) without white space at its ends."""
    while start < end:
        kind, size = flags_at(data, start, end, flags)
        if not kind & SPACE:
            break
        start += size
    while end > start:
        at = end - 1
        while at > start and data[at] & 0xC0 == 0x80:
            at -= 1
        if not flags_at(data, at, end, flags)[0] & SPACE:
            break
        end = at
    return start, end


@njit(cache=True, nogil=True)
def line_end(data: Bytes, at: int, stop: int) -> int:
    """The next line feed, or the text's end."""
    while at < stop and data[at] != NEWLINE:
        at += 1
    return at


@njit(cache=True, nogil=True)
def filled_lines(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """Lines between line feeds, stripped; blank ones are none."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        at = begins[row]
        while at < stops[row]:
            feed = line_end(data, at, stops[row])
            start, end = stripped(data, at, feed, flags)
            if start < end:
                starts[count], ends[count] = start, end
                count += 1
            at = feed + 1
    bounds[len(begins)] = count
    return count


@njit(cache=True, nogil=True)
def block_paragraphs(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """Blocks of lines between blank lines, stripped."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        at, inside = begins[row], False
        while at < stops[row]:
            feed = line_end(data, at, stops[row])
            start, end = stripped(data, at, feed, flags)
            if start < end:
                if not inside:
                    starts[count] = start
                    count += 1
                ends[count - 1] = end
            inside = start < end
            at = feed + 1
    bounds[len(begins)] = count
    return count


@njit(cache=True, nogil=True)
def split_at_feeds(
    data: Bytes, at: int, stop: int, feeds: int, found: tuple[Int64Array, Int64Array], count: int
) -> int:
    """`re.split` at runs of at least `feeds` line feeds; returns the new number of segments."""
    starts, ends = found
    starts[count] = at
    while at < stop:
        feed = line_end(data, at, stop)
        at = feed
        while at < stop and data[at] == NEWLINE:
            at += 1
        if at - feed >= feeds:
            ends[count] = feed
            count += 1
            starts[count] = at
    ends[count] = stop
    return count + 1


@njit(cache=True, nogil=True)
def split_lines(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,  # noqa: ARG001 (one signature for all conventions)
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    r"""`re.split(r"\n+", text)`: nothing is stripped, ends may be empty, no text is one line."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        count = split_at_feeds(data, begins[row], stops[row], 1, (starts, ends), count)
    bounds[len(begins)] = count
    return count


@njit(cache=True, nogil=True)
def split_paragraphs(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    r"""`re.split(r"\n{2,}", text.strip())`."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        start, end = stripped(data, begins[row], stops[row], flags)
        count = split_at_feeds(data, start, end, 2, (starts, ends), count)
    bounds[len(begins)] = count
    return count
