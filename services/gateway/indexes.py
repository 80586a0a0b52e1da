"""`/v1/indexes`: list, look, compact, rebuild, drop a batch or everything."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from services.gateway.models import GatewayDep, Page, PagingDep, page_of
from shared.errors import CorpusmillError, NotFoundError
from shared.indexes.compactions import Compaction, cover, has_failed, is_asked, read_compactions
from shared.indexes.log import DATA, Drop, History, Join, Member, history, names, names_of, read_log
from shared.indexes.members import end_of, ready, rebuilding, run_files, waits
from shared.indexes.rebuilding import ask_compaction, begin_rebuild
from shared.indexes.removal import drop_batch, drop_index
from shared.indexes.sizes import Size, size_of
from shared.store import Store

router = APIRouter(prefix="/v1/indexes", tags=["indexes"])


@router.get("")
def list_indexes(gw: GatewayDep, page: PagingDep) -> Page[dict[str, Any]]:
    """All indexes by name, one entry a step."""
    events = read_log(gw.store)
    chosen, following = page_of(names(events), page)
    waiting = _waiting(gw)
    items = []
    for index in chosen:
        told = describe(gw.store, events, index, waiting)
        told["batches"] = sum(m["state"] != "dropped" for m in told.pop("members"))
        items.append(told)
    return Page(items=items, next=following)


@router.get("/{name}")
def read_index(name: str, gw: GatewayDep) -> dict[str, Any]:
    """An index: for each step its members, sizes and compactions, and who waits for whom."""
    events = read_log(gw.store)
    indexes = names_of(events, name)
    if not indexes:
        raise NotFoundError(f"there is no index {name}")
    waiting = _waiting(gw)
    return {"name": name, "steps": [describe(gw.store, events, i, waiting) for i in indexes]}


@router.post("/{name}/compact", status_code=202)
def compact(name: str, gw: GatewayDep) -> dict[str, Any]:
    """Merge all runs of an index into one set, in the background."""
    return {"name": name, "asked": ask_compaction(gw.store, name)}


@router.post("/{name}/rebuild", status_code=202)
def rebuild(name: str, gw: GatewayDep) -> dict[str, Any]:
    """Throw compactions away, and compute missing runs again from the stored columns."""
    return {"name": name, "tasks": begin_rebuild(gw.store, name)}


@router.delete("/{name}/batches/{batch}")
def remove_batch(name: str, batch: str, gw: GatewayDep) -> dict[str, Any]:
    """Take an ended batch out of an index; its results stay."""
    removed = drop_batch(gw.store, name, batch)
    return {"indexes": removed.indexes, "objects_removed": removed.objects}


@router.delete("/{name}")
def remove(name: str, gw: GatewayDep) -> dict[str, Any]:
    """Take a whole index away; the results of its batches stay."""
    removed = drop_index(gw.store, name)
    return {"indexes": removed.indexes, "objects_removed": removed.objects}


def describe(
    store: Store,
    events: Mapping[int, Join | Drop],
    index: str,
    waiting: Mapping[str, list[dict[str, str]]],
) -> dict[str, Any]:
    """An index of one step for people and programs."""
    told = history(events, index)
    pieces = cover(read_compactions(store, index), told.members)
    merged = [p for p in pieces if isinstance(p, Compaction)]
    alone = [p for p in pieces if isinstance(p, Member)]
    is_ready = {m.ordinal: ready(store, index, m) for m in told.members}
    own = size_of(
        store, [k for m in alone if is_ready[m.ordinal] for k in run_files(store, index, m)]
    )
    name, _, step = index.rpartition("/")
    size = Size(own.entries + sum(c.entries for c in merged), own.bytes + _bytes(merged))
    return {
        "name": name,
        "step": step,
        "kind": told.kind,
        "entries": size.entries,
        "bytes": size.bytes,
        "stored_bytes": _stored(store, index),
        "compactions": [
            {"level": c.level, "batches": len(c.members), "entries": c.entries, "bytes": c.bytes}
            for c in merged
        ],
        "uncompacted": len(alone),
        "waiting": waiting.get(index, []),
        "compaction": _progress(store, index),
        "members": _members(store, told, is_ready),
    }


def _members(store: Store, told: History, is_ready: dict[int, bool]) -> list[dict[str, Any]]:
    """Members in order, dropped ones too."""
    live = {m.ordinal for m in told.members}
    return [
        {
            "batch": m.batch,
            "ordinal": m.ordinal,
            "state": (end_of(store, m.batch) or "running") if m.ordinal in live else "dropped",
            "ready": is_ready.get(m.ordinal, False),
            "shards": m.shards,
            "joined": m.time.isoformat(),
        }
        for m in sorted((*told.members, *told.dropped), key=lambda m: m.ordinal)
    ]


def _progress(store: Store, index: str) -> str:
    """What goes on in the background."""
    if rebuilding(store, index):
        return "rebuilding"
    if has_failed(store, index):
        return f"failed: {store.get_json(f'{DATA}{index}/failed.json')['error']}"
    return "asked" if is_asked(store, index) else "idle"


def _bytes(compactions: list[Compaction]) -> int:
    return sum(c.bytes for c in compactions)


def _stored(store: Store, index: str) -> int:
    """Bytes of everything that was ever compacted and is not cleared away."""
    return sum(e.size for e in store.list(f"{DATA}{index}/runs/"))


def _waiting(gw: GatewayDep) -> dict[str, list[dict[str, str]]]:
    """By index the batches that wait, and for whom."""
    found: dict[str, list[dict[str, str]]] = {}
    for batch in gw.catalog.active():
        try:
            view = gw.catalog.view(batch)
        except (CorpusmillError, ValueError):  # deleted now, or of steps that are gone
            continue
        gw.catalog.refresh(view)
        for wait in waits(gw.store, view.pipeline, view.funnel.committed()):
            found.setdefault(wait.index, []).append({"batch": batch, "for": wait.batch})
    return found
