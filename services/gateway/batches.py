"""`/v1/batches`: submit, list, status, cancel, retry, delete."""

import hashlib
import logging
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from services.gateway.alarms import alarms
from services.gateway.catalog import RECENT_SECONDS, BatchView
from services.gateway.conductor import FINAL_STATES, batch_state
from services.gateway.limits import check_recipe
from services.gateway.models import BatchRequest, GatewayDep, Page, PagingDep, page_of
from services.gateway.state import Gateway
from shared.errors import ConflictError, NotFoundError, UsageError
from shared.indexes import joining
from shared.indexes.members import waits
from shared.recipe import digest, load_recipe, override_recipe, pin_resources
from shared.shards import Batch, Source, unique_names
from shared.store import Store, open_folder, open_source, to_json
from shared.telemetry import log_context
from shared.tracing import batch_span

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/batches", tags=["batches"])
#: Sources are looked up side by side, since each is a round trip to an object store.
LOOKUPS = 32
#: Of one batch, after folders are listed.
MOST_SOURCES = 1_000_000


@router.post("", status_code=201)
def submit(
    request: BatchRequest,
    gw: GatewayDep,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=256)] = None,
) -> dict[str, Any]:
    """Submit a batch. Everything is checked before anything runs.

    With an Idempotency-Key, repeating the request returns the batch that it made the first time.
    """
    batch_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    if idempotency_key is not None:
        batch_id, known = _claim(gw.store, idempotency_key, request, batch_id)
        if known:
            response.status_code = 200
            return describe(gw, gw.catalog.view(batch_id))
    with log_context(batch=batch_id), batch_span(batch_id) as span:
        batch = build_batch(gw, request, batch_id)
        joining.submit(gw.store, batch)
        gw.catalog.changed()
        span.set(recipe=batch.recipe.name, shards=len(batch.shards))
        log.info("submitted: %d sources, %d shards", len(batch.sources), len(batch.shards))
    return describe(gw, gw.catalog.view(batch_id))


def _claim(store: Store, key: str, request: BatchRequest, batch_id: str) -> tuple[str, bool]:
    """The batch id that belongs to an idempotency key, and whether that batch is there."""
    name = f"idempotency/{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    body = digest(request.model_dump(mode="json"))
    if store.put_if_absent(name, to_json({"batch": batch_id, "request": body})):
        return batch_id, False
    record = store.get_json(name)
    if record["request"] != body:
        raise ConflictError("the Idempotency-Key was used before, with another request")
    return record["batch"], store.exists(f"batches/{record['batch']}/batch.json")


def build_batch(gw: Gateway, request: BatchRequest, batch_id: str) -> Batch:
    """A validated batch; UsageError names the field at fault."""
    check_recipe(request.recipe)
    recipe = load_recipe(request.recipe)
    if request.overrides:
        recipe = override_recipe(recipe, request.overrides)
    return Batch(
        id=batch_id,
        recipe=pin_resources(recipe, gw.store),
        sources=tuple(_sources(gw, request.sources)),
        shard_bytes=request.shard_bytes or gw.conf.shard_bytes,
        submitter=request.submitter,
        created=datetime.now(UTC),
        labels=request.labels,
    )


def _sources(gw: Gateway, uris: list[str]) -> list[Source]:
    """Look every source up: size and etag are part of what it is."""
    expanded: list[tuple[int, str]] = []
    for position, uri in enumerate(uris):
        expanded += [(position, u) for u in _expand(gw.store, uri, position)]
        if len(expanded) > MOST_SOURCES:
            raise UsageError(f"sources: more than {MOST_SOURCES}; split the batch", field="sources")
    names = [uri for _, uri in expanded]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"sources: {min(twice)} is named twice", field="sources")

    def look(item: tuple[tuple[int, str], str]) -> Source:
        (position, uri), name = item
        try:
            where, key = open_source(gw.store, uri)
            stat = where.stat(key)
        except NotFoundError as error:
            raise _at(position, f"there is no {uri}") from error
        except UsageError as error:
            raise _at(position, str(error)) from error
        if stat.size > gw.conf.source_bytes:
            limit = gw.conf.source_bytes
            raise _at(position, f"{uri} has {stat.size} bytes; a source has {limit} at most")
        return Source(uri=uri, name=name, size=stat.size, etag=stat.etag)

    with ThreadPoolExecutor(LOOKUPS) as pool:
        return list(pool.map(look, zip(expanded, unique_names(names), strict=True)))


