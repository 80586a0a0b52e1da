"""Sets of millions of strings as two hashes each, and the loops that look strings up in them.

A string is known by two polynomial hashes modulo 2^61 - 1 over different bases, 122 bits: for n
strings in a table and q looked up, all of at most L bytes, the chance of any false match is below
n q L^2 / 2^122 (5 million entries, 10^12 URLs of 100 bytes: 1e-14), so a match is a match. There
are no false misses. An entry takes 17 bytes, sorted by the first hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from shared.text.hashing import BASE, multiply, reduce

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[Any]
Hashes = tuple[UInt64Array, UInt64Array]

#: The fraction digits of e (0xB7E151628AED2A6A...), top 60 bits: nothing up the sleeve.
_OTHER_BASE = np.uint64(0xB7E151628AED2A6)
#: What is found where a key is in no table.
ABSENT: Final = -1


@dataclass(frozen=True)
class Table:
    """Distinct keys, sorted by their first hash, each with a label."""

    first: UInt64Array
    second: UInt64Array
    labels: Labels

    @property
    def nbytes(self) -> int:
        """Memory of the entries."""
        return self.first.nbytes + self.second.nbytes + self.labels.nbytes

    def find(self, hashes: Hashes) -> Int64Array:
        """The label of each key, ABSENT where it is not in the table."""
        return np.asarray(find_keys(*hashes, self.first, self.second, self.labels))


def spans(strings: Sequence[str]) -> tuple[Bytes, Int64Array, Int64Array]:
    """Strings as UTF-8 bytes, starts and ends."""
    _, offsets, data = pa.array(strings, pa.large_string()).buffers()
    places = np.zeros(1, np.int64)
    if len(strings):
        places = np.frombuffer(offsets, np.int64)[: len(strings) + 1]
    return np.frombuffer(data or b"", np.uint8), places[:-1], places[1:]


def hash_strings(strings: Sequence[str]) -> Hashes:
    """Both hashes of each string."""
    first, second = hash_keys(*spans(strings))
    return first, second


class Collector:
    """Keys on their way into a table.

    Its arrays grow in place, and are sorted one by one: 33 bytes an entry at the most.
    """

    def __init__(self, labels: npt.DTypeLike = np.uint8) -> None:
        self._size = 0
        self._first, self._second = np.empty(64, np.uint64), np.empty(64, np.uint64)
        self._labels: Labels = np.empty(64, labels)

    def add(self, hashes: Hashes, labels: Labels | int) -> None:
        """Add keys, and the label of each or of all."""
        start, self._size = self._size, self._size + len(hashes[0])
        if self._size > len(self._first):
            for array in (self._first, self._second, self._labels):
                # In place (mremap): nobody else holds these arrays.
                array.resize(self._size + self._size // 4, refcheck=False)
        self._first[start : self._size], self._second[start : self._size] = hashes
        self._labels[start : self._size] = labels

    def table(self) -> Table:
        """The table of the keys; of a key that was added twice the smallest label counts."""
        size, self._size = self._size, 0
        order = np.argsort(self._first[:size])
        first = self._first = self._first[order]
        second = self._second = self._second[order]
        labels = self._labels = self._labels[order]
        del order
        new = np.ones(size, np.bool_)
        new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        if not new.all():
            labels = np.minimum.reduceat(labels, np.flatnonzero(new))
            first, second = first[new], second[new]
        return Table(first, second, labels)


@njit(cache=True, nogil=True)
def append_byte(
    first: np.uint64, second: np.uint64, byte: int | np.integer
) -> tuple[np.uint64, np.uint64]:
    """Both hashes of a string and one more byte."""
    value = np.uint64(byte + 1)
    return reduce(multiply(first, BASE) + value), reduce(multiply(second, _OTHER_BASE) + value)


@njit(cache=True, nogil=True)
def hash_keys(data: Bytes, starts: Int64Array, ends: Int64Array) -> tuple[UInt64Array, UInt64Array]:
    """Both hashes of each string `data[starts[i]:ends[i]]`."""
    firsts, seconds = np.empty(len(starts), np.uint64), np.empty(len(starts), np.uint64)
    for i in range(len(starts)):
        first = second = np.uint64(0)
        for at in range(starts[i], ends[i]):
            first, second = append_byte(first, second, data[at])
        firsts[i], seconds[i] = first, second
    return firsts, seconds


@njit(cache=True, nogil=True)
def find_key(
    first: np.uint64, second: np.uint64, firsts: UInt64Array, seconds: UInt64Array, labels: Labels
) -> int:
    """The label of one key in a table, ABSENT where it is not there."""
    at = np.searchsorted(firsts, first)
    while at < len(firsts) and firsts[at] == first:
        if seconds[at] == second:
            return int(labels[at])
        at += 1
    return ABSENT


@njit(cache=True, nogil=True)
def find_keys(
    first: UInt64Array,
    second: UInt64Array,
    firsts: UInt64Array,
    seconds: UInt64Array,
    labels: Labels,
) -> Int64Array:
    """`find_key` of each key."""
    found = np.empty(len(first), np.int64)
    for i in range(len(first)):
        found[i] = find_key(first[i], second[i], firsts, seconds, labels)
    return found


@njit(cache=True, nogil=True)
def find_prefixes(
    data: Bytes,
    starts: Int64Array,
    ends: Int64Array,
    firsts: UInt64Array,
    seconds: UInt64Array,
    labels: Labels,
) -> Int64Array:
    """The label of each URL's shortest part in the table that ends before `/` or `?`, or is all."""
    found = np.full(len(starts), ABSENT, np.int64)
    for i in range(len(starts)):
        first = second = np.uint64(0)
        for at in range(starts[i], ends[i] + 1):
            if at == ends[i] or data[at] == ord("/") or data[at] == ord("?"):
                found[i] = find_key(first, second, firsts, seconds, labels)
                if found[i] != ABSENT:
                    break
            if at < ends[i]:
                first, second = append_byte(first, second, data[at])
    return found
