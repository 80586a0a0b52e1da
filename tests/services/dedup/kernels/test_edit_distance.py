"""Distances against the full table, and similarities at their thresholds."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels.edit_distance import (
    distance,
    edit_similarities,
    most_edits,
    room_for,
)
from services.dedup.kernels.shingle_sets import unit_sequences
from services.dedup.shingles import ShingleParams, documents, shingle_hashes

SEQUENCES = st.lists(st.integers(0, 3), max_size=30)


def table_distance(a, b):
    """Levenshtein's recurrence, cell by cell."""
    before = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
        before = row
    return before[-1]


def distance_of(a, b, cutoff):
    """`distance` of whole sequences that lie within larger arrays."""
    first, second = (np.array([9, *x, 9], np.uint64) for x in (a, b))
    return distance(first, 1, 1 + len(a), second, 1, 1 + len(b), cutoff, room_for(cutoff))


@settings(deadline=None, max_examples=500)  # the first call compiles
@given(a=SEQUENCES, b=SEQUENCES, cutoff=st.integers(0, 40))
def test_equals_the_full_table_up_to_the_cutoff(a, b, cutoff):
    assert distance_of(a, b, cutoff) == min(table_distance(a, b), cutoff + 1)


@settings(deadline=None)
@given(
    a=st.lists(st.integers(0, 50), max_size=200),
    seed=st.integers(0, 2**32),
    edits=st.integers(0, 30),
)
def test_few_edits_of_a_long_sequence(a, seed, edits):
    random = np.random.default_rng(seed)
    b = list(a)
    for _ in range(edits):
        at = int(random.integers(0, len(b) + 1))
        b[at : at + int(random.integers(0, 2))] = random.integers(
            0, 50, random.integers(0, 2)
        ).tolist()
    assert distance_of(a, b, 30) == table_distance(a, b)


def test_characters_too():
    a, b = (np.array([ord(c) for c in word], np.uint32) for word in ("kitten", "sitting"))
    assert distance(a, 0, 6, b, 0, 7, 7, room_for(7)) == 3
    assert distance(a, 0, 6, b, 0, 7, 2, room_for(2)) == 3  # more than 2


@settings(deadline=None)
@given(longest=st.integers(1, 2000), least=st.floats(0.01, 1))
def test_most_edits_is_the_last_that_passes(longest, least):
    passing = [d for d in range(longest + 1) if 1 - d / longest >= least]
    assert most_edits(longest, least) == max(passing)


def ragged(sequences):
    values = np.concatenate([np.array(s, np.uint64) for s in sequences])
    return values, np.cumsum([0, *(len(s) for s in sequences)])


@pytest.mark.parametrize(("edits", "expected"), [(0, 1.0), (1, 0.9), (2, 0.8), (3, -1.0)])
def test_similarity_at_its_threshold(edits, expected):
    """Ten words: two edits are 0.8, which passes; three are 0.7."""
    a = list(range(10))
    b = [99] * edits + a[edits:]
    found = edit_similarities(*ragged([a, b]), np.array([0]), np.array([1]), 0.8)
    assert found.tolist() == [expected]


@settings(deadline=None)
@given(sequences=st.lists(SEQUENCES, min_size=2, max_size=6), least=st.floats(0.05, 1))
def test_similarities_of_many_pairs(sequences, least):
    left, right = np.triu_indices(len(sequences), 1)
    found = edit_similarities(*ragged(sequences), left, right, least)
    for got, i, k in zip(found, left, right, strict=True):
        a, b = sequences[i], sequences[k]
        similarity = 1 - table_distance(a, b) / max(len(a), len(b)) if a or b else 1.0
        assert got == (similarity if similarity >= least else -1)


def units(texts, **params):
    """The units of each text, as numbers."""
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    found, offsets = unit_sequences(documents(column, ShingleParams(**params)))
    return [found[i:k].tolist() for i, k in pairwise(offsets.tolist())]


def test_units_in_their_order():
    texts = ["A b, a", None, "", "b A"]
    words = units(texts)
    assert [len(w) for w in words] == [3, 0, 0, 2]
    assert words[0][0] == words[0][2] == words[3][1]
    assert words[0][1] == words[3][0] != words[0][0]
    assert [len(u) for u in units(texts, unit="characters", normalization="none")] == [6, 0, 0, 3]


@pytest.mark.parametrize("unit", ["words", "characters", "tokens", "jieba"])
def test_as_many_units_as_shingles_of_one(unit):
    """Where no unit occurs twice; neighbours of a null and of nothing too."""
    texts = [None, "abc déf 我爱 北京", "", "xyz"]
    sequences = units(texts, unit=unit)
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    sets, offsets = shingle_hashes(column, ShingleParams(unit=unit, ngram=1))
    bounds = list(pairwise(offsets.tolist()))
    assert [sorted(set(s)) for s in sequences] == [sets[i:k].tolist() for i, k in bounds]
    assert len(sequences[1]) > 3
