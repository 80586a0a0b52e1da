"""The life of an index over batches of real documents, on a real store, by the tasks of workers."""

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest

from services.dedup.compaction import advance, compact
from shared.index import ROW_BITS
from shared.indexes import compactions
from shared.indexes.compactions import cover, due, garbage, read_compactions
from shared.indexes.joining import submit
from shared.indexes.log import DATA, history, read_log
from shared.indexes.members import ready
from shared.indexes.rebuilding import ask_compaction, begin_rebuild, end_rebuild, missing_tasks
from shared.indexes.removal import drop_batch
from shared.indexes.sizes import size_of
from shared.indexes.view import StoredIndex
from shared.progress import Funnel
from shared.run import run_task
from shared.stages import compile_batch
from shared.store import Store
from shared.testing import drive
from tests.shared.indexes.support import (
    DAYS,
    NEAR,
    batch_of,
    clusters,
    is_committed,
    kept,
    recipe,
    run,
    run_until,
    waiting,
    write_documents,
)


def test_batches_after_each_other_keep_what_all_at_once_keep(days, at_once):
    store, pipelines = days
    together = kept(*at_once)
    assert 20 < len(together) < 40
    assert set().union(*(kept(store, p) for p in pipelines)) == together
    # Each says of a document the same as the batch of all, up to how many of its own are alike.
    told, expected = {}, clusters(*at_once)
    for pipeline in pipelines:
        told |= clusters(store, pipeline)
    assert told.keys() == expected.keys()
    for document, row in told.items():
        assert row["keeper"] == expected[document]["keeper"], document
        if row["cluster"] is not None:
            assert row["cluster"] == expected[document]["cluster"], document
        if not row["keeper"]:
            assert row["matched"] == expected[document]["matched"], document
            assert row["similarity"] == expected[document]["similarity"], document
    other_days = [r for d, r in told.items() if r["cluster"] and r["cluster"][:5] != d[:5]]
    assert len(other_days) > 10


def test_a_batch_of_the_same_documents_keeps_none(days, sources):
    store, _ = days
    assert kept(store, run(store, sources, "again")) == set()


def test_without_an_index_batches_do_not_see_each_other(tmp_path, sources):
    store = Store(str(tmp_path))
    pipelines = [run(store, [p], n, recipe(None)) for p, n in zip(sources, DAYS, strict=True)]
    assert sum(len(kept(store, p)) for p in pipelines) > 45


def test_a_batch_waits_for_those_before_it(tmp_path, sources, at_once):
    """It sorts at once, matches when the earlier one has sorted, and decides when that has."""
    store = Store(str(tmp_path))
    first, second = (compile_batch(submit(store, batch_of([p], n))) for p, n in zip(sources, "ab"))  # noqa: B905
    drive(store, second.batch)
    assert is_committed(store, second, "sort")
    assert not is_committed(store, second, "match")
    assert waiting(store, second) == [("match", "a")]
    assert waiting(store, first) == []
    run_until(store, first, "sort")
    assert waiting(store, second) == []
    drive(store, second.batch)
    assert is_committed(store, second, "match")
    assert not is_committed(store, second, "cluster")
    assert waiting(store, second) == [("cluster", "a")]
    drive(store, first.batch)
    drive(store, second.batch)
    third = run(store, [sources[2]], "c")
    everything = set().union(*(kept(store, p) for p in (first, second, third)))
    assert everything == kept(*at_once)


def test_a_task_that_is_too_early_is_tried_again_later(tmp_path, sources):
    """Whatever was sent: the worker itself sees that an earlier batch is not there yet."""
    from shared.errors import TransientError
    from shared.ref import TaskRef

    store = Store(str(tmp_path))
    submit(store, batch_of([sources[0]], "a"))
    second = compile_batch(submit(store, batch_of([sources[1]], "b")))
    drive(store, second.batch)
    stage = next(s for s in second.stages if s.phase and s.phase.name == "match")
    with pytest.raises(TransientError, match="batch a has not sorted for the index news"):
        run_task(store, second, TaskRef(batch="b", stage=stage.index, unit="p00000"))


