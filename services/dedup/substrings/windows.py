"""Phases of the distributed engine after candidates: windows that occur again.

    windows        one task a group of shards: hashes of the windows that select a candidate
    merge_windows  only where there are many such tasks
    confirm        one task a range of hashes: windows that occur again

Windows of 128 equal bits are equal (`services.dedup.kernels.substrings.hash_windows` has the
bound). Runs hold the first of each; what repeats within a run is marked at once.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.dedup.index.grouping import run_name, sorted_pieces
from services.dedup.index.run import (
    Entries,
    partition_range,
    same_as_before,
    windows,
    write_run,
)
from services.dedup.substrings.fingerprints import (
    in_groups,
    own_runs,
    selected,
    shards_of_task,
    text_at_once,
)
from services.dedup.substrings.ordering import (
    POSITION_BYTES,
    Positions,
    PositionSorter,
    sorted_once,
)
from services.dedup.substrings.params import MARKS, SubstringParams, marks_table, stream
from services.dedup.substrings.units import Documents, documents, units_of
from shared.index import ROW_BITS
from shared.scope import Scope
from shared.step import GroupOutput

BoolArray = npt.NDArray[np.bool_]

#: Shards whose candidates are read at once, at most: each reading opens all partitions' tables.
MOST_SHARDS = 64


def hash_candidates(scope: Scope, partition: int, params: SubstringParams) -> GroupOutput:
    """Runs of the windows of a group of shards; the table has what repeats within a run."""
    shards = shards_of_task(scope, partition, params)
    files: dict[str, bytes | Path] = {}

    def marks() -> Iterator[pa.Table]:
        entries = _windows_of_shards(scope, shards, params)
        for piece in sorted_pieces(entries, scope.memory // 2):
            later, again = _repeated(piece)
            marked = again if params.keep == "none" else later
            files[run_name(len(files))] = write_run(piece.take(~later))
            yield marks_table(sorted_once(piece.places[marked], piece.columns["at"][marked]))

    return GroupOutput(stream(MARKS, marks()), files)


def confirm(scope: Scope, partition: int, params: SubstringParams) -> GroupOutput:
    """The marked windows of a range of hashes that several runs hold."""
    sorter = PositionSorter(scope.memory // 2)
    low, high = partition_range(partition, params.partitions)
    runs = own_runs(scope, "windows", "merge_windows")
    for window in windows(runs, low, high, scope.memory // 2):
        later, again = _repeated(window)
        marked = again if params.keep == "none" else later
        sorter.add(window.places[marked], window.columns["at"][marked])
    return GroupOutput(stream(MARKS, map(marks_table, sorter.sorted_parts())))


def _repeated(entries: Entries) -> tuple[BoolArray, BoolArray]:
    """Which windows equal an earlier one, and which equal any other.

    Entries of one key come in the order of their places and units.
    """
    checks = entries.columns["check"]
    same = same_as_before(entries.keys)
    if not np.any(same[1:] & (checks[1:] != checks[:-1])):
        return same, in_groups(same)
    # Different windows of one key: never seen, and rightly told apart.
    some = np.flatnonzero(in_groups(same))
    order = some[np.lexsort((checks[some], entries.keys[some]))]  # stable: equals stay in order
    same = same_as_before(entries.keys[order]) & same_as_before(checks[order])
    later, again = np.zeros(len(entries), np.bool_), np.zeros(len(entries), np.bool_)
    later[order], again[order] = same, in_groups(same)
    return later, again


def _windows_of_shards(scope: Scope, shards: range, params: SubstringParams) -> Iterator[Entries]:
    """The windows of candidates, in the order of their places."""
    begin, count = shards.start, 1
    while begin < shards.stop:
        block = range(begin, min(begin + count, shards.stop))
        wanted = _candidates(scope, block)
        for part in documents(scope, params, block, text_at_once(scope)):
            yield _windows(part, wanted, params)
        # As many as would fill a quarter of the memory, but never less than one.
        room = scope.memory // (4 * POSITION_BYTES) * len(block)
        begin, count = block.stop, min(MOST_SHARDS, max(1, room // max(1, len(wanted.places))))


def _candidates(scope: Scope, shards: range) -> Positions:
    """All candidates of some shards in order, each once."""
    places, at = [np.empty(0, np.int64)], [np.empty(0, np.uint32)]
    for phase in ("select", "candidates"):
        for table in scope.keyed(phase, shards):
            shard = np.asarray(table.column("shard"), np.int64)
            places.append((shard << ROW_BITS) | np.asarray(table.column("row"), np.int64))
            at.append(np.asarray(table.column("at"), np.uint32))
    return sorted_once(np.concatenate(places), np.concatenate(at))


def _windows(part: Documents, wanted: Positions, params: SubstringParams) -> Entries:
    """The windows of some documents that select a wanted gram, in order."""
    from services.dedup.kernels.substrings import hash_windows

    begin, end = np.searchsorted(wanted.places, (part.places[0], part.places[-1] + 1))
    places, at = wanted.places[begin:end], wanted.at[begin:end]
    rows = np.searchsorted(part.places, places)
    chosen, local = np.unique(rows, return_inverse=True)
    units = units_of(part.texts.take(pa.array(chosen)), params)
    found = selected(units, part.salt, params)
    grams = (found.row << 32) | found.at.astype(np.int64)
    mine = np.flatnonzero(np.isin(grams, (local << 32) | at.astype(np.int64), kind="sort"))
    firsts, counts = found.window[mine].astype(np.int64), found.windows[mine].astype(np.int64)
    total = int(counts.sum())
    keys, checks = np.empty(total, np.uint64), np.empty(total, np.uint64)
    starts = units.begins[found.row[mine]] + firsts
    heads = found.fingerprint[mine]
    hash_windows(units.values, starts, counts, heads, params.length, part.salt, keys, checks)
    within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    at = (np.repeat(firsts, counts) + within).astype(np.uint32)
    places = np.repeat(part.places[chosen[found.row[mine]]], counts)
    return Entries(keys, places, {"check": checks, "at": at})
