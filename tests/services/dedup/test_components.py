"""Components in buckets of any size against sets merged by hand; best matches; temporary files."""

import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.buckets import Buckets
from services.dedup.components import components, distinct
from services.dedup.edges import EDGES, VERIFIED_EDGES, edge_table
from shared.index import ROW_BITS

Edges = list[tuple[int, int, int]]


def place(i: int) -> int:
    """Three documents a shard, at every fifth row from the second."""
    return (i // 3) << ROW_BITS | (5 * (i % 3) + 1)


class Node(NamedTuple):
    label: int
    match: int
    shared: int


def run(tables: list[pa.Table], capacity: int, **options) -> tuple[dict[int, Node], int]:
    """Each node by its place, and the number of buckets; the nodes come in order."""
    nodes: dict[int, Node] = {}
    with ExitStack() as opened:
        found = components(tables, capacity, opened, **options)
        for bucket in range(len(found.cuts) + 1):
            columns = found.nodes.all(bucket) | found.labels.all(bucket)
            for values in zip(*(columns[n].tolist() for n in columns), strict=True):
                row = dict(zip(columns, values, strict=True))
                nodes[row["place"]] = Node(row["label"], row["match"], row["shared"])
    assert list(nodes) == sorted(nodes)
    return nodes, len(found.cuts) + 1


def tables_of(edges: Edges, size: int = 7) -> list[pa.Table]:
    """The edges, some in a table."""
    parts = [edges[i : i + size] for i in range(0, len(edges), size)]
    return [
        edge_table(
            np.array([place(a) for a, _, _ in part], np.int64),
            np.array([place(b) for _, b, _ in part], np.int64),
            np.array([n for _, _, n in part], np.int32),
        )
        for part in parts
    ]


def merged(edges: Edges) -> dict[int, int]:
    """The least member of each node's component."""
    groups: dict[int, set[int]] = defaultdict(set)
    for a, b, _ in edges:
        if a != b:
            union = groups[a] | groups[b] | {a, b}
            for node in union:
                groups[node] = union
    return {node: min(group) for node, group in groups.items() if group}


def matches(edges: Edges) -> dict[int, tuple[int, int]]:
    """The earlier node that each shares most with, and how many keys."""
    sums: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for a, b, shared in edges:
        if a != b:
            sums[max(a, b)][min(a, b)] += shared
    return {b: min(found.items(), key=lambda i: (-i[1], i[0])) for b, found in sums.items()}


graphs = st.integers(1, 40).flatmap(
    lambda n: st.lists(
        st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.integers(1, 3)), max_size=80
    )
)


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(graphs, st.integers(1, 60))
def test_equals_merged_sets_in_buckets_of_any_size(edges, capacity):
    """Loops and repeated edges among them."""
    nodes, _ = run(tables_of(edges), capacity)
    labels, best = merged(edges), matches(edges)
    assert {p: n.label for p, n in nodes.items()} == {
        place(i): place(label) for i, label in labels.items()
    }
    for i in labels:
        match, shared = best.get(i, (None, 0))
        node = nodes[place(i)]
        assert (node.match, node.shared) == (-1 if match is None else place(match), shared)


@settings(deadline=None)
@given(graphs, st.integers(1, 60), st.randoms(use_true_random=False))
def test_order_and_direction_of_edges_do_not_matter(edges, capacity, random):
    shuffled = [(b, a, n) if random.random() < 0.5 else (a, b, n) for a, b, n in edges]
    random.shuffle(shuffled)
    assert run(tables_of(shuffled, 3), capacity)[0] == run(tables_of(edges), 10**6)[0]


@settings(deadline=None)
@given(graphs, st.integers(1, 60))
def test_without_transitive_links_each_follows_its_first_neighbour(edges, capacity):
    nodes, _ = run(tables_of(edges), capacity, transitive=False)
    parent: dict[int, int] = {}
    for a, b, _ in edges:
        if a != b:
            parent[max(a, b)] = min(parent.get(max(a, b), a), a, b)
    for i in merged(edges):
        root = i
        while root in parent:
            root = parent[root]
        assert nodes[place(i)].label == place(root)


def chain(n: int) -> Edges:
    return [(i, i + 1, 1) for i in range(n)]


def hops(n: int) -> Edges:
    """A path over places in no order."""
    order = np.random.default_rng(1).permutation(n + 1).tolist()
    return [(a, b, 1) for a, b in pairwise(order)]


