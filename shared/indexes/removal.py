"""Takes batches out of indexes, and indexes away.

A batch that was dropped is not seen by batches that join later. What earlier results say of it
stays: later batches that dropped a document for one of its own are not computed again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.columns import committed_units, read_receipt
from shared.errors import ConflictError, NotFoundError
from shared.indexes.log import DATA, Drop, Join, Member, append, history, names_of, read_log
from shared.indexes.members import end_of, member_pipeline, ready, run_stages, unfinished
from shared.store import Store


@dataclass(frozen=True)
class Removed:
    """What was taken away."""

    indexes: tuple[str, ...]
    objects: int


def drop_batch(store: Store, name: str, batch: str) -> Removed:
    """Take an ended batch out of an index, and its runs away.

    NotFoundError where it has not joined; ConflictError while it, or one that reads it, goes on.
    """
    events = read_log(store)
    mine = [i for i in names_of(events, name) if _member(events, i, batch) is not None]
    if not mine:
        raise NotFoundError(f"batch {batch} is not in the index {name}")
    return drop_from(store, mine, batch)


def drop_everywhere(store: Store, batch: str) -> Removed:
    """Take a batch out of all indexes that it has joined."""
    events = read_log(store)
    joined = {i for e in events.values() if isinstance(e, Join) for i in e.indexes}
    return drop_from(store, sorted(i for i in joined if _member(events, i, batch)), batch)


def drop_from(store: Store, indexes: list[str], batch: str) -> Removed:
    """Take a batch out of some indexes; again does no harm."""
    events = read_log(store)
    for index in indexes:
        _check(store, events, index, batch)
    objects = 0
    for index in indexes:

        def make(events: Mapping[int, Join | Drop], index: str = index) -> Drop | None:
            return _check(store, events, index, batch)

        append(store, make)
        member = _member(events, index, batch)
        if member is not None:
            objects += _remove_runs(store, index, member)
    return Removed(tuple(indexes), objects)


def drop_index(store: Store, name: str) -> Removed:
    """Take an index away, all members' runs included; its batches' results stay."""
    events = read_log(store)
    indexes = names_of(events, name)
    if not indexes:
        raise NotFoundError(f"there is no index {name}")
    for index in indexes:
        _check_idle(store, events, index)
    objects = 0
    for index in indexes:
        members = history(events, index).members

        def make(events: Mapping[int, Join | Drop], index: str = index) -> Drop | None:
            _check_idle(store, events, index)
            return Drop(index=index, time=datetime.now(UTC))

        append(store, make)
        objects += sum(_remove_runs(store, index, member) for member in members)
        for entry in list(store.list(f"{DATA}{index}/")):
            store.delete(entry.key)
            objects += 1
    return Removed(tuple(indexes), objects)


def _member(events: Mapping[int, Join | Drop], index: str, batch: str) -> Member | None:
    """A batch in an index, dropped or not."""
    told = history(events, index)
    return next((m for m in (*told.members, *told.dropped) if m.batch == batch), None)


def _check(store: Store, events: Mapping[int, Join | Drop], index: str, batch: str) -> Drop | None:
    """The entry that drops a batch; None where it is dropped; ConflictError where it may not be."""
    member = next((m for m in history(events, index).members if m.batch == batch), None)
    if member is None:
        return None
    if end_of(store, batch) is None:
        raise ConflictError(f"batch {batch} has not ended; cancel it first")
    readable = ready(store, index, member)
    later = [m.batch for m in unfinished(store, events, index) if m.ordinal > member.ordinal]
    if readable and later:
        raise ConflictError(
            f"batch {', '.join(later)} reads batch {batch} in the index {index}; "
            "let it end, or cancel it"
        )
    return Drop(index=index, batch=batch, readable=readable, time=datetime.now(UTC))


def _check_idle(store: Store, events: Mapping[int, Join | Drop], index: str) -> None:
    going = unfinished(store, events, index)
    if going:
        names = ", ".join(m.batch for m in going)
        raise ConflictError(f"batch {names} has joined the index {index} and has not ended")


def _remove_runs(store: Store, index: str, member: Member) -> int:
    """Remove a member's runs.

    Receipts stay with a finished batch, as part of its accounts; without them another one sorts
    again when it is retried.
    """
    try:
        pipeline = member_pipeline(store, member.batch)
    except NotFoundError:  # deleted, with all that it had
        return 0
    keep_receipts = end_of(store, member.batch) == "finished"
    removed = 0
    for stage in run_stages(store, index, member):
        for unit in sorted(committed_units(store, stage.folder) & set(pipeline.units(stage))):
            receipt = read_receipt(store, stage.folder, unit) or {"files": {}}
            if not keep_receipts:
                store.delete(f"{stage.folder}{unit}.json")
            for key in receipt["files"].values():
                store.delete(key)
                removed += 1
    return removed
