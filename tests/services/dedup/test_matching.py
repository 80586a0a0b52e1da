"""Edges of sort and match against brute force, however the work is cut and whatever is in memory."""

import subprocess
import sys
from collections import Counter, defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.duplicates import DuplicateParams, NearDuplicateParams
from services.dedup.edges import EDGES, edge_batches
from services.dedup.index import grouping
from services.dedup.keys import KeyColumn, read_bands, read_hashes
from services.dedup.matching import match, sort
from shared.errors import TransientError
from shared.index import ROW_BITS, StoredRun
from shared.step import GroupOutput, Params, Phase
from shared.table_scope import TableScope

HASHES = KeyColumn("text_hash", read_hashes)
BANDS = KeyColumn("bands", read_bands)
Pairs = dict[tuple[int, int], int]


def place(shard: int, row: int) -> int:
    return shard << ROW_BITS | row


def hash_shard(keys: list[int | None]) -> pa.Table:
    """Documents with small integers as hashes; rows are every second of the spine."""
    hashes = [None if k is None else k.to_bytes(16, "big") for k in keys]
    rows = pa.array(range(0, 2 * len(keys), 2), pa.int64())
    return pa.table({"row": rows, "text_hash": pa.array(hashes, pa.binary(16))})


def band_shard(bands: list[list[int] | None]) -> pa.Table:
    rows = pa.array(range(0, 2 * len(bands), 2), pa.int64())
    return pa.table({"row": rows, "bands": pa.array(bands, pa.list_(pa.uint64()))})


def run_phases(scope: TableScope, params: Params, column: KeyColumn) -> list[Pairs]:
    """The pairs of sort and of match."""
    phases = (
        Phase("sort", partial(sort, column=column), grouping.sort_tasks),
        Phase("merge", grouping.merge, grouping.merge_tasks),
        Phase("match", match, lambda p, _shards: p.partitions),
    )
    scope.run(SimpleNamespace(phases=phases), params)
    found = []
    for phase in ("sort", "match"):
        pairs: Counter[tuple[int, int]] = Counter()
        for table in scope.tables(phase):
            assert table.schema == EDGES
            for edge in table.to_pylist():
                assert edge["left"] < edge["right"]
                pairs[edge["left"], edge["right"]] += edge["shared"]
        found.append(dict(pairs))
    return found


def clusters(documents: list[int], pairs: Any) -> set[frozenset[int]]:
    """Groups of documents that pairs link."""
    groups = {d: {d} for d in documents}
    for a, b in pairs:
        union = groups[a] | groups[b]
        for document in union:
            groups[document] = union
    return {frozenset(group) for group in groups.values()}


def keys_of(shards: list[list[list[int] | None]]) -> dict[int, set[tuple[int, int]]]:
    """The keys of each document: position in its list, and digest."""
    return {
        place(s, 2 * i): set(enumerate(bands or []))
        for s, documents in enumerate(shards)
        for i, bands in enumerate(documents)
    }


banded = st.lists(
    st.lists(st.none() | st.lists(st.integers(0, 5), min_size=3, max_size=3), max_size=7),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=50)  # the first call compiles
@given(
    banded,
    st.integers(1, 5),
    st.sampled_from([64, 640, 2**26]),
    st.booleans(),
    st.sampled_from([(1024, 32), (3, 1), (4, 2)]),
)
def test_edges_link_what_shares_a_key(shards, partitions, memory, verify, tasks):
    keys = keys_of(shards)
    documents = list(keys)
    params = NearDuplicateParams.model_construct(
        partitions=partitions, within="all", parts=1, index=None, verify=verify or None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "MOST_SORT_TASKS", tasks[0])
        patch.setattr(grouping, "MERGE_FROM", tasks[1])
        scope = TableScope([band_shard(s) for s in shards], memory=memory)
        local, cross = run_phases(scope, params, BANDS)
    pairs = Counter(local) + Counter(cross)
    truth = {
        (a, b): len(keys[a] & keys[b])
        for i, a in enumerate(documents)
        for b in documents[i + 1 :]
        if keys[a] & keys[b]
    }
    assert all(n <= truth.get(pair, 0) * (2 if verify else 1) for pair, n in pairs.items())
    assert clusters(documents, pairs) == clusters(documents, truth)
    if verify:
        assert local == {}
        assert pairs == chained(keys)


