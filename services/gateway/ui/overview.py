"""The overview: every queue live, and batches, newest first."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.gateway.ui import charts
from services.gateway.ui.recent import Looks, LooksDep
from services.gateway.ui.render import PageRoute, page
from shared.errors import NotFoundError

router = APIRouter(route_class=PageRoute)
#: Batches on a page.
BATCHES = 15


@router.get("/")
def overview(request: Request, looks: LooksDep, before: str | None = None) -> Response:
    """Queues and batches."""
    told = {"queues": queue_rows(looks), "totals": totals(looks), **newest(looks, before)}
    return page(request, "overview.html", **told)


@router.get("/fragments/queues")
def queues_fragment(request: Request, looks: LooksDep) -> Response:
    """The queues alone."""
    return page(request, "fragments/queues.html", queues=queue_rows(looks), totals=totals(looks))


@router.get("/fragments/batches")
def batches_fragment(request: Request, looks: LooksDep, before: str | None = None) -> Response:
    """The batches alone."""
    return page(request, "fragments/batches.html", **newest(looks, before))


def queue_rows(looks: Looks) -> list[dict[str, Any]]:
    """Queues with the points of their sparklines."""
    return [{**entry, "spark": charts.sparkline(entry["trail"])} for entry in looks.queues()]


def totals(looks: Looks) -> dict[str, Any]:
    """The queues added up."""
    entries = looks.queues()
    return {
        "in_flight": sum(e["in_flight"] for e in entries),
        "backlog": sum(e["backlog"] for e in entries),
        "rate": sum(e["rate_per_second"] for e in entries),
        "failed": sum(e["failed"] for e in entries),
    }


def newest(looks: Looks, before: str | None) -> dict[str, Any]:
    """Batches older than one (the newest where None), newest first, and where the next begin."""
    ids = [b for b in looks.batch_ids() if before is None or b < before]
    shown = ids[: -BATCHES - 1 : -1]
    items = []
    for batch_id in shown:
        try:
            items.append(looks.batch(batch_id))
        except NotFoundError:  # deleted since
            continue
    older = shown[-1] if len(ids) > len(shown) else None
    return {"batches": items, "older": older, "before": before}
