"""Windows that occur again, by neighbours in a suffix array."""

from typing import Final

import numpy as np
import numpy.typing as npt

from services.dedup.kernels.compiled import BoolArray, ByteArray, Int64Array, compiled

Int32Array = npt.NDArray[np.int32]

#: What `marks` says of the window that starts at a unit.
FREE: Final = 0
MARKED: Final = 1
#: It would reach beyond its document.
NONE: Final = 2


@compiled
def windows_only(suffixes: Int32Array, marks: ByteArray, width: int) -> int:
    """Leave, in order, the units at which a window starts; how many.

    Of suffixes of the units' bytes, `width` each, those within a unit go.
    """
    kept = 0
    for i in range(len(suffixes)):
        at = suffixes[i]
        unit = at // width
        if unit * width == at and marks[unit] != NONE:
            suffixes[kept] = unit
            kept += 1
    return kept


@compiled
def mark_repeats(
    data: ByteArray,
    windows: Int32Array,
    marks: ByteArray,
    width: int,
    length: int,
    keep_first: bool,  # noqa: FBT001 (compiled: no keyword-only arguments)
) -> None:
    """Mark all of several equal windows, or all but the first.

    Equal windows are neighbours in the order of the suffixes. They start at units, `width` bytes
    each, and are `length` units long.
    """
    size = width * length
    begin = 0
    for i in range(1, len(windows) + 1):
        if i < len(windows):
            a, b = width * np.int64(windows[i - 1]), width * np.int64(windows[i])
            # Neighbours begin alike, so the last byte tells most of them apart.
            if data[a + size - 1] == data[b + size - 1]:
                j = 0
                while j < size and data[a + j] == data[b + j]:
                    j += 1
                if j == size:
                    continue
        if i - begin > 1:
            first = windows[begin]
            for j in range(begin, i):
                marks[windows[j]] = MARKED
                first = min(first, windows[j])
            if keep_first:
                marks[first] = FREE
        begin = i


@compiled
def marked_ranges(
    marks: ByteArray, bounds: Int64Array
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Marked windows in a row: document, first unit in it, how many.

    Document i has the units from `bounds[i]` to `bounds[i + 1]`.
    """
    count = 0
    for unit in range(len(marks)):
        count += int(marks[unit] == MARKED and (unit == 0 or marks[unit - 1] != MARKED))
    document = np.empty(count, np.int64)
    start, length = np.empty(count, np.int64), np.zeros(count, np.int64)
    n = -1
    for d in range(len(bounds) - 1):
        before = False  # a document's last units start no window
        for unit in range(bounds[d], bounds[d + 1]):
            marked = marks[unit] == MARKED
            if marked and not before:
                n += 1
                document[n], start[n] = d, unit - bounds[d]
            if marked:
                length[n] += 1
            before = marked
    return document, start, length


@compiled
def count_characters(data: ByteArray, begins: Int64Array, ends: Int64Array) -> Int64Array:
    """Characters that start within each range of UTF-8 bytes."""
    counts = np.zeros(len(begins), np.int64)
    for i in range(len(begins)):
        for at in range(begins[i], ends[i]):
            counts[i] += int(data[at] & 0xC0 != 0x80)
    return counts


@compiled
def to_characters(
    data: ByteArray, begins: Int64Array, ends: Int64Array, stops: Int64Array
) -> BoolArray:
    """Shrink ranges of UTF-8 bytes, in place, to whole characters; which are left.

    `stops[i]` is the end of the text that range i lies in.
    """
    left = np.empty(len(begins), np.bool_)
    for i in range(len(begins)):
        while begins[i] < ends[i] and data[begins[i]] & 0xC0 == 0x80:
            begins[i] += 1
        while begins[i] < ends[i] and ends[i] < stops[i] and data[ends[i]] & 0xC0 == 0x80:
            ends[i] -= 1
        left[i] = begins[i] < ends[i]
    return left
