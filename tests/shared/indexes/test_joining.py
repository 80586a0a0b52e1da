"""Joining: once, all indexes or none, and only with keys of the same kind."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import UsageError
from shared.indexes.joining import complete_pending, submit
from shared.indexes.log import history, read_log
from shared.stages import compile_batch
from shared.store import Store, to_json
from tests.shared.indexes.support import NEAR, batch_of, recipe, write_documents


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def path(tmp_path):
    return write_documents(tmp_path, "a.jsonl", [1, 2])


def records(store: Store) -> list[str]:
    return [e.key for e in store.list("batches/")]


def test_a_batch_without_an_index_joins_none(store, path):
    batch = batch_of([path], "b", recipe(None))
    assert submit(store, batch) == batch
    assert records(store) == ["batches/b/batch.json"]
    assert read_log(store) == {}


def test_what_a_batch_computes_depends_on_its_place(store, path):
    batches = [submit(store, batch_of([path], name, shard_bytes=1024)) for name in "abc"]
    shards = len(batches[0].shards)
    assert shards > 1
    assert [b.indexes[NEAR].base for b in batches] == [0, shards, 2 * shards]
    assert [b.indexes[NEAR].ordinal for b in batches] == [0, 1, 2]
    first, second = (compile_batch(b) for b in batches[:2])
    same = [
        s.fingerprint == t.fingerprint for s, t in zip(first.stages, second.stages, strict=True)
    ]
    before = next(s.index for s in first.stages if s.phase)
    assert same == [index < before for index in range(len(same))]


def test_submitting_again_joins_once(store, path):
    batch = batch_of([path], "a")
    first = submit(store, batch)
    later = batch.model_copy(update={"submitter": "again"})
    assert submit(store, later) == first
    assert len(read_log(store)) == 1
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: submit(store, batch_of([path], "b")), range(8)))
    assert len({b.model_dump_json() for b in again}) == 1
    assert len(read_log(store)) == 2


def test_a_batch_whose_gateway_died_is_completed(store, path):
    """After each of the three writes of a submission somebody else can go on."""
    whole = Store(store.url + "-whole")
    told = submit(whole, batch_of([path], "a"))
    submitted = to_json(batch_of([path], "a").model_dump(mode="json"))
    store.put("batches/a/submitted.json", submitted)
    complete_pending(store)
    assert "batches/a/batch.json" not in records(store)
    store.put("index/log/00000000.json", whole.get("index/log/00000000.json"))
    complete_pending(store)
    assert store.get("batches/a/batch.json") == whole.get("batches/a/batch.json")
    assert submit(store, batch_of([path], "a")) == told


def test_a_deleted_batch_is_not_completed(store, path):
    submit(store, batch_of([path], "a"))
    for key in records(store):
        store.delete(key)
    complete_pending(Store(store.url))
    assert records(store) == []


def test_keys_of_another_kind_are_refused(store, path):
    submit(store, batch_of([path], "a"))
    with pytest.raises(UsageError) as caught:
        submit(store, batch_of([path], "b", recipe(rows=9, ngram=4)))
    assert caught.value.field == "steps.3.params.index"
    assert str(caught.value) == (
        "steps.3.params.index: the index news/near_duplicates_v1 holds keys of another kind "
        "(minhash_v1.ngram: 5 in the index, 4 here; minhash_v1.rows: 8 in the index, 9 here); "
        "take another name, or the same parameters"
    )
    assert not [k for k in records(store) if k.startswith("batches/b/")]
    assert [m.batch for m in history(read_log(store), NEAR).members] == ["a"]
    submit(store, batch_of([path], "b", recipe("other", rows=9, ngram=4)))


def test_what_does_not_change_keys_may_differ(store, path):
    submit(store, batch_of([path], "a"))
    other = recipe()
    other["steps"][1] = {"extraction.main_text_v1": {"engine": "resiliparse"}}
    other["steps"][3]["dedup.near_duplicates_v1"] = {"index": "news", "partitions": 5}
    submit(store, batch_of([path], "b", other))
    other["steps"][3]["dedup.near_duplicates_v1"]["within"] = "crawl"
    with pytest.raises(UsageError, match=r"within: all in the index, crawl here"):
        submit(store, batch_of([path], "c", other))


def test_steps_of_a_recipe_have_indexes_of_their_own(store, path):
    both = recipe()
    both["steps"][2:2] = ["dedup.text_hash_v1", {"dedup.exact_duplicates_v1": {"index": "news"}}]
    batch = submit(store, batch_of([path], "a", both))
    assert sorted(batch.indexes) == ["news/exact_duplicates_v1", NEAR]
    assert len(read_log(store)) == 1


@pytest.mark.parametrize("name", ["News", "a/b", "", "../x", "_joins"])
def test_names_that_are_no_folder_are_refused(store, path, name):
    with pytest.raises(UsageError, match="index"):
        submit(store, batch_of([path], "a", recipe(name)))
    assert read_log(store) == {}
