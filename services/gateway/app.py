"""The gateway's web application: routes, error documents, and the conductor's life."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from services.gateway import (
    around,
    batches,
    blocks,
    documents,
    indexes,
    logs,
    observe,
    preview,
    problems,
    queues,
    recipes,
    reference,
    runs,
    signals,
    token_routes,
    uploads,
)
from services.gateway.access import Access, check_start
from services.gateway.headers import SecurityHeaders
from services.gateway.limits import BodyLimit
from services.gateway.state import open_gateway
from services.gateway.ui import pages
from shared import tracing
from shared.logs import StreamHandler
from shared.settings import settings
from shared.step import load_registry
from shared.telemetry import configure_logging


def create_app() -> FastAPI:
    """The application; connects to store and queue when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging("INFO", StreamHandler(settings()))
        load_registry()
        gateway = open_gateway(settings())
        check_start(gateway.conf, gateway.store)
        app.state.gateway = gateway
        tracing.start(gateway.conf, "gateway")
        gateway.conductor.start()
        async with observe.serving(gateway, gateway.conf):
            yield
        gateway.conductor.stop()
        tracing.stop()

    app = FastAPI(
        title="Corpusmill",
        version=version("corpusmill"),
        description="Web crawls in, training data and models out; every verdict explained.",
        lifespan=lifespan,
        responses=problems.documented(),  # type: ignore[arg-type]
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    reference.install(app)
    # The last one is asked first.
    app.add_middleware(BodyLimit)
    app.add_middleware(Access)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(observe.Observed)
    for module in (
        around,
        batches,
        blocks,
        documents,
        indexes,
        logs,
        preview,
        queues,
        recipes,
        runs,
        signals,
        token_routes,
        uploads,
    ):
        app.include_router(module.router)
    app.include_router(pages.router)
    return app
