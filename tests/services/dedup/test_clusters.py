"""Clusters of matched documents: against brute force, under an index, and by hand."""

from collections import defaultdict
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.clusters import CLUSTERED, COLUMNS, COMPONENTS, cluster, clusters_of, join
from services.dedup.duplicates import DuplicateParams, NearDuplicateParams
from services.dedup.edges import VERIFIED_EDGES, edge_table
from services.dedup.index import grouping
from services.dedup.keys import KeyColumn, read_bands, read_hashes
from services.dedup.matching import match, sort
from shared.errors import PermanentError
from shared.index import ROW_BITS, StoredRun
from shared.rules import KeepRule
from shared.step import Params, Phase, Step
from shared.table_scope import TableScope

Keys = list[int] | None
Batch = list[list[Keys]]


def step_of(name: str, key: KeyColumn) -> Step:
    """A duplicate step over a column."""
    return Step(
        name,
        (key.name, "document", "characters"),
        COLUMNS,
        DuplicateParams,
        "Duplicates.",
        phases=(
            Phase("sort", partial(sort, column=key), grouping.sort_tasks),
            Phase("merge", grouping.merge, grouping.merge_tasks),
            Phase("match", match, lambda p, _shards: int(p.partitions)),
            Phase(
                "cluster",
                partial(cluster, column=key.name, length="characters"),
                joined=lambda _p: True,
            ),
        ),
        join=join,
    )


NEAR = step_of("dedup.near_v1", KeyColumn("bands", read_bands))
EXACT = step_of("dedup.exact_v1", KeyColumn("text_hash", read_hashes))


def shards_of(batch: Batch, first: int = 0) -> list[pa.Table]:
    """Documents d<first>, ... of some keys each, at every second row; the first is the hash."""
    tables, total = [], first
    for keys in batch:
        hashes = [None if not k else k[0].to_bytes(16, "big") for k in keys]
        tables.append(
            pa.table(
                {
                    "row": pa.array(range(0, 2 * len(keys), 2), pa.int64()),
                    "bands": pa.array(keys, pa.list_(pa.uint64())),
                    "text_hash": pa.array(hashes, pa.binary(16)),
                    "document": pa.array([f"d{total + i}" for i in range(len(keys))], pa.string()),
                    "characters": pa.array([1] * len(keys), pa.int64()),
                }
            )
        )
        total += len(keys)
    return tables


def run(step: Step, scope: TableScope, params: Params | None = None) -> list[dict[str, Any]]:
    """What every document learns."""
    chosen = params or DuplicateParams(partitions=2)
    scope.run(step, chosen)
    rows = pa.concat_tables(scope.join(step, chosen)).drop(["error"]).to_pylist()
    ids = [d for table in scope.shards for d in table.column("document").to_pylist()]
    return [{"document": d, **row} for d, row in zip(ids, rows, strict=True)]


def keys_of(batch: Batch) -> list[set[tuple[int, int]]]:
    """Of each document its bands, each with its number."""
    return [set(enumerate(keys or [])) for shard in batch for keys in shard]


bands = st.none() | st.lists(st.integers(0, 3), min_size=3, max_size=3)
batches = st.lists(st.lists(bands, max_size=8), min_size=1, max_size=4)
memories = st.sampled_from([2**26, 2**10, 96 * 5, 1])


@settings(deadline=None)  # the first call compiles
@given(batches, memories)
def test_clusters_are_the_components_of_shared_bands(batch, memory):
    rows = run(NEAR, TableScope(shards_of(batch), memory=memory))
    keys = keys_of(batch)
    groups = [{i} for i in range(len(keys))]
    for i, mine in enumerate(keys):
        for j in range(i):
            if mine & keys[j]:
                union = groups[i] | groups[j]
                for k in union:
                    groups[k] = union
    for i, row in enumerate(rows):
        assert row["cluster_size"] == len(groups[i])
        assert row["cluster"] == (f"d{min(groups[i])}" if len(groups[i]) > 1 else None)
        assert row["keeper"] == (i == min(groups[i]))
        earlier = [j for j in range(i) if keys[i] & keys[j]]
        assert (row["matched"] is None) == (not earlier)
        assert row["matched"] is None or int(row["matched"][1:]) in earlier


@settings(deadline=None)
@given(batches)
def test_memory_changes_nothing_but_the_buckets(batch):
    tables = shards_of(batch)
    edges = [_all_edges(batch)]
    params = DuplicateParams()
    options = {"length": "characters", "estimate": lambda shared: shared / 4}
    results = [
        clusters_of(TableScope(tables, memory=memory), edges, params, **options).table.read_all()
        for memory in (2**26, 96 * 5, 1)
    ]
    assert results[0].schema == CLUSTERED
    assert results[0].equals(results[1])
    assert results[0].equals(results[2])


def _all_edges(batch: Batch) -> pa.Table:
    """Every pair that shares bands, and how many."""
    places = [s << ROW_BITS | 2 * i for s, shard in enumerate(batch) for i in range(len(shard))]
    keys = keys_of(batch)
    found = [
        (places[j], places[i], len(keys[i] & keys[j]))
        for i in range(len(keys))
        for j in range(i)
        if keys[i] & keys[j]
    ]
    left, right, shared = (np.array([e[n] for e in found], np.int64) for n in range(3))
    return edge_table(left, right, shared.astype(np.int32))


