"""`/v1/queues`, health and metrics: what waits, what runs, who works, and how long it takes."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.gateway.models import GatewayDep
from services.gateway.observe import registry, why_not_ready
from services.gateway.problems import problem
from shared.errors import NotFoundError, TransientError

router = APIRouter(tags=["cluster"])


@router.get("/v1/queues")
def queues(gw: GatewayDep) -> dict[str, Any]:
    """Every service's queue.

    `depth` messages wait in it. Of the tasks that are not done, `in_flight` are with workers,
    `ready` could run now (sent or not), `blocked` wait for an earlier stage or batch; `backlog` is
    all of them. `backlog_seconds` is the work in the ready ones for one worker, `eta_seconds` for
    the workers that are there.
    """
    return {"items": gw.figures.queues()}


@router.get("/v1/queues/{queue}")
def read_queue(
    queue: str,
    gw: GatewayDep,
    target_seconds: Annotated[
        float | None, Query(gt=0, description="seconds of backlog that a worker should have")
    ] = None,
) -> dict[str, Any]:
    """One service's queue; with `target_seconds`, also how many workers it should have.

    `workers_wanted` = `in_flight` + `backlog_seconds` / `target_seconds`: what runs keeps its
    worker, and each `target_seconds` of work bring one more. Refused while the figures are old.
    """
    entry = next((e for e in gw.figures.queues() if e["queue"] == queue), None)
    if entry is None:
        raise NotFoundError(f"no queue {queue}")
    if target_seconds is None:
        return entry
    if gw.figures.snapshot().stale:
        raise TransientError("no conductor has looked at the batches for long")
    wanted = entry["in_flight"] + entry["backlog_seconds"] / target_seconds
    return {**entry, "workers_wanted": round(wanted, 3)}


@router.get("/metrics", include_in_schema=False)
def metrics(gw: GatewayDep) -> Response:
    """Prometheus metrics."""
    return Response(generate_latest(registry(gw)), media_type=CONTENT_TYPE_LATEST)


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=None)
def readyz(gw: GatewayDep) -> Any:
    """Queue and store answer."""
    reason = why_not_ready(gw)
    if reason is not None:
        return problem(503, "Not ready", reason)
    return {"status": "ready"}