def test_documents_and_keepers_of_earlier_batches(days):
    store, pipelines = days
    view = StoredIndex(store, pipelines[2].batch, NEAR)
    places, names, expected = [], [], []
    told = clusters(store, pipelines[0]) | clusters(store, pipelines[1])
    for pipeline in pipelines[:2]:
        base = pipeline.batch.indexes[NEAR].base
        spine = pipeline.column_folder(pipeline.recipe.steps[0])
        for shard in pipeline.batch.shards:
            from shared.columns import read_columns

            ids = read_columns(store, spine, shard.id, ["document"]).column("document").to_pylist()
            places += [(base + shard.index) << ROW_BITS | row for row in range(len(ids))]
            names += ids
            expected += [told[i]["cluster"] or i for i in ids]
    asked = np.array(places, np.int64)
    assert view.documents(asked).to_pylist() == names
    assert view.documents(asked[::7]).to_pylist() == names[::7]
    assert view.documents(asked[:0]).to_pylist() == []
    keepers = view.keepers(asked)
    assert [names[places.index(k)] for k in keepers.tolist()] == expected
    assert view.keepers(np.repeat(asked[3:9], 2)).tolist() == np.repeat(keepers[3:9], 2).tolist()
    assert sum(k != p for k, p in zip(keepers.tolist(), places, strict=True)) > 10


