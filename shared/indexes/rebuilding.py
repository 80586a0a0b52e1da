"""Computes an index again: compactions from runs, and missing runs from the stored columns."""

from datetime import UTC, datetime
from typing import Any

from shared.columns import committed_units, read_receipt
from shared.errors import ConflictError, NotFoundError
from shared.indexes.log import DATA, history, names_of, read_log
from shared.indexes.members import (
    has_finished,
    member_pipeline,
    run_stages,
    unfinished,
)
from shared.ref import TaskRef
from shared.store import Store


def ask_compaction(store: Store, name: str) -> list[str]:
    """Ask for one compaction of everything in an index; NotFoundError where there is none."""
    indexes = _known(store, name)
    for index in indexes:
        store.delete(f"{DATA}{index}/failed.json")
        _mark(store, index, "compact")
    return indexes


def begin_rebuild(store: Store, name: str) -> dict[str, int]:
    """Throw an index's compactions away, and find which runs are to be computed again.

    ConflictError while a batch that has joined goes on. Returns tasks by index.
    """
    indexes = _known(store, name)
    events = read_log(store)
    for index in indexes:
        going = unfinished(store, events, index)
        if going:
            names = ", ".join(m.batch for m in going)
            raise ConflictError(f"batch {names} has joined the index {index} and has not ended")
    tasks = {}
    for index in indexes:
        _mark(store, index, "rebuild")  # first, so that nobody relies on what is missing
        store.delete(f"{DATA}{index}/failed.json")
        for folder in ("compactions/", "runs/"):
            for entry in list(store.list(f"{DATA}{index}/{folder}")):
                store.delete(entry.key)
        _forget_lost(store, index)
        missing = missing_tasks(store, index)
        for _, ref in missing:
            store.delete(ref.failed_key)
        tasks[index] = len(missing)
    return tasks


def missing_tasks(store: Store, index: str) -> list[tuple[str, TaskRef]]:
    """What is to be computed before an index is whole, with the services that do it.

    Merges follow when everything is sorted. Members that have not finished bring their own.
    """
    tasks = []
    for member in history(read_log(store), index).members:
        if not has_finished(store, member.batch):
            continue
        pipeline = member_pipeline(store, member.batch)
        for stage in run_stages(store, index, member):
            left = set(pipeline.units(stage)) - committed_units(store, stage.folder)
            refs = [TaskRef(batch=member.batch, stage=stage.index, unit=u) for u in sorted(left)]
            tasks += [(stage.service, ref) for ref in refs]
            if left:
                break
    return tasks


def end_rebuild(store: Store, index: str) -> None:
    """Nothing is missing any more."""
    store.delete(f"{DATA}{index}/rebuild.json")


def _forget_lost(store: Store, index: str) -> None:
    """Remove the receipts of tasks whose runs are gone."""
    for member in history(read_log(store), index).members:
        pipeline = member_pipeline(store, member.batch)
        for stage in run_stages(store, index, member):
            for unit in committed_units(store, stage.folder) & set(pipeline.units(stage)):
                receipt = read_receipt(store, stage.folder, unit) or {"files": {}}
                if not all(store.exists(key) for key in receipt["files"].values()):
                    store.delete(f"{stage.folder}{unit}.json")


def _mark(store: Store, index: str, what: str) -> None:
    told: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="seconds")}
    store.put_json(f"{DATA}{index}/{what}.json", told)


def _known(store: Store, name: str) -> list[str]:
    indexes = names_of(read_log(store), name)
    if not indexes:
        raise NotFoundError(f"there is no index {name}")
    return indexes
