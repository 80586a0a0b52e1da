"""The duplicate steps over batches in memory: by hand, against definitions, and on real articles."""

import json
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.dedup.kernels.compiled import texts_of
from services.dedup.kernels.normalise import normalise_all
from services.dedup.normalization import table_of
from services.dedup.within import part_of
from shared.compute import compute
from shared.step import load_registry
from shared.table_scope import TableScope, run_group_step

EXACT = "dedup.exact_duplicates_v1"
NEAR = "dedup.near_duplicates_v1"
URL = "dedup.url_duplicates_v1"
NAMES = ["keeper", "cluster", "cluster_size", "matched", "similarity"]


def shard_of(keys: list[int | None], first: int = 0, lengths: list[int | None] | None = None):
    """A shard whose documents have small integers as hashes; rows are every second of the spine."""
    return pa.table(
        {
            "row": pa.array(range(0, 2 * len(keys), 2), pa.int64()),
            "text_hash": pa.array(
                [None if k is None else k.to_bytes(16, "big") for k in keys], pa.binary(16)
            ),
            "document": pa.array([f"d{first + i}" for i in range(len(keys))], pa.string()),
            "characters": pa.array(lengths or [1] * len(keys), pa.int64()),
        }
    )


def test_first_of_each_cluster_stays(run_group):
    shards = [shard_of([1, 2, None, 1]), shard_of([], 4), shard_of([3, 2, None, 2], 4)]
    joined = run_group(EXACT, shards, {}).select(NAMES)
    assert [tuple(row.values()) for row in joined.to_pylist()] == [
        (True, "d0", 2, None, None),
        (True, "d1", 3, None, None),
        (True, None, 1, None, None),
        (False, "d0", 2, "d0", 1.0),
        (True, None, 1, None, None),
        (False, "d1", 3, "d1", 1.0),
        (True, None, 1, None, None),
        (False, "d1", 3, "d5", 1.0),  # the first of its own run
    ]


def test_longest_stays_and_the_first_of_equals(run_group):
    shards = [shard_of([1, 1, 2], 0, [5, 9, None]), shard_of([1, 2, 2], 3, [9, 0, 0])]
    joined = run_group(EXACT, shards, {"keeper": "longest"})
    assert joined.column("cluster").to_pylist() == ["d1", "d1", "d4", "d1", "d4", "d4"]
    assert joined.column("keeper").to_pylist() == [False, True, False, False, True, False]


def test_random_keeper_follows_the_seed_alone(run_group):
    def keeper(seed: int, shards: list[pa.Table]) -> str:
        joined = run_group(EXACT, shards, {"keeper": "random", "seed": seed})
        (name,) = set(joined.column("cluster").to_pylist())
        return name

    one, two = shard_of([1] * 4), shard_of([1] * 4, 4)
    drawn = Counter(keeper(seed, [one, two]) for seed in range(160))
    assert [keeper(s, [two, one]) for s in range(9)] == [keeper(s, [one, two]) for s in range(9)]
    assert len(drawn) == 8
    # 160 draws of 8: 20 expected each, standard deviation 4.2.
    assert all(3 < n < 37 for n in drawn.values())


@pytest.mark.parametrize("shards", [[shard_of([])], [shard_of([None, None]), shard_of([1], 2)]])
def test_nothing_to_match(run_group, shards):
    joined = run_group(EXACT, shards, {})
    assert joined.column("keeper").to_pylist() == [True] * joined.num_rows
    assert joined.column("cluster").null_count == joined.num_rows


batches = st.lists(
    st.lists(st.none() | st.integers(0, 2**80).map(lambda i: i % 7), max_size=8),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=50)  # the first call compiles
