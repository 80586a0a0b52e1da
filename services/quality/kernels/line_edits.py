"""Compiled edits that leave of each text some of its lines, joined by line feeds and stripped."""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.compiled import leaf
from shared.text.lines import NEWLINE, stripped

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
#: Where pieces of the text start, where they end, and where those of each line begin.
Pieces = tuple[Int64Array, Int64Array, Int64Array]
Edits = tuple[Int64Array, Int64Array, Int64Array, Int64Array]


@njit(cache=True, nogil=True)
def pieces_between(
    starts: Int64Array,
    ends: Int64Array,
    cut_starts: Int64Array,
    cut_ends: Int64Array,
    cut_bounds: Int64Array,
) -> Pieces:
    """What is left of each line without the cuts in it; pieces may be empty."""
    size = len(starts) + len(cut_starts)
    piece_starts, piece_ends = np.empty(size, np.int64), np.empty(size, np.int64)
    bounds = np.zeros(len(starts) + 1, np.int64)
    count = 0
    for i in range(len(starts)):
        piece_starts[count] = starts[i]
        for cut in range(cut_bounds[i], cut_bounds[i + 1]):
            piece_ends[count] = cut_starts[cut]
            count += 1
            piece_starts[count] = cut_ends[cut]
        piece_ends[count] = ends[i]
        count += 1
        bounds[i + 1] = count
    return piece_starts, piece_ends, bounds


@leaf
def filled_end(data: Bytes, pieces: Pieces, first: int, last: int, flags: Bytes) -> int:
    """Where the last of pieces [first, last) that is not blank ends, stripped; -1: all are."""
    for i in range(last - 1, first - 1, -1):
        start, end = stripped(data, pieces[0][i], pieces[1][i], flags)
        if start < end:
            return int(end)
    return -1


@leaf
def is_feeds(data: Bytes, start: int, end: int, feeds: int) -> bool:
    """Whether [start, end) is so many line feeds, and nothing else."""
    same = start
    while same < end and data[same] == NEWLINE:
        same += 1
    return same == end and end - start == feeds


@njit(cache=True, nogil=True)
def edits_to_lines(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    bounds: Int64Array,
    pieces: Pieces,
    flags: Bytes,
) -> Edits:
    """Starts, ends (bytes of the text), line feeds put there, and where each document's begin.

    Document d keeps the lines from `bounds[d]` up to `bounds[d + 1]`, and of these the pieces.
    """
    rows = len(begins)
    size = len(pieces[0]) + rows
    starts, ends = np.empty(size, np.int64), np.empty(size, np.int64)
    feeds, edit_bounds = np.zeros(size, np.int64), np.zeros(rows + 1, np.int64)
    count = 0
    for row in range(rows):
        begin, stop, position, pending, inside = begins[row], stops[row], begins[row], 0, False
        first, last = pieces[2][bounds[row]], pieces[2][bounds[row + 1]]
        text_end = filled_end(data, pieces, first, last, flags)
        line = bounds[row]
        for i in range(first, last):
            while pieces[2][line + 1] <= i:
                line += 1
                pending += inside
            a, b = pieces[0][i], min(pieces[1][i], text_end)
            if a < b and not inside:
                a = stripped(data, a, b, flags)[0]
            if a >= b:
                continue
            if not is_feeds(data, position, a, pending):
                starts[count], ends[count], feeds[count] = position - begin, a - begin, pending
                count += 1
            position, pending, inside = b, 0, True
        if position < stop:
            starts[count], ends[count] = position - begin, stop - begin
            count += 1
        edit_bounds[row + 1] = count
    return starts[:count], ends[:count], feeds[:count], edit_bounds