def chained(keys: dict[int, set[tuple[int, int]]]) -> Counter[tuple[int, int]]:
    """From the first document of each key to each other, and from each to the next."""
    buckets = defaultdict(list)
    for document, its in keys.items():
        for key in its:
            buckets[key].append(document)
    edges: Counter[tuple[int, int]] = Counter()
    for bucket in buckets.values():
        edges.update((bucket[0], other) for other in bucket[1:])
        edges.update(pairwise(bucket[1:]))
    return edges


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.lists(st.none() | st.integers(0, 5), max_size=7), min_size=1, max_size=5),
    st.integers(1, 5),
    st.sampled_from([64, 2**26]),
)
def test_a_hash_gives_a_tree(shards, partitions, memory):
    """One edge for each document but the first of each key: also where it is in many runs."""
    scope = TableScope([hash_shard(s) for s in shards], memory=memory)
    local, cross = run_phases(scope, DuplicateParams(partitions=partitions), HASHES)
    keys = Counter(k for s in shards for k in s if k is not None)
    pairs = Counter(local) + Counter(cross)
    assert set(pairs.values()) <= {1}
    assert len(pairs) == sum(n - 1 for n in keys.values())
    same = {place(s, 2 * i): key for s, its in enumerate(shards) for i, key in enumerate(its)}
    assert all(same[a] == same[b] for a, b in pairs)


def test_a_key_of_a_million_documents():
    """One edge each, and one entry in the run."""
    count = 10**6
    hashes = pa.array([bytes(16)], pa.binary(16)).take(pa.array(np.zeros(count, np.int64)))
    shard = pa.table({"row": np.arange(count), "text_hash": hashes})
    scope = TableScope([shard], memory=2**24)
    params = DuplicateParams(partitions=1)
    output = sort(scope, 0, params, column=HASHES)
    table = output.table.read_all()
    pieces = len(output.files)
    assert table.num_rows == count - pieces
    assert pieces > 1
    assert sum(f.stat().st_size for f in output.files.values()) < 200 * pieces
    for path in output.files.values():
        path.unlink()


def test_all_128_bits_count():
    """Keys that agree in their first half only are different, whatever stands between them."""
    halves = [(1, 5), (1, 6), (1, 5), (1, 7), (1, 6), (2, 5)]
    hashes = [a.to_bytes(8, "little") + b.to_bytes(8, "little") for a, b in halves]
    shard = pa.table({"row": range(6), "text_hash": pa.array(hashes, pa.binary(16))})
    local, cross = run_phases(TableScope([shard]), DuplicateParams(partitions=3), HASHES)
    assert (local, cross) == ({(0, 2): 1, (1, 4): 1}, {})
    parts = [shard.slice(0, 2), shard.slice(2)]
    local, cross = run_phases(TableScope(parts), DuplicateParams(partitions=3), HASHES)
    assert (local, cross) == ({}, {(0, place(1, 2)): 1, (1, place(1, 4)): 1})


def test_a_band_counts_at_its_own_place():
    local, _ = run_phases(
        TableScope([band_shard([[1, 2], [2, 1], [1, 3], None, [1, 2]])]),
        DuplicateParams(partitions=2),
        BANDS,
    )
    assert local == {(0, 4): 1, (0, 8): 2}


def test_readers_take_slices():
    hashes = pa.array([b"x" * 16, None, bytes(16), b"\x01" + bytes(15)], pa.binary(16))
    keys, index, columns = read_hashes(hashes.slice(1), 7)
    assert index.tolist() == [1, 2]
    assert columns["check"].tolist() == [0, 0]
    assert keys.tolist() == read_hashes(hashes.slice(2), 7)[0].tolist()
    assert keys.tolist() != read_hashes(hashes.slice(2), 8)[0].tolist()
    lists = pa.array([[9], None, [5, 6], [7, 5]], pa.list_(pa.uint64()))
    keys, index, _ = read_bands(lists.slice(1), 7)
    assert index.tolist() == [1, 1, 2, 2]
    assert len(set(keys.tolist())) == 4
    assert keys[2:].tolist() == read_bands(lists.slice(3), 7)[0].tolist()
    assert len(read_bands(lists.slice(1, 1), 7)[0]) == 0


@given(st.lists(st.tuples(st.integers(0, 2**31 - 4), st.integers(0, 3), st.integers(0, 2**32 - 1))))
def test_pairs_are_counted(triples):
    """Places of any size: pairs that fit one number, and those that do not."""
    left = [place(s, r) for s, _, r in triples] * 2 + [place(0, 1)]
    right = [place(s + d, r) for s, d, r in triples] * 2 + [place(0, 2)]
    (batch,) = edge_batches(np.array(left, np.int64), np.array(right, np.int64))
    pairs = Counter(zip(left, right, strict=True))
    columns = [batch.column(i).to_pylist() for i in range(3)]
    assert list(zip(*columns, strict=True)) == [(a, b, n) for (a, b), n in sorted(pairs.items())]


class Earlier:
    """An index that batches have joined, with the runs that their sort phases left."""

    def __init__(self) -> None:
        self.base = 0
        self._runs: list[StoredRun] = []

    def runs(self) -> list[StoredRun]:
        return self._runs

    def join(self, scope: TableScope) -> None:
        for p in range(scope.units("sort")):
            for name in scope.files("sort", p):
                self._runs.append(StoredRun(scope.opened("sort", name, p), self.base))
        self.base += len(scope.shards)