@given(batches, st.integers(1, 5), st.sampled_from(["first", "longest", "random"]))
def test_clusters_are_the_groups_of_equal_keys(run_group, batch, partitions, keeper):
    shards, total = [], 0
    for keys in batch:
        shards.append(shard_of(keys, total))
        total += len(keys)
    params = {"keeper": keeper, "partitions": partitions}
    joined = run_group(EXACT, shards, params)
    groups: dict[Any, list[str]] = defaultdict(list)
    for i, key in enumerate(k for keys in batch for k in keys):
        groups[f"null {i}" if key is None else key].append(f"d{i}")
    members = {d: group for group in groups.values() for d in group}
    for i, row in enumerate(joined.to_pylist()):
        group = members[f"d{i}"]
        assert row["cluster_size"] == len(group)
        assert (row["cluster"] is None) == (len(group) == 1)
        assert row["keeper"] == (row["cluster"] in (None, f"d{i}"))
        assert row["cluster"] is None or row["cluster"] in group
    assert joined.column("keeper").to_pylist().count(True) == len(groups)
    assert joined.equals(run_group(EXACT, shards, params, reverse=True))
    small = run_group(EXACT, shards, params, memory=300)  # several runs a shard
    assert joined.select(NAMES[:3]).equals(small.select(NAMES[:3]))
    assert joined.equals(run_group(EXACT, shards, {**params, "partitions": 1}))


def test_links_are_transitive(run_group):
    """a and c share no band, b one with each: one cluster."""
    bands = [[1, 2], [1, 3], [4, 3], [2, 1]]
    shard = shard_of([0, 0, 0, 0]).append_column("bands", pa.array(bands, pa.list_(pa.uint64())))
    joined = run_group(NEAR, [shard], {})
    assert joined.column("cluster").to_pylist() == ["d0", "d0", "d0", None]


def test_best_stays(run_group):
    scores = pa.array([0.5, None, 2.0, 2.0])
    shard = shard_of([1, 1, 1, 1]).append_column("fineweb_edu_v1.score", scores)
    params = {"keeper": "best", "score": "fineweb_edu_v1.score"}
    assert set(run_group(EXACT, [shard], params)["cluster"].to_pylist()) == {"d2"}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        (EXACT, {"keeper": "best"}),
        (EXACT, {"score": "x_v1.score"}),
        (EXACT, {"keeper": "random", "index": "web"}),
        (EXACT, {"index": "../web"}),
        (EXACT, {"partitions": 0}),
        (EXACT, {"verify": {}}),
        (NEAR, {"index": "web", "verify": {"jaccard": 0.8}}),
        (URL, {"across_parts": 1}),
        (URL, {"across_parts": 100, "keeper": "longest"}),
        (URL, {"across_parts": 100, "index": "web"}),
        (URL, {"across_parts": 100, "within": "crawl"}),
    ],
)
def test_what_contradicts_itself_is_refused(name, params):
    with pytest.raises(ValidationError):
        load_registry()[name].params.model_validate(params)


@pytest.mark.parametrize(("within", "kept"), [("all", 1), ("crawl", 2)])
def test_copies_count_within_a_crawl(within, kept):
    names = ["CC-MAIN-2024-10-1.warc", "CC-MAIN-2024-10-2.warc", "CC-MAIN-2024-18-1.warc"]
    scope = TableScope([shard_of([1], i) for i in range(3)], names=names)
    joined = pa.concat_tables(run_group_step(EXACT, scope, {"within": within}))
    assert sum(joined["keeper"].to_pylist()) == kept


def url_shard(keys: list[int | None], first: int) -> pa.Table:
    shard = shard_of(keys, first).rename_columns({"text_hash": "url_key"})
    return shard.rename_columns({"characters": "payload_bytes"})


@settings(deadline=None, max_examples=50)  # the first call compiles
@given(batches, st.integers(2, 4), st.sampled_from([1280, 2**26]), st.integers(1, 3))
def test_urls_across_parts(batch, parts, memory, partitions):
    """Against the rule as it is told: part by part, with the list of kept URLs."""
    starts = np.cumsum([0, *map(len, batch)])
    shards = [url_shard(keys, start) for keys, start in zip(batch, starts, strict=False)]
    names = [f"{i}.warc.gz" for i in range(len(batch))]
    kept: set[str] = set()
    known: set[int] = set()
    for part in range(parts):
        new = set()
        for shard, keys in enumerate(batch):
            if part_of(names[shard], parts) == part:
                for i, key in enumerate(keys):
                    if key is None or key not in known:
                        kept.add(f"d{starts[shard] + i}")
                        new |= {key} - {None}
        known |= new
    scope = TableScope(shards, names=names, memory=memory)
    params = {"across_parts": parts, "partitions": partitions}
    joined = pa.concat_tables(run_group_step(URL, scope, params)).to_pylist()
    assert {f"d{i}" for i, row in enumerate(joined) if row["keeper"]} == kept
    keys = [key for its in batch for key in its]
    for row, key in zip(joined, keys, strict=True):
        if not row["keeper"]:
            assert row["cluster"] == row["matched"]
            assert row["cluster"] in kept
            assert keys[int(row["cluster"][1:])] == key


