"""Compiled segmentation into lines as Python programs cut them.

The loops have the arguments of those in `shared.text.words`.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.characters import SPACE
from shared.text.lines import line_end, stripped
from shared.text.utf8 import flags_at

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def split_size(data: Bytes, at: int, stop: int) -> int:
    r"""Bytes of the character at `at` where `str.splitlines` splits there, or 0.

    It splits at \n \v \f \r \x1c \x1d \x1e \x85 U+2028 U+2029. That \r\n is one end and not two
    makes no difference where blank lines are none.
    """
    byte = data[at]
    if byte < 0x20:
        return 1 if 10 <= byte <= 13 or 28 <= byte <= 30 else 0
    if byte == 0xC2:
        return 2 if at + 1 < stop and data[at + 1] == 0x85 else 0
    if byte == 0xE2 and at + 2 < stop and data[at + 1] == 0x80:
        return 3 if data[at + 2] in (0xA8, 0xA9) else 0
    return 0


@njit(cache=True, nogil=True)
def universal_end(data: Bytes, at: int, stop: int) -> int:
    """Where `str.splitlines` splits next, or the text's end."""
    while at < stop:
        byte = data[at]
        may_split = byte < 0x20 or byte in (0xC2, 0xE2)
        if may_split and split_size(data, at, stop):
            break
        at += 1
    return at


@njit(cache=True, nogil=True)
def universal_lines(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    """Lines of `str.splitlines()`, stripped; blank ones are none."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        at = begins[row]
        while at < stops[row]:
            close = universal_end(data, at, stops[row])
            start, end = stripped(data, at, close, flags)
            if start < end:
                starts[count], ends[count] = start, end
                count += 1
            at = close + 1 if close == stops[row] else close + split_size(data, close, stops[row])
    bounds[len(begins)] = count
    return count


@njit(cache=True, nogil=True)
def is_blank(data: Bytes, at: int, end: int, flags: Bytes) -> bool:
    """Whether a span is empty or white space."""
    while at < end:
        kind, size = flags_at(data, at, end, flags)
        if not kind & SPACE:
            return False
        at += size
    return True


@njit(cache=True, nogil=True)
def unstripped_lines(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    bounds: Int64Array,
) -> int:
    r"""`[s for s in text.split("\n") if s.strip()]`: blank lines are none, others are whole."""
    count = 0
    for row in range(len(begins)):
        bounds[row] = count
        at = begins[row]
        while at < stops[row]:
            feed = line_end(data, at, stops[row])
            if not is_blank(data, at, feed, flags):
                starts[count], ends[count] = at, feed
                count += 1
            at = feed + 1
    bounds[len(begins)] = count
    return count