@settings(deadline=None, max_examples=50)  # the first call compiles
@given(banded, banded, st.sampled_from([64, 2**26]))
def test_an_index_finds_what_one_batch_finds(first, second, memory):
    """Every document that an earlier one shares a key with has an edge, in both ways of cutting."""
    params = DuplicateParams(partitions=2, index="web")
    index = Earlier()
    later = set()
    for shards in (first, second):
        before = index.base
        scope = TableScope([band_shard(s) for s in shards], memory=memory, indexes={"web": index})
        local, cross = run_phases(scope, params, BANDS)
        assert all(right >> ROW_BITS >= before for _, right in cross | local)
        later |= {right for _, right in cross | local}
        index.join(scope)
    keys = keys_of(first + second)
    seen: set[tuple[int, int]] = set()
    for document, its in keys.items():
        assert (document in later) == bool(its & seen)
        seen |= its


def test_groups_have_keys_of_their_own():
    names = ["CC-MAIN-2024-10-a.warc.gz", "CC-MAIN-2024-10-b.warc.gz", "CC-MAIN-2024-18-a.warc.gz"]
    shards = [hash_shard([1])] * 3
    expected = {"all": 2, "crawl": 1}
    for within, edges in expected.items():
        _, cross = run_phases(
            TableScope(shards, names=names), DuplicateParams(within=within), HASHES
        )
        assert len(cross) == edges
    parted = DuplicateParams(within="part", parts=65536)
    assert run_phases(TableScope(shards, names=names), parted, HASHES)[1] == {}


def test_outputs_leave_no_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    shards = [hash_shard(list(range(50)))] * 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "MERGE_FROM", 1)
        run_phases(TableScope(shards, memory=640), DuplicateParams(), HASHES)
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_fails_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    class Broken(TableScope):
        def rows(self, columns, shards=None):
            yield from super().rows(columns, shards[:1])
            assert list(tmp_path.iterdir())
            raise TransientError("the store does not answer")

    scope = Broken([hash_shard(list(range(50)))] * 2, memory=640)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "MOST_SORT_TASKS", 1)
        with pytest.raises(TransientError):
            sort(scope, 0, DuplicateParams(), column=HASHES).table.read_all()
    assert list(tmp_path.iterdir()) == []


def output_bytes(output: GroupOutput) -> list[bytes]:
    table = output.table.read_all()
    files = [Path(str(f)).read_bytes() for f in output.files.values()]
    for path in output.files.values():
        Path(str(path)).unlink()
    return [str(table.to_pydict()).encode(), *files]


def test_a_task_that_runs_again_leaves_the_same_bytes():
    scope = TableScope([hash_shard([i % 40 for i in range(300)])], memory=6400)
    one, two = (output_bytes(sort(scope, 0, DuplicateParams(), column=HASHES)) for _ in range(2))
    assert one == two
    assert len(one) > 2


PEAK = """
import os, resource, sys
import numpy as np, pyarrow as pa
from services.dedup.duplicates import DuplicateParams
from services.dedup.index import grouping
from services.dedup.keys import KeyColumn, read_bands
from services.dedup.matching import match, sort
from shared.ranges import ObjectReader
from shared.table_scope import TableScope

DOCUMENTS, BANDS = 2000, 64
OFFSETS = pa.array(np.arange(DOCUMENTS + 1, dtype=np.int32) * BANDS)
MEMORY = 16 * 2**20

class Made(TableScope):
    def rows(self, columns, shards=None):
        for shard in shards:
            bands = np.random.default_rng(shard).integers(0, 2**64, (DOCUMENTS, BANDS), np.uint64)
            bands[:, :9] = np.arange(DOCUMENTS)[:, None] + 10**6 * (shard // 2)
            lists = pa.ListArray.from_arrays(OFFSETS, pa.array(bands.reshape(-1)))
            yield shard, pa.table({"row": np.arange(DOCUMENTS), "bands": lists})

def run(shards):
    scope = Made([pa.table({"row": []})] * shards, memory=MEMORY)
    params = DuplicateParams(partitions=1)
    output = sort(scope, 0, params, column=KeyColumn("bands", read_bands))
    edges = sum(batch.num_rows for batch in output.table)
    files = {name: os.open(path, os.O_RDONLY) for name, path in output.files.items()}
    for path in output.files.values():
        path.unlink()
    scope.units = lambda phase: int(phase == "sort")
    scope.files = lambda phase, partition=0: sorted(files)
    scope.opened = lambda phase, name, partition=0: ObjectReader(
        os.fstat(files[name]).st_size, lambda at, size: os.pread(files[name], size, at)
    )
    edges += sum(batch.num_rows for batch in match(scope, 0, params).table)
    return len(files), edges

grouping.MOST_SORT_TASKS = 1
run(2)  # compiles
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(*run(24), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / MEMORY)
"""


def test_memory_does_not_grow_with_the_batch():
    """3 million keys, 200 MB while they are sorted at once, under a setting of 16 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, timeout=60
    )
    runs, edges, grown = done.stdout.split()
    assert int(runs) > 10
    assert int(edges) >= 12 * 2000
    assert float(grown) < 3