class Index:
    """An index over batches that ran in memory: it reads what their phases left."""

    def __init__(self) -> None:
        self.base = 0
        self.joined: list[tuple[int, TableScope]] = []

    def join(self, scope: TableScope) -> None:
        self.joined.append((self.base, scope))
        self.base += len(scope.shards)

    def runs(self) -> list[StoredRun]:
        return [
            StoredRun(scope.opened("sort", name, p), base)
            for base, scope in self.joined
            for p in range(scope.units("sort"))
            for name in scope.files("sort", p)
        ]

    def documents(self, places: np.ndarray) -> pa.Array:
        assert places.tolist() == sorted(set(places.tolist()))
        return pa.array([self._document(p) for p in places.tolist()], pa.string())

    def _document(self, place: int) -> str:
        base, scope = next((b, s) for b, s in reversed(self.joined) if b <= place >> ROW_BITS)
        rows = scope.shards[(place >> ROW_BITS) - base]
        at = rows.column("row").to_pylist().index(place & (2**ROW_BITS - 1))
        return rows.column("document")[at].as_py()

    def keepers(self, places: np.ndarray) -> np.ndarray:
        assert places.tolist() == sorted(set(places.tolist()))
        known = {}
        for base, scope in self.joined:
            for row in scope.table("cluster").to_pylist():
                known[(row["shard"] + base) << ROW_BITS | row["row"]] = row["keeper_place"]
        return np.array([known.get(p, p) for p in places.tolist()], np.int64)


class Both(NamedTuple):
    together: list[dict[str, Any]]
    apart: list[dict[str, Any]]


def both_ways(step: Step, parts: list[Batch], memory: int) -> Both:
    """All documents in one batch, and in several one after the other, under an index each."""
    params = DuplicateParams(index="web", partitions=2)
    whole = [shard for part in parts for shard in part]
    scope = TableScope(shards_of(whole), memory=memory, indexes={"web": Index()})
    together, apart = run(step, scope, params), []
    index = Index()
    for part in parts:
        scope = TableScope(shards_of(part, len(apart)), memory=memory, indexes={"web": index})
        apart += run(step, scope, params)
        index.join(scope)
    return Both(together, apart)


@settings(deadline=None, max_examples=40)
@given(st.lists(batches, min_size=2, max_size=3), memories)
def test_batches_one_after_the_other_keep_what_both_at_once_keep(parts, memory):
    keys = keys_of([shard for part in parts for shard in part])
    stays = [not any(mine & other for other in keys[:i]) for i, mine in enumerate(keys)]
    for rows in both_ways(NEAR, parts, memory):
        assert [row["keeper"] for row in rows] == stays
        for i, row in enumerate(rows):
            if not row["keeper"]:
                assert stays[int(row["cluster"][1:])]
                assert keys[i] & keys[int(row["matched"][1:])]
                assert int(row["matched"][1:]) < i


@settings(deadline=None, max_examples=40)
@given(st.lists(batches, min_size=2, max_size=3), memories)
def test_of_single_keys_batches_name_the_same_documents_too(parts, memory):
    together, apart = both_ways(EXACT, parts, memory)
    for a, b in zip(together, apart, strict=True):
        # What shares a key with later batches only is in a cluster when these are there.
        keeper = (a["keeper"], b["keeper"], b["cluster"])
        assert keeper == (True, True, None) or a["cluster"] == b["cluster"]
        assert a["keeper"] == b["keeper"]


def test_an_index_by_hand():
    """d1 leaves for d0; d2 has a key of d1's; d4 has one of d3's, which shares none with others."""
    first: Batch = [[[1, 1], [1, 2]]]
    second: Batch = [[[3, 2], [4, 4]], [[4, 5], [6, 5]]]
    together, apart = both_ways(NEAR, [first, second], 2**26)
    names = ["document", "keeper", "cluster", "cluster_size", "matched"]
    assert [[row[n] for n in names] for row in apart] == [
        ["d0", True, "d0", 2, None],
        ["d1", False, "d0", 2, "d0"],
        ["d2", False, "d0", 1, "d1"],  # of this batch there is one
        ["d3", True, "d3", 3, None],
        ["d4", False, "d3", 3, "d3"],
        ["d5", False, "d3", 3, "d4"],
    ]
    assert [row["cluster_size"] for row in together] == [3, 3, 3, 3, 3, 3]
    for row in [*together, *apart]:
        row.pop("cluster_size")
    assert together == apart


def test_places_of_keepers_are_those_of_the_index():
    index = Index()
    for part in ([[[1]]], [[[1]], [[1], [2]], [[2]]]):
        scope = TableScope(shards_of(part), indexes={"web": index})
        run(NEAR, scope, DuplicateParams(index="web"))
        index.join(scope)
    found = scope.table("cluster").select(["shard", "row", "keeper_place"]).to_pylist()
    assert found == [
        {"shard": 0, "row": 0, "keeper_place": 0},
        {"shard": 1, "row": 0, "keeper_place": 0},
        {"shard": 1, "row": 2, "keeper_place": 2 << ROW_BITS | 2},
        {"shard": 2, "row": 0, "keeper_place": 2 << ROW_BITS | 2},
    ]


