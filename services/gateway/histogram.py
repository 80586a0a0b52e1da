"""Distributions of measured columns, added up chunk by chunk in bounded memory.

Numbers go into buckets of their leading 13 binary digits (`float64`, order kept): integers up to
16,384 stay apart, everything else within 0.012 %. A histogram's edges are edges of buckets, so its
counts are exact for the edges that it gives, and one pass is enough. Should the buckets become too
many, neighbours are joined.

Strings and truth values are counted one by one; beyond `DISTINCT` of them only the frequent ones.
Every count is kept by group (what became of the document).
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

BINS = 50
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
#: Buckets kept at most (16 bytes and a count a group each), and values looked at before merging.
BUCKETS = 1 << 18
#: Bits of a float64 that a bucket forgets at first: all but sign, exponent and 13 binary digits.
SHIFT = 39
EXACT_INTEGERS = 2**14
#: Different strings counted before the rare ones are forgotten; their longest shown part.
DISTINCT = 20_000
LONGEST_VALUE = 200
#: A logarithmic scale is for values that reach this many times their median, and more than 10.
SPREAD = 10
_SIGN = np.int64(0x7FFF_FFFF_FFFF_FFFF)


def _ordered(values: FloatArray) -> Int64Array:
    """Integers in the order of the floats: their bits, those of negative ones turned."""
    bits = (values + 0.0).view(np.int64)  # -0.0 becomes 0.0
    return np.where(bits < 0, bits ^ _SIGN, bits)


def _float(key: int, shift: int) -> float:
    """The least value of a bucket."""
    bits = np.array([key << shift], np.int64)
    return float(np.where(bits < 0, bits ^ _SIGN, bits).view(np.float64)[0])


@dataclass
class Numbers:
    """Values of a numeric column by group."""

    groups: int
    integers: bool
    shift: int = SHIFT
    total: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf
    _keys: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    _counts: Int64Array = field(init=False)
    _pending: list[tuple[Int64Array, Int64Array]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._counts = np.zeros((0, self.groups), np.int64)

    def add(self, column: pa.ChunkedArray, groups: Int64Array) -> None:
        """Count values, none of them null, with the group of each."""
        values = np.asarray(column.cast(pa.float64()))
        if not len(values):
            return
        self.total += float(values.sum())
        self.least = min(self.least, float(values.min()))
        self.greatest = max(self.greatest, float(values.max()))
        keys, inverse = np.unique(_ordered(values) >> self.shift, return_inverse=True)
        counts = np.zeros((len(keys), self.groups), np.int64)
        np.add.at(counts, (inverse, groups), 1)
        self._pending.append((keys, counts))
        if sum(len(k) for k, _ in self._pending) > BUCKETS:
            self._merge()

    def _merge(self) -> None:
        """Add what is pending to the buckets."""
        pending, self._pending = self._pending, []
        self._add(
            np.concatenate([self._keys, *(k for k, _ in pending)]),
            np.concatenate([self._counts, *(c for _, c in pending)]),
        )
        while len(self._keys) > BUCKETS:
            self.shift += 1
            self._add(self._keys >> 1, self._counts)

    def _add(self, keys: Int64Array, counts: Int64Array) -> None:
        self._keys, inverse = np.unique(keys, return_inverse=True)
        self._counts = np.zeros((len(self._keys), self.groups), np.int64)
        np.add.at(self._counts, inverse, counts)

    def describe(self) -> dict[str, Any]:
        """min, max, mean, quantiles, histogram; counts of a histogram's bin by group."""
        self._merge()
        if not len(self._keys):
            nothing = {"scale": "linear", "edges": [], "counts": []}
            return {"min": None, "max": None, "mean": None, "quantiles": {}, "histogram": nothing}
        known = self._counts.sum(axis=1).cumsum()
        places = np.searchsorted(known, np.array(QUANTILES) * known[-1])
        return {
            "min": self._shown(self.least),
            "max": self._shown(self.greatest),
            "mean": self.total / int(known[-1]),
            "quantiles": {
                f"{q:g}": self._value(int(self._keys[place]))
                for q, place in zip(QUANTILES, places.tolist(), strict=True)
            },
            "histogram": self._histogram(),
        }

    def _shown(self, value: float) -> float:
        return int(value) if self.integers else value

    def _value(self, key: int) -> float:
        """The least value of a bucket that can have been measured."""
        value = max(_float(key, self.shift), self.least)
        return math.ceil(value) if self.integers else value

    def _histogram(self) -> dict[str, Any]:
        """A bin a value for few integers, else about fifty bins [a, b), the last with its end."""
        largest = max(abs(self.least), abs(self.greatest))
        exact = self.shift == SHIFT and largest <= EXACT_INTEGERS
        if self.integers and exact and len(self._keys) <= BINS:
            values = [self._value(key) for key in self._keys.tolist()]
            return {"scale": "values", "values": values, "counts": self._counts.tolist()}
        scale, edges = self._edges()
        first, last = int(self._keys[0]), int(self._keys[-1]) + 1
        inner = np.unique(_ordered(edges) >> self.shift)
        inner = inner[(inner > first) & (inner < last)]
        cuts = [0, *np.searchsorted(self._keys, inner), len(self._keys)]
        below = np.vstack([np.zeros((1, self.groups), np.int64), self._counts.cumsum(axis=0)])
        sums = np.diff(below[cuts], axis=0)
        shown = [self._value(key) for key in inner.tolist()]
        ends = [self._shown(self.least), *shown, self._shown(self.greatest)]
        return {"scale": scale, "edges": ends, "counts": sums.tolist()}

    def _edges(self) -> tuple[str, FloatArray]:
        """Scale and wished inner edges."""
        low, high = self.least, self.greatest
        positive = self._keys > (_ordered(np.zeros(1)) >> self.shift)[0]
        if low >= 0 and high > 10 and positive.any():
            known = self._counts[positive].sum(axis=1).cumsum()
            keys = self._keys[positive]
            median = _float(int(keys[np.searchsorted(known, known[-1] / 2)]), self.shift)
            if high > SPREAD * median:
                start = _float(int(keys[0]), self.shift)
                edges = np.geomspace(start, high, BINS + 1 - (low == 0))[:-1]
                return "log", np.unique(np.ceil(edges)) if self.integers else edges
        if self.integers:
            width = math.ceil((high - low + 1) / BINS)
            return "linear", np.arange(low + width, high + 1, width)
        return "linear", np.linspace(low, high, BINS + 1)[1:-1]


