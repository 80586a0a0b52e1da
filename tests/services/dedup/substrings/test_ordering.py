"""Positions sorted in bounded memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dedup.substrings.ordering import (
    POSITION_BYTES,
    PositionSorter,
    _sorted_wide,
    sorted_once,
)

positions = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2**32 - 1) | st.integers(0, 9)))


@given(st.lists(positions, max_size=5), st.integers(0, 12))
def test_positions_come_back_sorted_each_once(parts, room):
    sorter = PositionSorter(room * POSITION_BYTES)
    for part in parts:
        places, at = [p for p, _ in part], [a for _, a in part]
        sorter.add(np.array(places, np.int64), np.array(at, np.uint32))
    found, documents = [], []
    for part in sorter.sorted_parts():
        found += list(zip(part.places.tolist(), part.at.tolist(), strict=True))
        documents += sorted(set(part.places.tolist()))
    assert documents == sorted(set(documents))  # a document's lie in one part
    once = sorted({p for part in parts for p in part})
    assert found == once


@pytest.mark.parametrize("room", [10, 1000])
def test_a_document_larger_than_the_memory(room):
    at = np.arange(500, dtype=np.uint32)[::-1]
    sorter = PositionSorter(room * POSITION_BYTES)
    sorter.add(np.full(500, 7), at)
    (part,) = [p for p in sorter.sorted_parts() if len(p.at)]
    assert part.at.tolist() == list(range(500))


@given(positions, st.integers(0, 2**31 - 10), st.integers(0, 29))
def test_one_word_sorts_as_two_columns_do(found, shard, row_bits):
    """Where shard, row and unit fit 64 bits, and where they do not."""
    places = np.array([(shard + p) << 32 | p << row_bits for p, _ in found], np.int64)
    at = np.array([a for _, a in found], np.uint32)
    one, two = sorted_once(places, at), _sorted_wide(places, at)
    assert one.places.tolist() == two.places.tolist()
    assert one.at.tolist() == two.at.tolist()
    assert one.at.dtype == np.uint32
