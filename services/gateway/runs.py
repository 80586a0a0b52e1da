"""`/v1/datasets` and `/v1/runs`: what was exported, and the models trained on it."""

import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import ValidationError

from services.gateway.models import GatewayDep, Page, PagingDep, page_of, parse_position
from services.gateway.trace import archive_place, batch_of_dataset
from shared.dataset import read_manifest
from shared.errors import NotFoundError, UsageError
from shared.recipe import usage_error
from shared.run_cluster import read_cluster
from shared.store import Store
from shared.training_run import (
    RunSpec,
    cancel_run,
    documents_of_step,
    read_metrics,
    read_spec,
    run_key,
    run_state,
    steps_of_document,
    submit_run,
)

router = APIRouter(prefix="/v1", tags=["datasets and runs"])
#: Lines of metrics in a run's description; the whole file lies in the store.
METRIC_LINES = 2000


@router.get("/datasets")
def list_datasets(gw: GatewayDep, page: PagingDep) -> Page[dict[str, Any]]:
    """Committed datasets."""
    ids = sorted(
        e.key.split("/")[1] for e in gw.store.list("datasets/") if e.key.endswith("/manifest.json")
    )
    names, following = page_of(ids, page)
    items = []
    for name in names:
        manifest = read_manifest(gw.store, name)
        items.append(
            {
                "id": name,
                "recipe": manifest.recipe.name,
                "totals": manifest.totals.model_dump(),
                "sequence_length": manifest.sequence_length,
                "licence": manifest.licence,
            }
        )
    return Page(items=items, next=following)


@router.get("/datasets/{dataset}")
def read_dataset(dataset: str, gw: GatewayDep) -> dict[str, Any]:
    """A dataset's manifest: recipe, tokenizer, token shards, hashes, funnel."""
    return read_manifest(gw.store, dataset).model_dump(mode="json")


@router.post("/runs", status_code=201)
def submit(request: Annotated[dict[str, Any], Body()], gw: GatewayDep) -> dict[str, Any]:
    """Train a model on a dataset: the fields of a run's specification but its id."""
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    if "id" in request:
        raise UsageError("id: a run's id is given by the gateway", field="id")
    try:
        spec = RunSpec.model_validate({**request, "id": run_id})
    except ValidationError as error:
        raise usage_error(error, "") from error
    if spec.nodes > 1 and gw.conf.training_backend == "local":
        raise UsageError("nodes: this cluster trains on one machine a run", field="nodes")
    read_manifest(gw.store, spec.dataset)
    submit_run(gw.store, spec)
    return describe(gw.store, run_id)


@router.get("/runs")
def list_runs(gw: GatewayDep, page: PagingDep) -> Page[dict[str, Any]]:
    """Runs, oldest first."""
    names, following = page_of(run_ids(gw.store), page)
    items = [run_state(gw.store, name).model_dump(mode="json") for name in names]
    return Page(items=items, next=following)


def run_ids(store: Store) -> list[str]:
    """Ids of all runs; they begin with their time, so newest last."""
    return sorted(e.key.split("/")[1] for e in store.list("runs/") if e.key.endswith("/run.json"))


@router.get("/runs/{run}")
def read_run(run: str, gw: GatewayDep) -> dict[str, Any]:
    """State, specification, metrics, checkpoints, the generated sample; pods, events, logs."""
    return describe(gw.store, run)


def describe(store: Store, run: str) -> dict[str, Any]:
    """A run for people and programs."""
    state = run_state(store, run)
    told = state.model_dump(mode="json")
    told["spec"] = read_spec(store, run).model_dump(mode="json")
    cluster = read_cluster(store, run)
    told["cluster"] = cluster and cluster.model_dump(mode="json")
    told["metrics"] = read_metrics(store, run)[-METRIC_LINES:]
    told["sample"] = None
    if state.state == "finished":
        end = store.get_json(run_key(run, "finished.json"))
        told["final"] = end
        told["sample"] = end["sample"]
    return told


@router.post("/runs/{run}/cancel", status_code=202)
def cancel(run: str, gw: GatewayDep) -> dict[str, Any]:
    """Stop a run; its committed checkpoints stay."""
    cancel_run(gw.store, run)
    return describe(gw.store, run)


@router.get("/runs/{run}/steps/{step}/documents")
def step_documents(run: str, step: int, gw: GatewayDep, page: PagingDep) -> Page[dict[str, Any]]:
    """What a training step saw: documents with token spans, archive and offset."""
    seen = documents_of_step(gw.store, run, step)
    pipeline = batch_of_dataset(gw.catalog, read_spec(gw.store, run).dataset)
    start, _ = parse_position(page.cursor and f"{page.cursor}.0")
    chosen = seen[start : start + page.limit]
    following = str(start + page.limit) if start + page.limit < len(seen) else None
    items = [{**item, **archive_place(pipeline, item["document"])} for item in chosen]
    return Page(items=items, next=following)


@router.get("/trace/documents")
def document_steps(
    gw: GatewayDep,
    page: PagingDep,
    batch: Annotated[str, Query(description="the batch that read the document")],
    document: Annotated[str, Query(description="archive:offset")],
) -> Page[dict[str, Any]]:
    """Which training steps saw a document, by run: all runs on the batch's datasets."""
    datasets = set(gw.catalog.view(batch).pipeline.datasets)
    names, following = page_of(run_ids(gw.store), page)
    items = []
    for run in names:
        if read_spec(gw.store, run).dataset not in datasets:
            continue
        try:
            seen = steps_of_document(gw.store, run, document)
        except NotFoundError:  # dropped before the export, or the order is not recorded yet
            continue
        items.append({"run": run, "steps": sorted({s["step"] for s in seen}), "spans": seen})
    return Page(items=items, next=following)
