"""Sorted runs: the same entries however they are cut into runs, windows, partitions and memory."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.index.grouping import sorted_pieces, write_runs
from services.dedup.index.run import (
    BUCKET_ENTRIES,
    Entries,
    Run,
    RunWriter,
    concatenate,
    open_runs,
    partition_range,
    sort_entries,
    windows,
    write_run,
)
from services.dedup.kernels.sorting import sort_pairs
from shared.errors import PermanentError
from shared.index import ROW_BITS, StoredRun
from shared.ranges import ObjectReader

# Keys that lie evenly, keys that crowd at the ends of the range, and a few that come up often.
keys_of_any_kind = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 3),
    st.integers(2**64 - 3, 2**64 - 1),
    st.sampled_from([0, 2**63, 2**63 - 1, 12345 << 40]),
)
documents = st.lists(
    st.tuples(keys_of_any_kind, st.integers(0, 9), st.integers(0, 2**32 - 1)), max_size=60
)


def entries_of(items: list[tuple[int, int, int]]) -> Entries:
    """Entries of (key, shard, row), with a column that says where each was."""
    return Entries(
        np.array([k for k, _, _ in items], np.uint64),
        np.array([s << ROW_BITS | r for _, s, r in items], np.int64),
        {"at": np.arange(len(items), dtype=np.uint16)},
    )


def listed(entries: Entries) -> list[tuple[int, int, int]]:
    columns = (entries.keys, entries.places, entries.columns["at"])
    return list(zip(*(c.tolist() for c in columns), strict=True))


def opened(path: Path, base: int = 0, without: tuple[range, ...] = ()) -> Run:
    data = path.read_bytes()
    path.unlink()
    reader = ObjectReader(len(data), lambda offset, length: data[offset : offset + length])
    (run,) = open_runs([StoredRun(reader, base, without)])
    return run


def random_entries(count: int, seed: int, distinct: int = 2**64 - 1) -> Entries:
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, distinct, count, np.uint64, endpoint=True)
    return Entries(keys, np.arange(count), {})


@settings(deadline=None)  # the first call compiles
@given(documents, st.booleans())
def test_sorted_by_key_and_place(items, in_order):
    items = sorted(items, key=lambda i: i[1:]) if in_order else items
    got = listed(sort_entries(entries_of(items)))
    expected = sorted((k, s << ROW_BITS | r, i) for i, (k, s, r) in enumerate(items))
    assert got == expected


@settings(deadline=None)  # the first call compiles
@given(
    documents,
    st.lists(st.integers(0, 60), max_size=4),
    st.integers(1, 7),
    st.sampled_from([1, 300, 2**20]),
    st.booleans(),
    st.integers(0, 5),
)
def test_any_cut_gives_the_same_entries(items, cuts, partitions, memory, streamed, base):
    """Runs at any cuts, written at once or in parts, read in any partitions and windows."""
    bounds = [0, *sorted(min(c, len(items)) for c in cuts), len(items)]
    whole = entries_of(items)
    runs = []
    for start, stop in pairwise(bounds):
        part = sort_entries(whole.take(np.arange(start, stop)))
        if streamed:
            writer = RunWriter()
            for i in range(0, len(part), 3):
                writer.append(part.take(np.arange(i, min(i + 3, len(part)))))
            assert writer.entries == len(part)
            runs.append(opened(writer.finish(), base))
        else:
            runs.append(opened(write_run(part), base))
    got = []
    for p in range(partitions):
        low, high = partition_range(p, partitions)
        seen: set[int] = set()
        for window in windows(runs, low, high, memory):
            keys = set(window.keys.tolist())
            assert keys.isdisjoint(seen)  # all entries of a key lie in one window
            seen |= keys
            got.extend(listed(window))
    assert got == sorted((k, (s + base) << ROW_BITS | r, i) for i, (k, s, r) in enumerate(items))


@settings(deadline=None)  # the first call compiles
@given(documents, st.lists(st.integers(0, 60), max_size=3), st.sampled_from([1, 300, 2**20]))
def test_pieces_are_runs(items, cuts, memory):
    """Whatever parts come, pieces are full ones but the last, sorted, and all that came."""
    bounds = [0, *sorted(min(c, len(items)) for c in cuts), len(items)]
    whole = entries_of(items)
    parts = [whole.take(np.arange(a, b)) for a, b in pairwise(bounds)]
    pieces = list(sorted_pieces(parts, memory))
    assert len({len(p) for p in pieces[:-1]}) <= 1
    assert sorted(x for p in pieces for x in listed(p)) == sorted(listed(whole))
    assert all(listed(p) == sorted(listed(p)) for p in pieces)
    files = write_runs(pieces)
    assert sorted(files) == [f"run-{i:05d}.run" for i in range(len(pieces))]
    assert sum(opened(Path(str(f))).entries for f in files.values()) == len(items)


@pytest.mark.parametrize("hot", [0.0, 0.4])
def test_many_entries_of_many_runs(hot):
    """Directories of several bits, both passes of the sort, windows of a part of each run."""
    count = 200_000
    whole = random_entries(count, 1)
    whole.keys[np.random.default_rng(2).random(count) < hot] = 2**63 + 7
    parts = np.array_split(np.arange(count), 3)
    runs = [opened(write_run(sort_entries(whole.take(part)))) for part in parts]
    assert runs[0].count(0, 2**63) < 0.7 * len(parts[0])
    got = list(windows(runs, 0, 2**64, 2**20))
    order = np.lexsort((whole.places, whole.keys))
    assert len(got) > 5
    assert np.array_equal(concatenate(got).keys, whole.keys[order])
    assert np.array_equal(concatenate(got).places, whole.places[order])
    room = 2**20 // 64 + 3 * BUCKET_ENTRIES
    assert max(len(w) for w in got) < room + hot * count * 1.1


@pytest.mark.parametrize("count", [1000, 100_000])
@pytest.mark.parametrize("low", [0, 2**64 - 2**20])
def test_sort_of_narrow_ranges(count, low):
    """Keys that share their leading bits, as those of a window do, and keys in crowds."""
    rng = np.random.default_rng(3)
    keys = np.uint64(low) + rng.integers(0, 2**20, count, np.uint64)
    keys[: count // 2] = np.uint64(low) + rng.geometric(0.01, count // 2).astype(np.uint64)
    got, values = sort_pairs(keys, np.arange(count))
    order = np.argsort(keys, kind="stable")
    assert np.array_equal(got, keys[order])
    assert np.array_equal(values, order)


def test_a_run_of_parts_is_the_run_at_once():
    entries = sort_entries(random_entries(10_000, 4))
    writer = RunWriter()
    for part in np.array_split(np.arange(len(entries)), 7):
        writer.append(entries.take(part))
    at_once, in_parts = write_run(entries), writer.finish()
    assert at_once.read_bytes() == in_parts.read_bytes()
    assert at_once.stat().st_size < 14 * 10_000 + 1000  # of one shard: 13 bytes an entry
    at_once.unlink()
    in_parts.unlink()


def test_entries_of_dropped_batches_are_passed_over():
    items = [(5, s, s) for s in range(8)]
    run = opened(write_run(entries_of(items)), 10, (range(11, 13), range(17, 20)))
    shards = run.between(0, 2**64).places >> ROW_BITS
    assert shards.tolist() == [10, 13, 14, 15, 16]


def test_an_empty_run():
    for path in (write_run(entries_of([])), RunWriter().finish()):
        run = opened(path)
        assert (run.entries, run.count(0, 2**64), len(run.between(0, 2**64))) == (0, 0, 0)
        assert list(windows([run], 0, 2**64, 1)) == []
    assert list(windows([], 0, 2**64, 1)) == []


def test_what_is_no_run_is_refused():
    data = b"PAR1" + bytes(100)
    reader = ObjectReader(len(data), lambda offset, length: data[offset : offset + length])
    with pytest.raises(PermanentError, match="not a sorted run: it begins with b'PAR1"):
        Run(reader)


@pytest.mark.parametrize("partitions", [1, 2, 3, 7, 4096])
def test_partitions_hold_all_keys_once(partitions):
    ranges: list[Any] = [partition_range(p, partitions) for p in range(partitions)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 2**64
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
