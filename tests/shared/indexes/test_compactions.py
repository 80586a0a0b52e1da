"""What is merged and what is read: every member once, in order, from as few runs as can be."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.indexes.compactions import (
    Compaction,
    Merge,
    Piece,
    compaction_id,
    cover,
    next_merge,
)
from shared.indexes.compactions import _is_garbage as is_garbage
from shared.indexes.log import Member

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def member(ordinal: int) -> Member:
    return Member(ordinal, f"b{ordinal}", 10 * ordinal, 10, NOW, {})


def members(*ordinals: int) -> list[Member]:
    return [member(o) for o in ordinals]


def compaction(*ordinals: int, level: int = 1, created: datetime = NOW) -> Compaction:
    return Compaction(
        first=ordinals[0],
        last=ordinals[-1],
        level=level,
        members=ordinals,
        numbers={o: (10 * o, 10 * o + 10) for o in ordinals},
        runs=("r",),
        entries=1,
        bytes=1,
        created=created,
    )


def merged(merge: Merge) -> Compaction:
    return compaction(*(m.ordinal for m in merge.members), level=merge.level)


def read_from(pieces: list[Piece]) -> list[list[int]]:
    return [list(p.members) if isinstance(p, Compaction) else [p.ordinal] for p in pieces]


def test_members_are_read_from_the_largest_compaction():
    small, large = compaction(0, 1), compaction(0, 1, 2, 3, level=2)
    assert read_from(cover([small, large], members(0, 1, 2, 3, 4))) == [[0, 1, 2, 3], [4]]
    assert read_from(cover([small], members(0, 1, 2))) == [[0, 1], [2]]
    assert read_from(cover([], members(3, 5))) == [[3], [5]]
    assert cover([small], []) == []


def test_a_batch_does_not_read_who_came_after_it():
    assert read_from(cover([compaction(0, 1, 2)], members(0, 1))) == [[0], [1]]


def test_a_compaction_that_lacks_a_member_is_not_read():
    assert read_from(cover([compaction(0, 2)], members(0, 1, 2))) == [[0], [1], [2]]


def test_a_compaction_with_a_dropped_member_is_read_until_there_is_one_without():
    both = [compaction(0, 1, 2), compaction(0, 2)]
    assert read_from(cover(both[:1], members(0, 2))) == [[0, 1, 2]]
    assert read_from(cover(both, members(0, 2))) == [[0, 2]]
    # The first member is gone: the compaction still begins with who is left.
    assert read_from(cover(both[:1], members(1, 2, 3))) == [[0, 1, 2], [3]]


def test_overlapping_compactions_are_not_read_both():
    both = [compaction(0, 1, 2), compaction(2, 3)]
    assert read_from(cover(both, members(0, 1, 2, 3))) == [[0, 1, 2], [3]]


def test_enough_of_a_level_in_a_row_are_merged():
    row = members(0, 1, 2)
    assert next_merge(row[:2], row[:2], 3) is None
    found = next_merge(row, row, 3)
    assert found is not None
    assert (found.level, [m.ordinal for m in found.members]) == (1, [0, 1, 2])
    mixed: list[Piece] = [compaction(0, 1, 2), *members(3, 4)]
    assert next_merge(mixed, members(0, 1, 2, 3, 4), 3) is None
    higher = [compaction(0, 1, 2), compaction(3, 4, 5), compaction(6, 7, 8)]
    found = next_merge(higher, members(*range(9)), 3)
    assert found is not None
    assert (found.level, len(found.members)) == (2, 9)


def test_everything_is_merged_when_somebody_asks():
    mixed: list[Piece] = [compaction(0, 1, 2), *members(3, 4)]
    live = members(0, 1, 2, 3, 4)
    found = next_merge(mixed, live, 8, everything=True)
    assert found is not None
    assert (found.level, len(found.members)) == (2, 5)
    assert next_merge([merged(found)], live, 8, everything=True) is None


def test_a_compaction_with_a_dropped_member_is_written_again():
    found = next_merge([compaction(0, 1, 2)], members(0, 2), 8)
    assert found is not None
    assert (found.level, [m.ordinal for m in found.members]) == (1, [0, 2])
    assert next_merge([merged(found)], members(0, 2), 8) is None


def test_ids_name_the_members():
    assert compaction_id((1, 2)) == compaction(1, 2).id
    assert len({compaction_id((1, 2)), compaction_id((1, 3)), compaction_id((1, 2, 3))}) == 3
    # The same ends, and others between.
    assert compaction_id((1, 2, 4)) != compaction_id((1, 3, 4))


def test_what_was_merged_goes_when_nobody_can_read_it():
    grace = timedelta(hours=1)
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    small = compaction(0, 1, created=long_ago)
    over = compaction(0, 1, 2, 3, created=long_ago)
    fresh = compaction(0, 1, 2, 3, created=datetime.now(UTC))
    assert is_garbage(small, [over], [], grace)
    assert not is_garbage(small, [fresh], [], grace)
    # A batch that joined between still reads the smaller one; before and after, nobody does.
    assert not is_garbage(small, [over], [3], grace)
    assert is_garbage(small, [over], [1, 4], grace)
    # Of members that are all gone.
    assert is_garbage(small, [], [7], grace)
    assert not is_garbage(compaction(0, 1, created=datetime.now(UTC)), [], [7], grace)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["join", "drop", "merge", "all"]), max_size=60),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_every_live_member_is_read_once_and_in_order(actions, fanout, rng):
    live: list[Member] = []
    written: list[Compaction] = []
    number = 0
    for action in actions:
        if action == "join":
            live.append(member(number))
            number += 1
        elif action == "drop" and live:
            live.pop(rng.randrange(len(live)))
        elif action in ("merge", "all"):
            pieces = cover(written, live)
            found = next_merge(pieces, live, fanout, everything=action == "all")
            if found is not None:
                written.append(merged(found))
        for upto in range(len(live) + 1):
            seen = live[:upto]
            ordinals = [m.ordinal for m in seen]
            parts = read_from(cover(written, seen))
            read = [o for part in parts for o in part if o in ordinals]
            assert read == ordinals
            assert sorted({o for part in parts for o in part}) == [
                o for part in parts for o in part
            ]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 100), st.integers(2, 8))
def test_few_pieces_are_left_of_many_members(count, fanout):
    live: list[Member] = []
    written: list[Compaction] = []
    for ordinal in range(count):
        live.append(member(ordinal))
        while (found := next_merge(cover(written, live), live, fanout)) is not None:
            written.append(merged(found))
    levels = 1
    while fanout**levels <= count:
        levels += 1
    assert len(cover(written, live)) <= (fanout - 1) * levels
