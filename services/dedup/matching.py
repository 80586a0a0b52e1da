"""Matching: edges between documents that share a key, in bounded memory (specs 1.7, 15.9).

    sort     keys of a group of shards, sorted in pieces; a run each
    merge    only of many sort tasks: larger runs of theirs (`services.dedup.index.grouping`)
    match    a range of keys: windows over all runs, of this batch and of an index's earlier ones

Never pairs within a bucket: a key that a million pages share gives a million edges, each from the
first of them to another. A run holds the first entry of each key only; what is equal within it is
settled when it is sorted, so that a key has one entry a run, however many pages share it. Where
pairs are verified, the first may turn out not to be alike: all entries stay in the runs, and each
is tied to the one before it as well.

Which edges stand for a key depends on where runs are cut: by shards and numbers of entries, so that
neither the memory of a worker nor the order of tasks changes them; what they link depends on
nothing. Each pair once a run or window, with the keys that they are known to share.

Bound by sorting (33 ns an entry and pass) and by reading and writing 14 bytes of each.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from services.dedup.duplicates import DuplicateParams, NearDuplicateParams
from services.dedup.edges import EDGES, Int64Array, edge_batches
from services.dedup.index.grouping import open_all, run_name, shards_of, sort_tasks, sorted_pieces
from services.dedup.index.run import Entries, partition_range, windows, write_run
from services.dedup.keys import KeyColumn, entries_of
from shared.index import ROW_BITS
from shared.scope import Scope
from shared.step import GroupOutput

#: From sorted entries to which of them a run holds, and edges: (kept, lefts, rights).
Settle = Callable[[Entries], tuple[Entries, Int64Array, Int64Array]]


def sort(
    scope: Scope, partition: int, params: DuplicateParams, *, column: KeyColumn
) -> GroupOutput:
    """Runs of a group of shards' keys, and the edges within each run."""
    base = base_of(scope, params)
    settle = keep_all if verified(params) else settle_firsts
    return sort_and_settle(scope, partition, params, column, settle, base)


def match(scope: Scope, partition: int, params: DuplicateParams) -> GroupOutput:
    """Edges between the entries of different runs, or of all where pairs are verified."""
    base = base_of(scope, params) << ROW_BITS
    chain = verified(params)

    def ends(window: Entries) -> tuple[Int64Array, Int64Array]:
        from services.dedup.kernels.edges import edge_ends

        return edge_ends(first_of(window), window.places, base, chain)

    # A chain doubles the edges of a window.
    return match_windows(scope, partition, params, ends, scope.memory * (2 if chain else 3) // 3)


def verified(params: DuplicateParams) -> bool:
    """Whether edges are candidates only."""
    return isinstance(params, NearDuplicateParams) and params.verify is not None


def base_of(scope: Scope, params: DuplicateParams) -> int:
    """The number of this batch's first shard in places."""
    return scope.index(params.index).base if params.index is not None else 0


def sort_and_settle(
    scope: Scope,
    partition: int,
    params: DuplicateParams,
    column: KeyColumn,
    settle: Settle,
    base: int = 0,
) -> GroupOutput:
    """Sort a group of shards' keys; store what `settle` keeps of each piece, and its edges."""
    count = len(scope.batch.shards)
    shards = shards_of(partition, sort_tasks(params, count), count)
    entries = entries_of(scope, column, shards, params.within, params.parts)
    files: dict[str, Path] = {}

    def store(piece: Entries) -> tuple[Int64Array, Int64Array]:
        kept, left, right = settle(piece)
        files[run_name(len(files))] = write_run(kept)
        offset = base << ROW_BITS  # runs count shards from 0, wherever the batch stands
        return left + offset, right + offset

    def edges() -> Iterator[pa.RecordBatch]:
        # No name holds a piece while the next one is sorted.
        try:
            for left, right in map(store, sorted_pieces(entries, scope.memory)):
                yield from edge_batches(left, right)
        except BaseException:  # nobody will ask for the files
            for path in files.values():
                path.unlink()
            raise

    return GroupOutput(pa.RecordBatchReader.from_batches(EDGES, edges()), files)


def match_windows(
    scope: Scope,
    partition: int,
    params: DuplicateParams,
    ends: Callable[[Entries], tuple[Int64Array, Int64Array]],
    memory: int,
) -> GroupOutput:
    """The edges that `ends` finds in each window of a range of keys."""
    low, high = partition_range(partition, params.partitions)

    def edges() -> Iterator[pa.RecordBatch]:
        runs = open_all(scope, params.index)
        for left, right in map(ends, windows(runs, low, high, memory)):
            yield from edge_batches(left, right)

    return GroupOutput(pa.RecordBatchReader.from_batches(EDGES, edges()))


def keep_all(piece: Entries) -> tuple[Entries, Int64Array, Int64Array]:
    """Nothing is settled within a run."""
    none = np.empty(0, np.int64)
    return piece, none, none


def settle_firsts(piece: Entries) -> tuple[Entries, Int64Array, Int64Array]:
    """Of each key the first entry, and edges from it to the others."""
    from services.dedup.kernels.edges import edge_ends

    first = first_of(piece)
    left, right = edge_ends(first, piece.places, 0, False)
    if len(left) == 0:
        return piece, left, right
    return piece.take(first == np.arange(len(first))), left, right


def first_of(entries: Entries) -> Int64Array:
    """For each of sorted entries the position of the first that is equal, often its own."""
    from services.dedup.kernels.edges import firsts

    return firsts(entries.keys, entries.columns.get("check", np.empty(0, np.uint64)))
