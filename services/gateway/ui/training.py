"""Datasets and training runs."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.gateway import runs
from services.gateway.models import GatewayDep, Paging
from services.gateway.state import Gateway
from services.gateway.ui import charts
from services.gateway.ui.render import PageRoute, go_to, page, path
from shared.training_run import ENDS, run_state

router = APIRouter(route_class=PageRoute)
#: Entries on a page.
ENTRIES = 30
#: Parts of a run's description that have their place on the page; anything else is shown as it is.
KNOWN = {
    *("id", "state", "step", "steps", "tokens", "masked", "loss", "tokens_per_second", "error"),
    *("checkpoints", "spec", "metrics", "sample", "final"),
}


@router.get("/runs")
def list_runs(request: Request, gw: GatewayDep, before: str | None = None) -> Response:
    """Training runs, newest first."""
    ids = [r for r in runs.run_ids(gw.store) if before is None or r < before]
    shown = ids[: -ENTRIES - 1 : -1]
    items = [run_state(gw.store, name).model_dump(mode="json") for name in shown]
    older = shown[-1] if len(ids) > len(shown) else None
    return page(request, "runs.html", runs=items, older=older)


@router.get("/runs/{run}")
def run(request: Request, run: str, gw: GatewayDep) -> Response:
    """A run."""
    return page(request, "run.html", **_told(gw, run))


@router.get("/runs/{run}/live")
def live(request: Request, run: str, gw: GatewayDep) -> Response:
    """What changes while it trains."""
    return page(request, "fragments/run.html", **_told(gw, run))


@router.post("/runs/{run}/cancel")
def cancel(run: str, gw: GatewayDep) -> Response:
    """Stop the run."""
    runs.cancel(run, gw)
    return go_to(path("runs", run))


def _told(gw: Gateway, run: str) -> dict[str, Any]:
    told = runs.describe(gw.store, run)
    return {
        "run": told,
        "ended": told["state"] in ENDS,
        "loss": charts.loss_curve(told["metrics"]),
        "throughput": charts.throughput_curve(told["metrics"]),
        "more": {k: v for k, v in told.items() if k not in KNOWN and v},
    }


@router.get("/datasets")
def list_datasets(request: Request, gw: GatewayDep, cursor: str | None = None) -> Response:
    """Committed datasets."""
    found = runs.list_datasets(gw, Paging(cursor=cursor, limit=ENTRIES))
    return page(request, "datasets.html", datasets=found.items, following=found.next)


@router.get("/datasets/{dataset}")
def dataset(request: Request, dataset: str, gw: GatewayDep) -> Response:
    """A dataset's manifest."""
    return page(request, "dataset.html", dataset=runs.read_dataset(dataset, gw))
