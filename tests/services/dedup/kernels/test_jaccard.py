"""Similarities against Python's sets; keys of which no similar pair is without a common one."""

import math
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels.jaccard import (
    flatten,
    jaccard_similarities,
    pairs_of_keys,
    parts_of,
    prefixes,
    unite,
)

SETS = st.lists(st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 30), max_size=30), min_size=2)


def ragged(sets):
    values = [np.array(sorted(s), np.uint64) for s in sets]
    return np.concatenate(values), np.cumsum([0, *(len(v) for v in values)])


def jaccard(a, b):
    return len(a & b) / len(a | b) if a | b else 0.0


@settings(deadline=None)  # the first call compiles
@given(sets=SETS)
def test_equals_pythons_sets(sets):
    left, right = np.triu_indices(len(sets))
    found = jaccard_similarities(*ragged(sets), left, right)
    expected = [jaccard(sets[i], sets[k]) for i, k in zip(left, right, strict=True)]
    assert found.tolist() == expected


@settings(deadline=None, max_examples=300)
@given(
    shared=st.sets(st.integers(0, 200), min_size=1, max_size=40),
    others=st.lists(st.sets(st.integers(201, 400), max_size=8), min_size=2, max_size=5),
    least=st.floats(0.05, 1),
)
def test_similar_sets_share_a_key(shared, others, least):
    sets = [shared | other for other in others]
    keys, owners = prefixes(*ragged(sets), np.zeros(len(sets), np.int64), least)
    of = [set(keys[owners == i].tolist()) for i in range(len(sets))]
    for i, a in enumerate(sets):
        assert len(of[i]) == min(len(a), len(a) - math.ceil(least * len(a) - 1e-9) + 1)
        for k, b in enumerate(sets[:i]):
            if jaccard(a, b) >= least:
                assert of[i] & of[k]


def test_keys_of_other_components_differ():
    sets = [{1, 2, 3}, {1, 2, 3}, {1, 2, 3}]
    keys, owners = prefixes(*ragged(sets), np.array([5, 5, 6]), 0.1)
    of = [set(keys[owners == i].tolist()) for i in range(3)]
    assert of[0] == of[1]
    assert not of[0] & of[2]


@settings(deadline=None)
@given(edges=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_roots_are_the_least_of_a_component(edges):
    parent = np.arange(20)
    for a, b in edges:  # in as many calls as there are edges
        unite(parent, np.array([a]), np.array([b]))
    flatten(parent)
    component = {i: {i} for i in range(20)}
    for a, b in edges:
        joined = component[a] | component[b]
        component.update(dict.fromkeys(joined, joined))
    assert parent.tolist() == [min(component[i]) for i in range(20)]


def pairs(keys, nodes, roots, open_, most):
    arrays = np.array(keys, np.uint64), np.array(nodes), np.array(roots), np.array(open_)
    left, right = pairs_of_keys(*arrays, most)
    return list(zip(left.tolist(), right.tolist(), strict=True))


def test_pairs_that_are_worth_a_look():
    """Nodes 0 and 1 are linked already; nobody asks for 2 and 4."""
    roots, open_ = [0, 0, 2, 3, 4], [False, True, False, True, False]
    found = pairs([7, 7, 7, 7, 7, 8], [0, 1, 2, 3, 4, 3], roots, open_, 9)
    assert found == [(1, 2), (0, 3), (1, 3), (2, 3), (1, 4), (3, 4)]


def test_a_hot_key_gives_pairs_in_line():
    """Three may be compared with each other; of more, each with the first and the one before."""
    size = 6
    found = pairs([7] * size, range(size), range(size), [True] * size, 3)
    assert found == [(0, 1), (0, 2), (1, 2), (0, 3), (2, 3), (0, 4), (3, 4), (0, 5), (4, 5)]
    many = 100_000
    assert len(pairs([7] * many, range(many), range(many), [True] * many, 16)) < 3 * many


def test_parts_are_even_and_independent():
    components = np.arange(30_000) << 20
    first = parts_of(components, 3, 1)
    second = parts_of(components, 3, 3)
    counts = Counter(zip(first.tolist(), second.tolist(), strict=True))
    assert len(counts) == 9
    assert max(abs(n - 30_000 / 9) for n in counts.values()) < 6 * math.sqrt(30_000 / 9)
