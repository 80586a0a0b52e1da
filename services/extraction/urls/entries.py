"""Compiled reading of list entries: where they stand, and their canonical form."""

import numpy as np
import numpy.typing as npt
from numba import njit

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

_SPACE, _TAB, _RETURN = ord(" "), ord("\t"), ord("\r")
_NEWLINE, _HASH, _DOT, _COLON, _SLASH = ord("\n"), ord("#"), ord("."), ord(":"), ord("/")
_AT, _BRACKET, _STAR, _QUESTION = ord("@"), ord("["), ord("*"), ord("?")


@njit(cache=True, nogil=True)
def split_entries(data: Bytes) -> tuple[Int64Array, Int64Array]:
    """The spans of the entries of some lines.

    An entry is a line's first word, or, where that is an address, each word after it. A word that
    starts with `#` ends the line.
    """
    starts = np.empty(len(data) // 2 + 1, np.int64)
    ends = np.empty(len(data) // 2 + 1, np.int64)
    found = at = 0
    while at < len(data):
        stop = at
        while stop < len(data) and data[stop] != _NEWLINE:
            stop += 1
        found = _split_line(data, at, stop, starts, ends, found)
        at = stop + 1
    return starts[:found].copy(), ends[:found].copy()


@njit(cache=True, nogil=True)
def _split_line(
    data: Bytes, at: int, stop: int, starts: Int64Array, ends: Int64Array, found: int
) -> int:
    """Write a line's entries from place `found` on; returns the place after the last."""
    words = 0
    while True:
        while at < stop and _is_space(data[at]):
            at += 1
        if at == stop or data[at] == _HASH:
            return found
        if words == 1:
            if not _is_address(data, starts[found - 1], ends[found - 1]):
                return found
            found -= 1
        starts[found] = at
        while at < stop and not _is_space(data[at]):
            at += 1
        ends[found] = at
        found += 1
        words += 1


@njit(cache=True, nogil=True)
def _is_space(byte: int | np.integer) -> bool:
    return bool(byte == _SPACE or _TAB <= byte <= _RETURN)


@njit(cache=True, nogil=True)
def _is_address(data: Bytes, start: int, end: int) -> bool:
    """Whether a word looks like an address: digits and dots, or with a colon and no slash."""
    digits, colons = True, False
    for at in range(start, end):
        byte = data[at]
        if byte == _SLASH:
            return False
        colons = colons or byte == _COLON
        digits = digits and (byte == _DOT or ord("0") <= byte <= ord("9"))
    return digits or colons


@njit(cache=True, nogil=True)
def have_slash(data: Bytes, starts: Int64Array, ends: Int64Array) -> BoolArray:
    """Which spans have a slash."""
    found = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        for at in range(starts[i], ends[i]):
            found[i] = found[i] or data[at] == _SLASH
    return found


@njit(cache=True, nogil=True)
def lower(data: Bytes) -> None:
    """Lower the ASCII letters, in place."""
    for at in range(len(data)):
        if ord("A") <= data[at] <= ord("Z"):
            data[at] += 32


@njit(cache=True, nogil=True)
def simplify_entries(
    data: Bytes, starts: Int64Array, ends: Int64Array
) -> tuple[BoolArray, BoolArray]:
    """Cut spans of lower-case data to keys, in place: (which are URLs, which are not simple).

    As `blocklists.entry_key`, for entries of ASCII without scheme, user, port, address in brackets
    and fragment. Those that are not simple are left as they are.
    """
    is_url, odd = np.zeros(len(starts), np.bool_), np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        path = ends[i]
        for at in range(ends[i] - 1, starts[i] - 1, -1):
            byte = data[at]
            if byte in (_SLASH, _QUESTION):
                path = at
            odd[i] |= byte > 127 or byte in (_COLON, _AT, _HASH, _BRACKET, _STAR)
        odd[i] |= path == starts[i] or data[starts[i]] == _DOT or data[path - 1] == _DOT
        if odd[i]:
            continue
        while ends[i] > path and data[ends[i] - 1] == _SLASH:
            ends[i] -= 1
        is_url[i] = ends[i] > path
        if is_url[i] and _starts_with_www(data, starts[i], path):
            starts[i] += 4
    return is_url, odd


@njit(cache=True, nogil=True)
def _starts_with_www(data: Bytes, start: int, end: int) -> bool:
    if end - start < 4 or data[start + 3] != _DOT:
        return False
    return bool(data[start] == data[start + 1] == data[start + 2] == ord("w"))
