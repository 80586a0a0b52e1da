"""`/v1/batches/{id}/logs`: the last log lines of a batch, of workers and of the gateway."""

import logging
import re
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from services.gateway.models import LARGEST_PAGE, GatewayDep
from shared.errors import UsageError
from shared.logs import read_lines

router = APIRouter(prefix="/v1/batches", tags=["batches"])
_ID = re.compile(r"\d{1,19}-\d{1,19}")
Level = Literal["debug", "info", "warning", "error"]


@router.get("/{batch_id}/logs")
def logs(
    batch_id: str,
    gw: GatewayDep,
    after: Annotated[str | None, Query(description="`last` of the answer before")] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 200,
    level: Annotated[Level, Query(description="the least level")] = "debug",
) -> dict[str, Any]:
    """Log lines, oldest first. To follow, ask again with `last`: `more` says that there are more.

    Redis keeps the last lines of a batch (setting `log_lines`) for three days.
    """
    gw.catalog.view(batch_id)
    if after is not None and not _ID.fullmatch(after):
        raise UsageError(f"after: {after!r} is none of ours", field="after")
    least = logging.getLevelNamesMapping()[level.upper()]
    found = list(islice(read_lines(gw.leases.redis, batch_id, after, least), limit + 1))
    items = found[:limit]
    last = items[-1]["id"] if items else after
    return {"items": items, "last": last, "more": len(found) > limit}
