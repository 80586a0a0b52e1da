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

from services.dedup.kernels.compiled import texts_of
from services.dedup.kernels.normalise import normalise_all
from services.dedup.keys import Keys, band_keys, binary_keys, equal_keys, places_of, split_places
from services.dedup.normalization import table_of
from shared.compute import compute
from shared.errors import PermanentError
from shared.step import load_registry

EXACT = "dedup.exact_duplicates_v1"


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
    assert run_group(EXACT, shards, {}).drop(["error"]).to_pylist() == [
        {"keeper": True, "cluster": "d0", "cluster_size": 2},
        {"keeper": True, "cluster": "d1", "cluster_size": 3},
        {"keeper": True, "cluster": None, "cluster_size": 1},
        {"keeper": False, "cluster": "d0", "cluster_size": 2},
        {"keeper": True, "cluster": None, "cluster_size": 1},
        {"keeper": False, "cluster": "d1", "cluster_size": 3},
        {"keeper": True, "cluster": None, "cluster_size": 1},
        {"keeper": False, "cluster": "d1", "cluster_size": 3},
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


@pytest.mark.parametrize("shards", [[], [shard_of([])], [shard_of([None, None]), shard_of([1], 2)]])
def test_nothing_to_match(run_group, shards):
    if not shards:
        step = load_registry()[EXACT]
        assert step.join(shard_of([]), empty_keyed(), step.params()).num_rows == 0
        return
    joined = run_group(EXACT, shards, {})
    assert joined.column("keeper").to_pylist() == [True] * joined.num_rows
    assert joined.column("cluster").null_count == joined.num_rows


def empty_keyed() -> pa.Table:
    return pa.schema(
        [
            ("shard", pa.int32()),
            ("row", pa.int64()),
            ("keeper", pa.bool_()),
            ("cluster", pa.string()),
            ("cluster_size", pa.int32()),
        ]
    ).empty_table()


batches = st.lists(
    st.lists(st.none() | st.integers(0, 2**80).map(lambda i: i % 7), max_size=8),
    min_size=1,
    max_size=4,
)


@settings(deadline=None)  # the first call compiles
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
    assert joined.equals(run_group(EXACT, shards, {**params, "partitions": 1}))


def test_one_edge_a_further_member():
    """A key of 1,000 documents gives 999 edges; two keys that agree give each edge once."""
    places = np.arange(1000)
    word = np.zeros(1000, np.uint64)
    centres, members = equal_keys(Keys(places, (word,)))
    assert centres.tolist() == [0] * 999
    assert members.tolist() == list(range(1, 1000))
    twice = Keys(np.tile(places, 2), (np.repeat(np.array([1, 2], np.uint64), 1000),))
    again, _ = equal_keys(twice)
    assert len(again) == 999


def test_all_words_of_a_key_count():
    band = np.array([0, 1, 1], np.uint64)
    digest = np.array([5, 5, 5], np.uint64)
    centres, members = equal_keys(Keys(np.array([7, 8, 9]), (band, digest)))
    assert (centres.tolist(), members.tolist()) == ([8], [9])


def test_readers_of_keys():
    column = pa.chunked_array([[None], [bytes(16), b"\x01" + bytes(15)]], pa.binary(16))
    index, words = binary_keys(column)
    assert index.tolist() == [1, 2]
    assert [w.tolist() for w in words] == [[0, 1], [0, 0]]
    lists = pa.chunked_array([[None, [5, 6]], [[7, 5]]], pa.list_(pa.uint64())).slice(1)
    index, words = band_keys(lists)
    assert index.tolist() == [0, 0, 1, 1]
    assert [w.tolist() for w in words] == [[0, 1, 0, 1], [5, 6, 7, 5]]


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_places_hold_shard_and_row(shard, row):
    shards, rows = split_places(places_of(shard, np.array([row])))
    assert (shards.to_pylist(), rows.to_pylist()) == ([shard], [row])


def test_links_are_transitive(run_group):
    """a and c share no band, b one with each: one cluster."""
    bands = [[1, 2], [1, 3], [4, 3], [2, 1]]
    shard = shard_of([0, 0, 0, 0]).append_column("bands", pa.array(bands, pa.list_(pa.uint64())))
    joined = run_group("dedup.near_duplicates_v1", [shard], {})
    assert joined.column("cluster").to_pylist() == ["d0", "d0", "d0", None]


def test_a_vanished_document_is_an_error():
    step = load_registry()[EXACT]

    class Changed:
        def tables(self, _phase):
            one = {"shard": [0], "row": [0], "member_shard": [0], "member_row": [9]}
            yield pa.table(one)

        def rows(self, columns):
            yield 0, shard_of([1, 1]).select(["row", *columns])

    with pytest.raises(PermanentError, match="2 documents were matched, 1 are still kept"):
        step.phases[1].run(Changed(), 0, step.params())


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
    joined = run_group("dedup.near_duplicates_v1", shards, {"partitions": 3})
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
