"""Which document of a cluster stays: each rule by hand, and against a plain choice."""

import hashlib
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.clusters import clusters_of
from services.dedup.duplicates import DuplicateParams
from services.dedup.edges import edge_table
from services.dedup.keepers import preference_of, values_at
from shared.errors import PermanentError
from shared.index import ROW_BITS
from shared.table_scope import TableScope

Numbers = list[float | None]


def scope_of(values: Numbers, size: int = 3, *, memory: int = 2**26) -> TableScope:
    """Documents d0, ... with a value each, `size` a shard; lengths and scores are the values."""
    shards = []
    for first in range(0, len(values), size):
        part = values[first : first + size]
        lengths = [None if v is None or np.isnan(v) or np.isinf(v) else int(v) for v in part]
        shards.append(
            pa.table(
                {
                    "row": pa.array(range(len(part)), pa.int64()),
                    "document": [f"d{first + i}" for i in range(len(part))],
                    "characters": pa.array(lengths, pa.int64()),
                    "edu_v1.score": pa.array(part, pa.float32()),
                    "name": ["x"] * len(part),
                }
            )
        )
    return TableScope(shards, memory=memory)


def place(i: int, size: int = 3) -> int:
    return (i // size) << ROW_BITS | i % size


def clusters(
    scope: TableScope, edges: list[tuple[int, int]], params: DuplicateParams
) -> list[tuple[str, str, int]]:
    """Document, keeper and size of each document in a cluster."""
    left, right = (np.array([place(e[n]) for e in edges], np.int64) for n in (0, 1))
    tables = [edge_table(left, right, np.ones(len(left), np.int32))]
    options = {"length": "characters", "estimate": lambda shared: shared}
    found = clusters_of(scope, tables, params, **options).table.read_all()
    rows = found.select(["shard", "row", "keeper", "cluster", "cluster_size", "keeper_place"])
    chosen = []
    for row in rows.to_pylist():
        document = f"d{3 * row['shard'] + row['row']}"
        assert row["keeper"] == (row["cluster"] == document)
        assert row["keeper_place"] == place(int(row["cluster"][1:]))
        chosen.append((document, row["cluster"], row["cluster_size"]))
    return chosen


def keeper_of(values: Numbers, rule: str, **options) -> str:
    """Who stays of one cluster of all."""
    params = DuplicateParams(keeper=rule, **options)
    edges = [(i, i + 1) for i in range(len(values) - 1)]
    names = {keeper for _, keeper, _ in clusters(scope_of(values), edges, params)}
    (name,) = names
    return name


def test_first():
    assert keeper_of([1, 9, 9, 2, 7], "first") == "d0"


@pytest.mark.parametrize(
    ("lengths", "kept"),
    [
        ([5, 9, 9, 2], "d1"),
        ([5, 9, 10, 2], "d2"),
        ([None, 0, None], "d1"),
        ([None, None], "d0"),
        ([1, 1, 1, 1, 2], "d4"),
    ],
)
def test_longest_and_the_first_of_equals(lengths, kept):
    assert keeper_of(lengths, "longest") == kept


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.5, 0.75, 0.75], "d1"),
        ([-3, -2, -2.5], "d1"),
        ([-0.0, 0.0, -1], "d0"),
        ([None, float("nan"), -1e9], "d2"),
        ([float("nan"), None], "d0"),
        ([3.0, float("inf"), float("-inf")], "d1"),
        ([float("nan"), float("-inf")], "d1"),
        ([0.25, -0.5, 0.125, 1e-30], "d0"),
    ],
)
def test_best_by_a_column_of_scores(scores, kept):
    assert keeper_of(scores, "best", score="edu_v1.score") == kept


def test_best_by_what_is_no_number():
    with pytest.raises(PermanentError, match="found by numbers, not by string"):
        keeper_of([1, 2], "best", score="name")


def test_random_follows_the_seed_and_the_ids():
    def hashed(seed: int, name: str) -> int:
        digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")

    names = [f"d{i}" for i in range(8)]
    drawn = Counter()
    for seed in range(160):
        kept = keeper_of([1] * 8, "random", seed=seed)
        assert kept == min(names, key=lambda n: hashed(seed, n))
        drawn[kept] += 1
    # 160 draws of 8: 20 expected each, standard deviation 4.2.
    assert len(drawn) == 8
    assert all(3 < n < 37 for n in drawn.values())


values = st.none() | st.integers(0, 3).map(float)
cases = st.lists(values, min_size=1, max_size=24).flatmap(
    lambda v: st.tuples(
        st.just(v),
        st.lists(st.tuples(st.integers(0, len(v) - 1), st.integers(0, len(v) - 1)), max_size=24),
    )
)


@settings(deadline=None)  # the first call compiles
@given(cases, st.sampled_from(["first", "longest", "best"]), st.sampled_from([2**26, 96 * 4, 1]))
def test_equals_a_plain_choice_whatever_the_memory(case, rule, memory):
    numbers, edges = case
    params = DuplicateParams(keeper=rule, score="edu_v1.score" if rule == "best" else None)
    groups = [{i} for i in range(len(numbers))]
    for a, b in edges:
        union = groups[a] | groups[b]
        for i in union:
            groups[i] = union
    expected = []
    for i, group in enumerate(groups):
        worth = {j: -1.0 if numbers[j] is None else numbers[j] for j in group}
        keeper = min(group) if rule == "first" else min(group, key=lambda j: (-worth[j], j))
        if len(group) > 1:
            expected.append((f"d{i}", f"d{keeper}", len(group)))
    assert clusters(scope_of(numbers, memory=memory), edges, params) == expected


def test_only_the_shards_that_are_asked_for_are_read():
    read = []

    class Noted(TableScope):
        def rows(self, columns, shards=None):
            read.append((columns, shards))
            yield from super().rows(columns, shards)

    scope = Noted(scope_of([0, 1, 2, 3, 4, 5, 6, 7, 8]).shards)
    parts = list(values_at(scope, "document", np.array([place(1), place(2), place(7)])))
    assert [d for part in parts for d in part.to_pylist()] == ["d1", "d2", "d7"]
    assert read == [(("document",), range(1)), (("document",), range(2, 3))]
    assert list(values_at(scope, "document", np.empty(0, np.int64))) == []
    assert preference_of(scope, DuplicateParams(), "characters") is None


@pytest.mark.parametrize("missing", [place(2) + 1, place(3) + 1])
def test_a_place_without_a_document(missing):
    scope = scope_of([0, 1, 2, 3])
    with pytest.raises(PermanentError, match="1 documents were matched, 0 are still kept"):
        list(values_at(scope, "document", np.array([missing])))
