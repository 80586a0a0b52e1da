"""The log: what its entries add up to, whatever is read of it, and who writes at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.indexes.log import (
    Drop,
    Join,
    Joined,
    append,
    history,
    join_of,
    memberships,
    names,
    names_of,
    read_log,
)
from shared.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = {"near": {"bands": 14}}


def join(batch: str, **shards: int) -> Join:
    joined = {f"{name}/near": Joined(shards=n, kind=KIND) for name, n in shards.items()}
    return Join(batch=batch, time=NOW, indexes=joined)


def drop(index: str, batch: str | None = None, *, readable: bool = True) -> Drop:
    return Drop(index=f"{index}/near", batch=batch, readable=readable, time=NOW)


def log(*events: Join | Drop) -> dict[int, Join | Drop]:
    return dict(enumerate(events))


def test_members_are_numbered_in_the_order_of_the_log():
    events = log(join("a", news=3), join("b", blogs=5), join("c", news=2, blogs=1))
    told = history(events, "news/near")
    assert [(m.ordinal, m.batch, m.base, m.shards) for m in told.members] == [
        (0, "a", 0, 3),
        (2, "c", 3, 2),
    ]
    assert told.shards == 5
    assert told.members[1].numbers == range(3, 5)
    assert [m.batch for m in history(events, "news/near", before=2).members] == ["a"]
    assert names(events) == ["blogs/near", "news/near"]
    assert names_of(events, "news") == ["news/near"]
    assert join_of(events, "c") == (2, events[2])
    assert join_of(events, "d") is None


def test_numbers_of_a_dropped_batch_are_not_given_again():
    events = log(join("a", news=3), join("b", news=2), drop("news", "a"), join("c", news=1))
    told = history(events, "news/near")
    assert [(m.batch, m.base) for m in told.members] == [("b", 3), ("c", 5)]
    assert [(m.batch, m.readable) for m in told.dropped] == [("a", True)]
    assert history(events, "news/near", before=2).dropped == ()


def test_a_dropped_index_begins_anew():
    events = log(join("a", news=3, blogs=1), drop("news"), join("b", news=2))
    told = history(events, "news/near")
    assert [(m.batch, m.base) for m in told.members] == [("b", 0)]
    assert told.dropped == ()
    assert [m.batch for m in history(events, "blogs/near").members] == ["a"]
    assert names(log(join("a", news=3), drop("news"))) == []


def test_what_a_batch_sees_depends_on_who_came_before():
    alone = memberships(log(join("b", news=2)), 0)["news/near"]
    after = memberships(log(join("a", news=3), join("b", news=2)), 1)["news/near"]
    other = memberships(log(join("x", news=3), join("b", news=2)), 1)["news/near"]
    gone = memberships(log(join("a", news=3), drop("news", "a"), join("b", news=2)), 2)["news/near"]
    assert (alone.base, after.base, gone.base) == (0, 3, 3)
    assert len({alone.members, after.members, other.members}) == 3
    assert gone.members == alone.members


def test_writers_at_once_get_entries_of_their_own(tmp_path):
    store = Store(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        numbers = list(
            pool.map(lambda i: append(store, lambda _: join(f"b{i}", news=i)), range(24))
        )
    assert sorted(numbers) == list(range(24))
    members = history(read_log(Store(str(tmp_path))), "news/near").members
    ends = [m.base + m.shards for m in members]
    assert [m.base for m in members] == [0, *ends[:-1]]
    assert {m.batch: m.shards for m in members} == {f"b{i}": i for i in range(24)}


def test_an_entry_that_is_not_wanted_is_not_written(tmp_path):
    store = Store(str(tmp_path))
    assert append(store, lambda _: None) is None
    assert read_log(store) == {}
    with pytest.raises(ValueError, match="no"):
        append(store, lambda _: (_ for _ in ()).throw(ValueError("no")))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("join"), st.integers(0, 9), st.integers(0, 4)),
            st.tuples(st.just("drop"), st.integers(0, 9), st.booleans()),
            st.tuples(st.just("clear"), st.just(0), st.just(0)),
        ),
        max_size=30,
    )
)
def test_history_against_a_list(actions):
    """Members with places, kept by hand beside the log."""
    events, members, shards, joined = [], [], 0, set()
    for action, batch, value in actions:
        if action == "join" and batch not in joined:
            events.append(join(str(batch), news=value))
            members.append((str(batch), shards, value))
            shards, joined = shards + value, joined | {batch}
        elif action == "drop":
            events.append(drop("news", str(batch), readable=value))
            members = [m for m in members if m[0] != str(batch)]
        elif action == "clear":
            events.append(drop("news"))
            members, shards = [], 0
    told = history(log(*events), "news/near")
    assert [(m.batch, m.base, m.shards) for m in told.members] == members
    assert told.shards == shards