def test_links_are_transitive_and_the_rule_keeps_one():
    rows = run(NEAR, TableScope(shards_of([[[1, 2], [1, 3], [4, 3], [9, 9]]])))
    assert [row["cluster"] for row in rows] == ["d0", "d0", "d0", None]
    assert [row["matched"] for row in rows] == [None, "d0", "d1", None]
    keeper = pa.chunked_array([[row["keeper"] for row in rows]])
    held = KeepRule("duplicate", "keeper == true").holds({"keeper": keeper})
    assert np.asarray(held).tolist() == [True, False, False, True]


class Signed:
    """A recipe whose signatures have 3 bands of 4 rows."""

    def __init__(self, params: Params) -> None:
        signatures = SimpleNamespace(params=SimpleNamespace(bands=3, rows=4))
        mine = SimpleNamespace(params=params, inputs={"bands": 0})
        self.steps = (signatures, mine)


def test_similarity_is_estimated_from_the_bands_that_are_shared():
    params = DuplicateParams(partitions=2)
    scope = TableScope(shards_of([[[1, 2, 3], [1, 2, 3], [1, 2, 9], [8, 7, 9], [5, 5, 5]]]))
    scope.recipe = Signed(params)
    rows = run(NEAR, scope, params)
    assert [row["matched"] for row in rows] == [None, "d0", "d0", "d2", None]
    expected = [1.0, (2 / 3) ** 0.25, (1 / 3) ** 0.25]
    assert [row["similarity"] for row in rows][1:4] == pytest.approx(expected, rel=1e-6)
    assert [rows[0]["similarity"], rows[4]["similarity"]] == [None, None]


def test_similarity_of_equal_keys_is_one_and_of_unknown_signatures_null():
    shards = shards_of([[[1], [1]]])
    assert run(EXACT, TableScope(shards))[1]["similarity"] == 1.0
    assert run(NEAR, TableScope(shards))[1]["similarity"] is None


def test_verified_pairs_have_the_similarity_that_was_measured():
    scope = TableScope(shards_of([[[1], [2], [3], [4]]]))
    rows = {
        "left": [0, 0, 2, 4],
        "right": [2, 4, 4, 6],
        "shared": [1, 3, 1, 1],
        "jaccard": [0.5, 0.75, 1.0, None],
        "edit": [None] * 4,
    }
    options = {"length": "characters", "estimate": lambda shared: np.full(len(shared), np.nan)}
    edges = [pa.table(rows, VERIFIED_EDGES)]
    output = clusters_of(scope, edges, DuplicateParams(), **options)
    table = output.table.read_all()
    assert table.column("matched").to_pylist() == [None, "d0", "d0", "d2"]
    assert table.column("similarity").to_pylist() == [None, 0.5, 0.75, None]
    assert output.counts == {"clusters": 1, "documents": 4}


def test_where_pairs_are_verified_the_phase_leaves_components():
    scope = TableScope(shards_of([[[1], [2]], [[1]], [[2], [3]]]))
    scope.run(
        SimpleNamespace(phases=NEAR.phases),
        NearDuplicateParams(verify={"jaccard": 0.8, "edit": None}),
    )
    assert scope.table("cluster").schema == COMPONENTS
    assert scope.table("cluster").to_pylist() == [
        {"shard": 0, "row": 0, "label": 0},
        {"shard": 0, "row": 2, "label": 2},
        {"shard": 1, "row": 0, "label": 0},
        {"shard": 2, "row": 0, "label": 2},
    ]


def test_a_vanished_document_is_an_error():
    scope = TableScope(shards_of([[[1], [1]]]))
    edges = [edge_table(np.array([0]), np.array([8]), np.array([1], np.int32))]
    options = {"length": "characters", "estimate": lambda shared: shared}
    with pytest.raises(PermanentError, match="shard 0: 2 documents were matched, 1 are still kept"):
        clusters_of(scope, edges, DuplicateParams(keeper="longest"), **options)


@pytest.mark.parametrize("batch", [[[]], [[None, None], [[1]]], [[], [], [[2], [1]]]])
def test_nothing_to_match(batch):
    rows = run(NEAR, TableScope(shards_of(batch)))
    for row in rows:
        row.pop("document")
        expected = {"keeper": True, "cluster_size": 1}
        assert row == {"cluster": None, "matched": None, "similarity": None, **expected}


@pytest.mark.parametrize("memory", [2**26, 96 * 1000])
def test_a_star_of_equal_pages(memory):
    """Each of many equal pages names the first."""
    groups: dict[str, int] = defaultdict(int)
    rows = run(EXACT, TableScope(shards_of([[[1]] * 1500, [[1]] * 1500]), memory=memory))
    for row in rows:
        groups[row["cluster"]] += 1
        assert (row["matched"] is None) == row["keeper"]
    assert groups == {"d0": 3000}
