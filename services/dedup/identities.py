"""Ids of documents, wherever they lie, for one slice of rows after the other.

A row names two documents that may lie in any shard or batch. Each slice's wishes are sent to the
buckets of the places; each bucket's shards are read once for all slices; and the ids, sent back,
stand in the order of the slice's places, since the buckets do.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from services.dedup.buckets import Buckets
from services.dedup.edges import Int64Array

#: Ids (string) of the documents at ascending places.
Documents: TypeAlias = Callable[[Int64Array], pa.Array]


class Identities:
    """Ids that slices of rows ask for, then get: `ask` for all, `answer`, `get`."""

    def __init__(self, slices: int, cuts: Int64Array, opened: ExitStack) -> None:
        self._slices, self._cuts = slices, cuts
        self._asked = opened.enter_context(Buckets(len(cuts) + 1, place="i8", slice="i4"))
        self._sizes = opened.enter_context(Buckets(slices, size="i4"))
        self._text = opened.enter_context(Buckets(slices, text="u1"))

    def ask(self, number: int, places: Int64Array) -> None:
        """A slice's distinct places, ascending."""
        numbers = np.full(len(places), number)
        self._asked.scatter(places, self._cuts, place=places, slice=numbers)

    def answer(self, documents: Documents, most: int) -> None:
        """Fetch the ids of all places, about `most` at a time."""
        from services.dedup.components import distinct

        for bucket in range(len(self._cuts) + 1):
            asked = self._asked.all(bucket)
            order = np.argsort(asked["place"], kind="stable")
            for start in range(0, len(order), most):
                part = order[start : start + most]
                places, slices = asked["place"][part], asked["slice"][part]
                known = distinct(places)
                self._tell(documents(known), np.searchsorted(known, places), slices)

    def _tell(self, ids: pa.Array, at: Int64Array, slices: Int64Array) -> None:
        """Give each slice its ids; their places ascend."""
        order = np.argsort(slices, kind="stable")
        chosen = ids.cast(pa.large_string()).take(pa.array(at[order]))
        _, offsets, text = chosen.buffers()
        ends = np.frombuffer(offsets, np.int64)[chosen.offset : chosen.offset + len(at) + 1]
        bounds = np.searchsorted(slices[order], np.arange(self._slices + 1))
        self._sizes.write(bounds, size=np.diff(ends))
        data = np.frombuffer(text or b"", np.uint8)[ends[0] : ends[-1]]
        self._text.write(ends[bounds] - ends[0], text=data)

    def get(self, number: int) -> pa.Array:
        """The ids (string) of a slice's places, in their order."""
        sizes = self._sizes.all(number)["size"]
        ends = np.concatenate(([0], np.cumsum(sizes, dtype=np.int32)), dtype=np.int32)
        text = self._text.all(number)["text"]
        return pa.StringArray.from_buffers(len(sizes), pa.py_buffer(ends), pa.py_buffer(text))