def ladder(n: int) -> Edges:
    """Two paths, then rungs between them from the last places on."""
    paths = [(i, i + 2, 1) for i in range(2 * n)]
    return paths + [(i, i + 1, 1) for i in reversed(range(0, 2 * n, 2))]


N = 20_000
SHAPES = {
    "chain": chain(N),
    "chain backwards": chain(N)[::-1],
    "path in no order": hops(N),
    "ladder": ladder(N),
    "star of the first": [(0, i, 1) for i in range(1, N)],
    "star of the last": [(i, N, 1) for i in range(N)],
    "star of the middle": [(min(i, N // 2), max(i, N // 2), 1) for i in range(N)],
}


@pytest.mark.parametrize("capacity", [10**6, 1500])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_are_hard_for_union_find(shape, capacity):
    nodes, buckets = run(tables_of(SHAPES[shape], 4096), capacity)
    assert {n.label for n in nodes.values()} == {place(0)}
    assert len(nodes) == len({e for edge in SHAPES[shape] for e in edge[:2]})
    assert (buckets > 10) == (capacity == 1500)


def test_the_measure_of_the_best_match():
    """The greatest of the pair's, whichever of its edges has one."""
    rows = {
        "left": [0, 0, 1, 0],
        "right": [2, 2, 2, 1],
        "shared": [1, 1, 1, 1],
        "jaccard": [None, 0.75, 0.5, None],
        "edit": [None] * 4,
    }
    with ExitStack() as opened:
        found = components([pa.table(rows, VERIFIED_EDGES)], 10, opened)
        nodes = found.nodes.all(0)
    assert nodes["match"].tolist() == [-1, 0, 0]
    assert np.isnan(nodes["measured"]).tolist() == [True, True, False]
    assert nodes["measured"][2] == 0.75


@pytest.mark.parametrize("tables", [[], [EDGES.empty_table()], tables_of([(4, 4, 1)])])
def test_no_edges(tables):
    assert run(tables, 1) == ({}, 1)


MEASURED = """
import sys
from contextlib import ExitStack
import numpy as np
from services.dedup.components import components
from services.dedup.edges import edge_table

def tables(count):
    random = np.random.default_rng(1)
    for _ in range(count):
        ends = random.integers(0, 800_000, (2, 50_000))
        left, right = np.sort(ends // 1000 << 32 | ends % 1000, axis=0)
        yield edge_table(left, right, np.ones(50_000, np.int32))

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

with ExitStack() as opened:
    components(tables(1), 2**16, opened)
    before = peak()
    components(tables(16), 2**16, opened)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_that_of_a_bucket():
    """800,000 edges, 38 MiB as they are stored, in buckets of 6 MiB."""
    output = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
    )
    assert int(output.stdout) / 1024 < 16


@given(st.lists(st.integers(-5, 5)))
def test_distinct(values):
    assert distinct(np.array(values, np.int64)).tolist() == sorted(set(values))


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 99), max_size=20), max_size=5),
    st.lists(st.integers(1, 99), max_size=4, unique=True).map(sorted),
    st.integers(1, 7),
)
def test_records_come_back_by_bucket_in_their_order(writes, cuts, most):
    expected: list[list[tuple[int, int]]] = [[] for _ in range(len(cuts) + 1)]
    with Buckets(len(cuts) + 1, key="i8", number="u1") as buckets:
        count = 0
        for keys in writes:
            numbers = np.arange(count, count + len(keys), dtype=np.uint8)
            count += len(keys)
            values = np.array(keys, np.int64)
            buckets.scatter(values, np.array(cuts, np.int64), key=values, number=numbers)
            for key, number in zip(keys, numbers.tolist(), strict=True):
                expected[sum(cut <= key for cut in cuts)].append((key, number))
        assert (buckets.records, buckets.bytes) == (count, 9 * count)
        for bucket, records in enumerate(expected):
            parts = list(buckets.read(bucket, most))
            assert all(0 < len(p["key"]) < 2 * most for p in parts)
            read = [r for p in parts for r in zip(*(p[n].tolist() for n in p), strict=True)]
            whole = buckets.all(bucket, "number")
            assert read == records
            assert {n: v.tolist() for n, v in whole.items()} == {"number": [n for _, n in records]}
            assert buckets.size(bucket) == len(records)
