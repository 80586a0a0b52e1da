"""Sorted runs as tasks: sort groups of shards, merge groups of runs, open them for matching.

    sort     one task a group of shards: entries sorted in pieces that fit memory, a run each
    merge    only where there are many sort tasks: one run of the runs of a group of them
    match    (the step's own) one task a range of keys: windows over all runs

Runs hold keys in order and, of equal keys, places in order. A piece may be thinned before it is
stored: where matching needs only the first entry of each key, a run holds no more than that.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from services.dedup.index.run import (
    Entries,
    Run,
    RunWriter,
    concatenate,
    open_runs,
    sort_entries,
    windows,
    write_run,
)
from shared.ranges import ObjectReader
from shared.scope import Scope
from shared.step import GroupOutput, Params

#: Tasks that a batch's shards are sorted in, at most.
MOST_SORT_TASKS = 1024
#: More sort tasks than these are followed by merges, of as many of them each: matching opens the
#: runs of at most so many tasks (1,024 = 32 x 32), each in a few requests a window.
MERGE_FROM = 32
#: Bytes that an entry takes while a piece is sorted: key and place, their sorted copies, the order
#: and its room (8 each), and what is picked of them.
SORT_ENTRY_BYTES = 64
#: Entries of a piece, where memory allows: it does from the least setting of `dedup_memory` on, so
#: that runs, and which pairs of equal documents are edges, do not depend on the setting.
PIECE_ENTRIES = 2**21


def sort_tasks(_params: Params, shards: int) -> int:
    """Tasks of a sort phase."""
    return min(shards, MOST_SORT_TASKS)


def merge_tasks(params: Params, shards: int) -> int:
    """Tasks of a merge phase; none where matching may open what is sorted."""
    sorts = sort_tasks(params, shards)
    return 0 if sorts <= MERGE_FROM else -(-sorts // MERGE_FROM)


def shards_of(partition: int, units: int, shards: int) -> range:
    """The shards of one of `units` tasks: neighbours, and as many for each, give or take one."""
    return range(partition * shards // units, (partition + 1) * shards // units)


def run_name(number: int) -> str:
    """The file name of a phase's run."""
    return f"run-{number:05d}.run"


def sorted_pieces(parts: Iterable[Entries], memory: int) -> Iterator[Entries]:
    """Entries in the order of their places, sorted in pieces that take `memory` bytes at most."""
    waiting: list[Entries] = []
    count = 0
    for part in parts:
        fitting = memory // (SORT_ENTRY_BYTES + 3 * _column_bytes(part))
        room = max(1, min(PIECE_ENTRIES, fitting))
        at = 0
        while at < len(part):
            end = min(len(part), at + room - count)
            waiting.append(part.take(slice(at, end)))
            count, at = count + end - at, end
            if count == room:
                yield _sorted(waiting)
                count = 0
    if count:
        yield _sorted(waiting)


def _sorted(waiting: list[Entries]) -> Entries:
    """All that waits, sorted; nothing waits any more, so that it is not held beside that."""
    joined = concatenate(waiting)
    waiting.clear()
    return sort_entries(joined)


def _column_bytes(entries: Entries) -> int:
    """Bytes that an entry's further columns take."""
    return sum(c.itemsize * int(np.prod(c.shape[1:])) for c in entries.columns.values())


def write_runs(pieces: Iterable[Entries]) -> dict[str, bytes | Path]:
    """A run of each sorted piece that holds entries: the files of a phase."""
    files: dict[str, bytes | Path] = {}
    for piece in pieces:
        if len(piece):
            files[run_name(len(files))] = write_run(piece)
    return files


def merge(scope: Scope, partition: int, params: Params, *, phase: str = "sort") -> GroupOutput:
    """One run of the runs of a group of sort tasks."""
    import pyarrow as pa

    units = merge_tasks(params, len(scope.batch.shards))
    tasks = shards_of(partition, units, scope.units(phase))
    runs = [Run(reader) for reader in _files(scope, phase, tasks)]
    writer = RunWriter()
    for window in windows(runs, 0, 2**64, scope.memory):
        writer.append(window)
        del window  # not held while the next is made
    return GroupOutput(pa.table({}), {run_name(0): writer.finish()})


def open_all(scope: Scope, index: str | None = None, *, phase: str = "sort") -> list[Run]:
    """The runs that matching reads: of the index's earlier batches, then this batch's own.

    Places are those of the index, or those of the batch where there is none.
    """
    view = scope.index(index) if index is not None else None
    earlier = open_runs(view.runs()) if view else []
    last = "merge" if scope.units("merge") else phase
    own = _files(scope, last, range(scope.units(last)))
    return earlier + [Run(reader, view.base if view else 0) for reader in own]


def _files(scope: Scope, phase: str, tasks: range) -> Iterator[ObjectReader]:
    """All files of some tasks of a phase, in order."""
    for task in tasks:
        for name in scope.files(phase, task):
            yield scope.opened(phase, name, task)
