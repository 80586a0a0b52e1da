"""A batch: state, progress by stage, funnel, alarms, failures; cancel and retry."""

import logging
from collections import deque
from typing import Any

from fastapi import APIRouter, Request, Response

from services.gateway import batches
from services.gateway.conductor import FINAL_STATES
from services.gateway.models import GatewayDep
from services.gateway.ui import charts
from services.gateway.ui.recent import Looks, LooksDep
from services.gateway.ui.render import PageRoute, go_to, page, path
from shared.logs import read_lines

router = APIRouter(prefix="/batches/{batch_id}", route_class=PageRoute)
#: Log lines that are shown.
LINES = 200


@router.get("")
def batch(request: Request, batch_id: str, looks: LooksDep) -> Response:
    """The whole page."""
    return page(request, "batch.html", **_told(looks, batch_id))


@router.get("/live")
def live(request: Request, batch_id: str, looks: LooksDep) -> Response:
    """What changes while the batch runs."""
    return page(request, "fragments/batch.html", **_told(looks, batch_id))


@router.post("/cancel")
def cancel(batch_id: str, gw: GatewayDep, looks: LooksDep) -> Response:
    """Stop the batch."""
    batches.cancel(batch_id, gw)
    looks.forget(batch_id)
    return go_to(path("batches", batch_id))


@router.post("/retry")
def retry(batch_id: str, gw: GatewayDep, looks: LooksDep) -> Response:
    """Let it go on."""
    batches.retry(batch_id, gw)
    looks.forget(batch_id)
    return go_to(path("batches", batch_id))


@router.get("/logs")
def lines(request: Request, batch_id: str, gw: GatewayDep, looks: LooksDep) -> Response:
    """The last log lines of the batch, workers' and the gateway's."""
    told = looks.batch(batch_id)
    found = read_lines(gw.leases.redis, batch_id, None, logging.INFO)
    ended = told["state"] in FINAL_STATES
    return page(request, "fragments/logs.html", lines=deque(found, LINES), ended=ended)


def _told(looks: Looks, batch_id: str) -> dict[str, Any]:
    told = looks.batch(batch_id)
    return {
        "batch": told,
        "funnel": told["funnel"],
        "chart": charts.sankey(told["funnel"]),
        "ended": told["state"] in FINAL_STATES,
        "published": published(told),
    }


def published(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The recipe's published shares of raw documents; beside `final` what this batch kept."""
    funnel = told["funnel"]
    measured = funnel["kept"] / funnel["documents"] if funnel["documents"] else None
    rates = told["recipe"]["published"] or {}
    return [
        {"name": name, "share": rate, "here": measured if name == "final" else None}
        for name, rate in rates.items()
    ]
