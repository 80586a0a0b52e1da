"""`POST /v1/uploads`: an archive sent by a client, streamed to the store."""

import re
import secrets
from typing import Annotated, Any

from blake3 import blake3
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from services.gateway.models import GatewayDep
from shared.errors import UsageError
from shared.sources import STORE_SCHEME

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


_BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post("", status_code=201, openapi_extra={"requestBody": _BODY})
async def upload(
    request: Request,
    gw: GatewayDep,
    name: Annotated[str, Query(description="file name, with its ending")],
) -> dict[str, Any]:
    """Store the request's body; the answer's `uri` can be a source of a batch.

    The body goes to the store in parts and is never held in memory. How long it may be is seen to
    by `limits.BodyLimit`, whose error, as a client that goes away, leaves no object behind.
    """
    if not _NAME.match(name):
        raise UsageError(f"name {name!r} is not a plain file name", field="name")
    key = f"uploads/{secrets.token_hex(8)}/{name}"
    content, size = blake3(), 0
    with gw.store.writer(key) as write:
        async for chunk in request.stream():
            if chunk:
                await run_in_threadpool(write, chunk)
                content.update(chunk)
                size += len(chunk)
    if size == 0:
        gw.store.delete(key)
        raise UsageError("the body is empty: send the archive's bytes", field="body")
    return {"uri": STORE_SCHEME + key, "name": name, "size": size, "blake3": content.hexdigest()}
