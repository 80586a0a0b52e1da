"""Dropping batches and indexes: what later ones see, and when it is refused."""

import pytest

from services.dedup.compaction import advance
from shared.errors import ConflictError, NotFoundError, UsageError
from shared.indexes.joining import submit
from shared.indexes.log import DATA, history, read_log
from shared.indexes.rebuilding import ask_compaction, begin_rebuild
from shared.indexes.removal import drop_batch, drop_everywhere, drop_index
from shared.stages import compile_batch
from shared.store import Store
from shared.testing import drive
from tests.shared.indexes.support import (
    DAYS,
    NEAR,
    batch_of,
    end,
    is_committed,
    kept,
    outcomes,
    run,
    run_until,
    waiting,
)


def test_a_dropped_batch_is_not_seen_any_more(days, sources):
    store, pipelines = days
    files = [e.key for e in store.list("columns/") if e.key.endswith(".run")]
    before = outcomes(store, pipelines[2])
    for name in DAYS:
        removed = drop_batch(store, "news", name)
        assert removed.indexes == (NEAR,)
        assert removed.objects > 0
    assert not any(store.exists(key) for key in files)
    assert outcomes(store, pipelines[2]) == before
    again = run(store, [sources[2]], "c2")
    alone = Store(store.url + "-alone")
    assert kept(store, again) == kept(alone, run(alone, [sources[2]], "c"))
    assert again.batch.indexes[NEAR].base == sum(len(p.batch.shards) for p in pipelines)


def test_again_does_no_harm(days):
    store, _ = days
    drop_batch(store, "news", "a")
    log = read_log(store)
    assert drop_batch(store, "news", "a").indexes == (NEAR,)
    assert read_log(store) == log
    with pytest.raises(NotFoundError, match="batch x is not in the index news"):
        drop_batch(store, "news", "x")
    with pytest.raises(NotFoundError, match="batch a is not in the index other"):
        drop_batch(store, "other", "a")


def test_not_while_it_runs_or_is_read(tmp_path, sources):
    store = Store(str(tmp_path))
    submit(store, batch_of([sources[0]], "a"))
    with pytest.raises(ConflictError, match="batch a has not ended"):
        drop_batch(store, "news", "a")
    run(store, [sources[0]], "a")
    submit(store, batch_of([sources[1]], "b"))
    with pytest.raises(ConflictError, match="batch b reads batch a in the index"):
        drop_batch(store, "news", "a")
    with pytest.raises(ConflictError, match="batch b has joined the index"):
        drop_index(store, "news")
    with pytest.raises(ConflictError, match="batch b has joined the index"):
        begin_rebuild(store, "news")
    end(store, "b", "cancelled")
    drop_batch(store, "news", "a")


def test_a_batch_that_never_sorted_may_go_while_others_wait_for_it(tmp_path, sources):
    store = Store(str(tmp_path))
    submit(store, batch_of([sources[0]], "a"))
    second = compile_batch(submit(store, batch_of([sources[1]], "b")))
    drive(store, second.batch)
    end(store, "a", "failed")
    assert waiting(store, second) == [("match", "a")]
    drop_batch(store, "news", "a")
    assert waiting(store, second) == []
    drive(store, second.batch)
    alone = Store(store.url + "-alone")
    assert kept(store, second) == kept(alone, run(alone, [sources[1]], "b"))


def test_a_retried_batch_says_that_what_it_saw_is_gone(days, sources):
    store, _ = days
    late = compile_batch(submit(store, batch_of([sources[2]], "late")))
    run_until(store, late, "sort")
    end(store, "late", "failed")
    drop_batch(store, "news", "b")
    store.delete("batches/late/end.json")
    with pytest.raises(UsageError, match="batch b was dropped from the index"):
        drive(store, late.batch)


def test_of_a_failed_batch_receipts_go_too_so_that_a_retry_sorts_again(days):
    store, pipelines = days
    end(store, "c", "failed")
    fresh = Store(store.url)
    drop_batch(fresh, "news", "c")
    assert not is_committed(store, pipelines[2], "sort")
    assert is_committed(store, pipelines[1], "sort")


def test_a_deleted_batch_is_in_no_index(days):
    store, _ = days
    assert drop_everywhere(store, "b").indexes == (NEAR,)
    assert [m.batch for m in history(read_log(store), NEAR).members] == ["a", "c"]
    assert drop_everywhere(store, "nobody").indexes == ()


def test_a_whole_index(days, sources):
    store, pipelines = days
    ask_compaction(store, "news")
    advance(store, NEAR, 60)
    assert drop_index(store, "news").objects > 5
    assert list(store.list(DATA)) == []
    assert not [e for e in store.list("columns/") if e.key.endswith(".run")]
    again = run(store, [sources[2]], "c2")
    assert again.batch.indexes[NEAR].base == 0
    assert kept(store, again) > kept(store, pipelines[2])
    with pytest.raises(NotFoundError, match="there is no index other"):
        drop_index(store, "other")
