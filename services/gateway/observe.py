"""What the gateway tells of itself: each request counted, timed and logged; metrics and probes."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry
from redis.exceptions import RedisError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.state import Gateway
from shared import metrics
from shared.errors import CorpusmillError
from shared.metrics_server import KeptCheck, Pulse, serve
from shared.settings import Settings

log = logging.getLogger("services.gateway.requests")

#: The event loop turns every second, unless something blocks it.
_LOOP_STOPPED_SECONDS = 30.0
_READY_EVERY_SECONDS, _READY_PATIENCE_SECONDS = 2.0, 5.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Asked every few seconds by machines: counted, not logged.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class Observed:
    """Middleware: method, route (its template), status and seconds of each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; its time ends with the answer's last byte."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            _tell(scope, status, time.perf_counter() - started)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else metrics.OTHER
    # What no route answers, a refused request among it, has the one name: paths are unbounded.
    route = getattr(scope.get("route"), "path", metrics.OTHER)
    metrics.observe_request(method, route, status, seconds)
    if route in _QUIET:
        return
    identity: Any = scope.get("state", {}).get("identity")
    token = {"token": identity.token} if getattr(identity, "token", None) else {}
    told = {"method": method, "route": route, "status": status, "ms": round(1000 * seconds, 1)}
    log.info("request", extra={"fields": {**told, **token}})


def registry(gw: Gateway) -> CollectorRegistry:
    """What `/metrics` tells."""
    found = CollectorRegistry(auto_describe=False)
    found.register(gw.collector)
    return found


def why_not_ready(gw: Gateway) -> str | None:
    """Whether Valkey and the store answer; None where they do."""
    try:
        gw.leases.redis.ping()
        gw.store.exists("readyz")
    except (CorpusmillError, RedisError, OSError) as error:
        return str(error)
    return None


@asynccontextmanager
async def serving(gw: Gateway, conf: Settings) -> AsyncIterator[None]:
    """Metrics and probes on a port of their own, where one is set."""
    if not conf.metrics_port:
        yield
        return
    pulse = Pulse(_LOOP_STOPPED_SECONDS)

    async def beat() -> None:
        while True:
            pulse.turn()
            await asyncio.sleep(1)

    beating = asyncio.create_task(beat())
    ready = KeptCheck(lambda: why_not_ready(gw), _READY_EVERY_SECONDS, _READY_PATIENCE_SECONDS)
    server = serve(conf, [gw.collector], pulse.missing, ready)
    try:
        yield
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
        await asyncio.to_thread(server.close)