def _at(position: int, what: str) -> UsageError:
    field = f"sources.{position}"
    return UsageError(f"{field}: {what}", field=field)


def _expand(store: Store, uri: str, position: int) -> list[str]:
    """A URI that ends with a slash stands for all objects below it."""
    if not uri.endswith("/"):
        return [uri.removeprefix("file://")]
    try:
        where, prefix, begin = open_folder(store, uri)
    except UsageError as error:
        raise _at(position, str(error)) from error
    found = [begin + e.key for e in where.list(prefix)]
    if not found:
        raise _at(position, f"nothing below {uri}")
    return found


@router.get("")
def list_batches(gw: GatewayDep, page: PagingDep) -> Page[dict[str, Any]]:
    """Batches, oldest first."""
    survey = gw.catalog.survey(RECENT_SECONDS)
    ids, following = page_of(survey.ids, page)
    items = [gw.catalog.summary(i) | {"state": gw.catalog.state(i, survey)} for i in ids]
    return Page(items=items, next=following)


@router.get("/{batch_id}")
def status(batch_id: str, gw: GatewayDep) -> dict[str, Any]:
    """State, progress by stage, funnel, estimated time left, failures."""
    return describe(gw, gw.catalog.view(batch_id))


@router.post("/{batch_id}/cancel", status_code=202)
def cancel(batch_id: str, gw: GatewayDep) -> dict[str, Any]:
    """Stop a batch: running tasks end, nothing more is sent. What is committed stays."""
    gw.catalog.cancel(batch_id)
    return describe(gw, gw.catalog.view(batch_id))


@router.post("/{batch_id}/retry", status_code=202)
def retry(batch_id: str, gw: GatewayDep) -> dict[str, Any]:
    """Let a failed or cancelled batch go on from what is committed."""
    gw.catalog.retry(batch_id)
    return describe(gw, gw.catalog.view(batch_id))


@router.delete("/{batch_id}")
def delete(batch_id: str, gw: GatewayDep) -> dict[str, int]:
    """Remove an ended batch, its datasets, and all columns that no other batch shares."""
    return {"objects_removed": gw.catalog.delete(batch_id)}


def describe(gw: Gateway, view: BatchView) -> dict[str, Any]:
    """A batch for people and programs."""
    gw.catalog.refresh(view)
    batch = view.batch
    totals = view.funnel.stages.values()
    done, tasks = sum(len(t.done) for t in totals), sum(t.tasks for t in totals)
    state = batch_state(gw.catalog, view)
    return {
        "id": batch.id,
        "state": state,
        "recipe": {
            "name": batch.recipe.name,
            "hash": batch.recipe.hash,
            "source": batch.recipe.source,
            "published": batch.recipe.published,
        },
        "created": batch.created.isoformat(),
        "submitter": batch.submitter,
        "labels": batch.labels,
        "sources": len(batch.sources),
        "source_bytes": sum(s.size for s in batch.sources),
        "shards": len(batch.shards),
        "progress": {"tasks": tasks, "done": done, "fraction": round(done / tasks, 4)},
        "eta_seconds": _eta(batch, done, tasks, state),
        "funnel": view.funnel.to_dict(view.pipeline),
        "alarms": alarms(view.pipeline, view.funnel.stages, ended=state in FINAL_STATES),
        "waits": _waits(gw, view) if state not in FINAL_STATES else [],
        "failures": gw.catalog.failures(batch.id),
        "datasets": [
            d for d in view.pipeline.datasets if gw.store.exists(f"datasets/{d}/manifest.json")
        ],
    }


def _waits(gw: Gateway, view: BatchView) -> list[dict[str, Any]]:
    """The earlier batches of indexes that the batch's next stage waits for, and their state."""
    return [
        {
            "stage": view.pipeline.stages[wait.stage].name,
            "index": wait.index,
            "batch": wait.batch,
            "state": _state_of(gw, wait.batch),
        }
        for wait in waits(gw.store, view.pipeline, view.funnel.committed())
    ]


def _state_of(gw: Gateway, batch: str) -> str:
    try:
        return batch_state(gw.catalog, gw.catalog.view(batch))
    except NotFoundError:  # it is being submitted
        return "queued"


def _eta(batch: Batch, done: int, tasks: int, state: str) -> float | None:
    """Time left if tasks go on ending as fast as since the submission; None where unknown."""
    if state in FINAL_STATES:
        return 0.0
    elapsed = time.time() - batch.created.timestamp()
    return round(elapsed / done * (tasks - done), 1) if done else None