def test_one_page_a_url(run_group):
    shards = [url_shard([1, 2, 1], 0), url_shard([None, 1, 3], 3)]
    joined = run_group(URL, shards, {})
    assert joined["keeper"].to_pylist() == [True, True, False, True, False, True]


def test_phases_of_verification_come_with_it():
    step = load_registry()[NEAR]
    for verify, tasks, joined in ((None, 0, "cluster"), ({"partitions": 3}, 3, "settle")):
        params = step.params.model_validate({"verify": verify, "partitions": 5})
        counts = {phase.name: phase.partitions(params, 40) for phase in step.phases}
        assert counts["verify"] == tasks
        assert (counts["sort"], counts["merge"], counts["match"]) == (40, 2, 5)
        assert (counts["gather"] == 0, counts["settle"] == 0) == (verify is None,) * 2
        assert [p.name for p in step.phases if p.joined(params)] == [joined]
        assert ("text" in step.also_reads(params)) == (verify is not None)


def near_duplicates(run_group, documents: list[dict[str, Any]]) -> dict[str, str | None]:
    """Cluster of each document under FineWeb's parameters, in shards of 300."""
    registry = load_registry()
    minhash = registry["dedup.minhash_v1"]
    shards = []
    for start in range(0, len(documents), 300):
        part = documents[start : start + 300]
        rows = pa.table({"text": pa.array([d["text"] for d in part], pa.large_string())})
        shards.append(
            pa.table(
                {
                    "row": pa.array(range(len(part)), pa.int64()),
                    "bands": compute(minhash, minhash.params(), rows).column("bands"),
                    "document": [d["id"] for d in part],
                    "characters": pa.array([len(d["text"]) for d in part]),
                }
            )
        )
    joined = run_group(NEAR, shards, {"partitions": 3})
    ids = [d["id"] for d in documents]
    return dict(zip(ids, joined.column("cluster").to_pylist(), strict=True))


def planted(data_path, articles, name: str) -> tuple[list[dict[str, Any]], set[frozenset[str]]]:
    truth = json.loads((data_path / "text/open/neardup_en_minhash_truth.json").read_text())
    pairs = {frozenset((t["a"], t["b"])) for t in truth if t["set"] == name}
    return [a for a in articles if a["set"] == name], pairs


@pytest.mark.parametrize("name", ["100", "1000", "2500"])
def test_planted_near_duplicates_are_found(run_group, data_path, articles, name):
    """All planted pairs, and no other."""
    documents, pairs = planted(data_path, articles, name)
    clusters = near_duplicates(run_group, documents)
    found = defaultdict(set)
    for document, cluster in clusters.items():
        if cluster is not None:
            found[cluster].add(document)
    assert {frozenset(group) for group in found.values()} == pairs


def test_candidates_equal_datasketchs_index(run_group, data_path, articles):
    """The clusters are the components of what datasketch's LSH finds for the same shingles."""
    documents, _ = planted(data_path, articles, "1000")
    column = pa.chunked_array([[d["text"] for d in documents]])
    out, offsets = normalise_all(texts_of(column), table_of("simplify"))
    lsh = MinHashLSH(num_perm=112, params=(14, 8))
    linked = defaultdict(set)
    for i, document in enumerate(documents):
        words = out[offsets[i] : offsets[i + 1]].tobytes().decode().split()
        sketch = MinHash(112)
        sketch.update_batch(" ".join(words[j : j + 5]).encode() for j in range(len(words) - 4))
        for other in lsh.query(sketch):
            linked[other].add(document["id"])
            linked[document["id"]].add(other)
        lsh.insert(document["id"], sketch)
    clusters = near_duplicates(run_group, documents)
    assert {d for d, c in clusters.items() if c is not None} == {d for d in linked if linked[d]}
    for document, others in linked.items():
        assert all(clusters[document] == clusters[other] for other in others)
