"""Merges runs of an index in the background: the job of the dedup service.

A merge is cut into parts, ranges of keys that hold about `PART_ENTRIES` each, so that a job ends
within its time slice and goes on where it was: a part that is there is not written again. The
compaction counts once its description is there; killed before, it begins with the parts that are.
"""

import time
from datetime import UTC, datetime

from services.dedup.index.run import Run, RunWriter, open_runs, partition_range, windows
from shared.indexes.compactions import (
    Compaction,
    Merge,
    compaction_id,
    compaction_key,
    due,
    garbage,
    grace,
    is_asked,
    piece_runs,
    remove,
)
from shared.indexes.log import DATA
from shared.indexes.members import rebuilding
from shared.ranges import open_object
from shared.settings import settings
from shared.store import Store, to_json

#: Entries a part: 0.9 GB of 14 bytes each, and about 10 s of one core.
PART_ENTRIES = 2**26


def advance(store: Store, index: str, slice_seconds: float) -> None:
    """Merge what is due for about `slice_seconds`, then clear away what nobody reads."""
    deadline = time.monotonic() + slice_seconds
    if rebuilding(store, index):
        return
    everything = is_asked(store, index)
    while (merge := due(store, index, settings().index_fanout, everything=everything)) is not None:
        if not compact(store, index, merge, deadline):
            return
    if everything:
        store.delete(f"{DATA}{index}/compact.json")
    remove(store, index, garbage(store, index, grace(settings())))


def compact(
    store: Store, index: str, merge: Merge, deadline: float, part_entries: int = PART_ENTRIES
) -> bool:
    """Write a compaction; False where time ran out before all of its parts were there."""
    ordinals = tuple(m.ordinal for m in merge.members)
    name = compaction_id(ordinals)
    runs = open_runs(piece_runs(store, index, merge.pieces, merge.members))
    parts = max(1, -(-sum(run.entries for run in runs) // part_entries))
    keys = [f"{DATA}{index}/runs/{name}/p{p:05d}-of-{parts:05d}.run" for p in range(parts)]
    for part, key in enumerate(keys):
        if store.exists(key):
            continue
        if time.monotonic() > deadline:
            return False
        _write_part(store, key, runs, partition_range(part, parts))
    compaction = Compaction(
        first=ordinals[0],
        last=ordinals[-1],
        level=merge.level,
        members=ordinals,
        numbers={m.ordinal: (m.numbers.start, m.numbers.stop) for m in merge.members},
        runs=tuple(keys),
        entries=sum(_entries(store, key) for key in keys),
        bytes=sum(store.stat(key).size for key in keys),
        created=datetime.now(UTC),
    )
    record = to_json(compaction.model_dump(mode="json"))
    store.put_if_absent(compaction_key(index, name), record)
    return True


def _write_part(store: Store, key: str, runs: list[Run], keys: tuple[int, int]) -> None:
    writer = RunWriter()
    for window in windows(runs, *keys, settings().dedup_memory):
        writer.append(window)
    path = writer.finish()
    try:
        store.upload(path, key)
    finally:
        path.unlink()


def _entries(store: Store, key: str) -> int:
    return Run(open_object(store, key)).entries