@dataclass
class Values:
    """Values of a string or truth column by group."""

    groups: int
    exact: bool = True
    _counts: dict[Any, Int64Array] = field(default_factory=dict)

    def add(self, column: pa.ChunkedArray, groups: Int64Array) -> None:
        """Count values, none of them null, with the group of each."""
        if pa.types.is_string(column.type):
            column = pc.utf8_slice_codeunits(column, 0, LONGEST_VALUE)
        coded = column.combine_chunks().dictionary_encode()
        counts = np.zeros((len(coded.dictionary), self.groups), np.int64)
        np.add.at(counts, (np.asarray(coded.indices), groups), 1)
        for value, count in zip(coded.dictionary.to_pylist(), counts, strict=True):
            known = self._counts.get(value)
            self._counts[value] = count if known is None else known + count
        if len(self._counts) > DISTINCT:
            self.exact = False
            frequent = Counter({v: int(c.sum()) for v, c in self._counts.items()})
            keep = dict(frequent.most_common(DISTINCT // 2))
            self._counts = {v: self._counts[v] for v in keep}

    def describe(self) -> dict[str, Any]:
        """The most frequent values; where they were too many to count all, counts are at least."""
        ordered = sorted(self._counts.items(), key=lambda i: (-int(i[1].sum()), str(i[0])))
        return {
            "distinct": len(ordered),
            "exact": self.exact,
            "histogram": {
                "scale": "values",
                "values": [value for value, _ in ordered[:BINS]],
                "counts": [count.tolist() for _, count in ordered[:BINS]],
            },
        }