class TestCompaction:
    """A merged index tells the same, from fewer runs."""

    @pytest.fixture(autouse=True)
    def _two_a_merge(self, monkeypatch):
        settings = compactions.Settings(index_fanout=2, visibility_timeout=timedelta(hours=1))
        monkeypatch.setattr("services.dedup.compaction.settings", lambda: settings)

    def test_a_batch_keeps_the_same(self, tmp_path, sources, at_once):
        store = Store(str(tmp_path))
        pipelines = []
        for path, name in zip(sources, DAYS, strict=True):
            pipelines.append(run(store, [path], name))
            advance(store, NEAR, 60)
        (one,) = read_compactions(store, NEAR)
        assert one.members == (0, 1)
        pieces = cover([one], history(read_log(store), NEAR).members)
        assert [type(p).__name__ for p in pieces] == ["Compaction", "Member"]
        view = StoredIndex(store, pipelines[2].batch, NEAR)
        assert len(view.runs()) == 1
        assert set().union(*(kept(store, p) for p in pipelines)) == kept(*at_once)
        expected = clusters(*at_once)
        for document, row in clusters(store, pipelines[2]).items():
            assert row["keeper"] == expected[document]["keeper"]
            assert row["matched"] == expected[document]["matched"] or row["keeper"]

    def test_all_entries_are_there_once_and_in_order(self, days):
        from services.dedup.index.run import open_runs, windows

        store, _ = days
        members = history(read_log(store), NEAR).members
        before = open_runs(compactions.piece_runs(store, NEAR, members, members))
        ask_compaction(store, "news")
        advance(store, NEAR, 60)
        assert not store.exists(f"{DATA}{NEAR}/compact.json")
        (large,) = cover(read_compactions(store, NEAR), members)
        after = open_runs(compactions.piece_runs(store, NEAR, [large], members))
        (old,), (new,) = (list(windows(r, 0, 2**64, 2**26)) for r in (before, after))
        assert len(before) > len(after) == 1
        assert old.keys.tolist() == new.keys.tolist()
        assert old.places.tolist() == new.places.tolist()
        assert large.entries == len(new) == size_of(store, large.runs).entries
        assert large.bytes == size_of(store, large.runs).bytes

    def test_steps_of_a_recipe_have_indexes_of_their_own(self, tmp_path):
        """Exact duplicates (keys with a check beside them) and near ones, both compacted."""
        store = Store(str(tmp_path / "store"))
        chosen = recipe()
        rule = {"exact_duplicate": "keeper == true"}
        exact = {"dedup.exact_duplicates_v1": {"index": "news"}, "keep": rule}
        chosen["steps"][2:2] = ["dedup.text_hash_v1", exact]
        indexes = ("news/exact_duplicates_v1", NEAR)
        found = []
        for name, seeds in (("a", [1, 2, 3]), ("b", [3, 4, 2]), ("c", [4, 5, 1])):
            path = write_documents(tmp_path, f"{name}.jsonl", seeds, changed=name != "b")
            found.append(kept(store, run(store, [path], name, chosen)))
            for index in indexes:
                advance(store, index, 60)
        assert [len(f) for f in found] == [3, 1, 1]
        assert [len(read_compactions(store, i)) for i in indexes] == [1, 1]
        # As they are, what the second batch has: exact duplicates of its own documents.
        path = write_documents(tmp_path, "d.jsonl", [3, 4, 6], changed=False)
        pipeline = run(store, [path], "d", chosen)
        assert len(kept(store, pipeline)) == 1
        funnel = Funnel.read(store, pipeline)
        dropped = sum((t.tally.dropped for t in funnel.stages.values()), Counter())
        assert dropped == {"exact_duplicates_v1.exact_duplicate": 2}

    def test_in_parts_and_killed_between_them(self, days, monkeypatch):
        """Time runs out after each part; the parts that are there are not written again."""
        store, _ = days
        merge = due(store, NEAR, 2)
        assert merge is not None
        written = []
        upload = Store.upload
        monkeypatch.setattr(
            Store, "upload", lambda s, p, key: (written.append(key), upload(s, p, key))[1]
        )
        clock = iter(range(10**6))
        monkeypatch.setattr("services.dedup.compaction.time.monotonic", lambda: next(clock))
        looks = 0
        while not compact(store, NEAR, merge, deadline=looks * 2 + 1, part_entries=100):
            looks += 1
            assert read_compactions(store, NEAR) == []
        assert len(written) == len(set(written)) > 3
        assert looks > 1
        (one,) = read_compactions(store, NEAR)
        whole = Store(store.url + "-whole")
        for entry in store.list(""):
            if "/runs/" not in entry.key and "/compactions/" not in entry.key:
                whole.put(entry.key, store.get(entry.key))
        monkeypatch.setattr("services.dedup.compaction.time.monotonic", lambda: 0)
        assert compact(whole, NEAR, merge, deadline=1, part_entries=100)
        assert [whole.get(k) for k in one.runs] == [store.get(k) for k in one.runs]

    def test_a_dropped_batch_is_left_out_and_then_gone(self, days, sources):
        store, _ = days
        ask_compaction(store, "news")
        advance(store, NEAR, 60)
        drop_batch(store, "news", "b")
        again = kept(store, run(store, [sources[1]], "b2"))
        without = Store(store.url + "-without")
        run(without, [sources[0]], "a")
        run(without, [sources[2]], "c")
        assert again == kept(without, run(without, [sources[1]], "b"))
        advance(store, NEAR, 60)
        newest = max(read_compactions(store, NEAR), key=lambda c: c.created)
        assert newest.members[0] == 0
        assert 1 not in newest.members
        assert kept(store, run(store, [sources[1]], "b3")) == set()

    def test_what_was_merged_is_cleared_away_later(self, days):
        store, _ = days
        advance(store, NEAR, 60)
        ask_compaction(store, "news")
        advance(store, NEAR, 60)
        both = read_compactions(store, NEAR)
        assert sorted(len(c.members) for c in both) == [2, 3]
        assert garbage(store, NEAR, timedelta(hours=1)) == []
        (small,) = garbage(store, NEAR, timedelta(0))
        assert len(small.members) == 2
        # While a batch reads it that joined between, it stays.
        compactions.remove(store, NEAR, [small])
        assert [len(c.members) for c in read_compactions(store, NEAR)] == [3]
        assert not any(store.exists(key) for key in small.runs)


def test_rebuilding_computes_lost_runs_again(days, sources):
    store, pipelines = days
    ask_compaction(store, "news")
    advance(store, NEAR, 60)
    runs = {e.key: store.get(e.key) for e in store.list("columns/") if e.key.endswith(".run")}
    for key in list(runs)[::2]:
        store.delete(key)
    tasks = begin_rebuild(store, "news")
    assert tasks[NEAR] == len(list(runs)[::2])
    assert read_compactions(store, NEAR) == []
    late = compile_batch(submit(store, batch_of([sources[0]], "late")))
    drive(store, late.batch)
    lost = {k.split("/")[1] for k in list(runs)[::2]}
    assert len(waiting(store, late)) == len(lost)
    by_batch = {p.batch.id: p for p in pipelines}
    while refs := missing_tasks(store, NEAR):
        for service, ref in refs:
            assert service == "dedup"
            run_task(store, by_batch[ref.batch], ref)
    end_rebuild(store, NEAR)
    assert {k: store.get(k) for k in runs} == runs
    assert all(ready(store, NEAR, m) for m in history(read_log(store), NEAR).members[:3])
    drive(store, late.batch)
    assert kept(store, late) == set()
