"""The gateway's web application: routes, error documents, and the conductor's life."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from services.gateway import (
    around,
    batches,
    documents,
    indexes,
    preview,
    problems,
    queues,
    recipes,
    runs,
    signals,
    uploads,
)
from services.gateway.problems import Problem
from services.gateway.state import open_gateway
from services.gateway.ui import pages
from shared.settings import settings
from shared.step import load_registry
from shared.telemetry import configure_logging

#: Documented once for every route.
PROBLEMS = {
    status: {"model": Problem, "content": {problems.MEDIA_TYPE: {}}}
    for status in (404, 409, 422, 503)
}


def create_app() -> FastAPI:
    """The application; connects to store and queue when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging()
        load_registry()
        gateway = open_gateway(settings())
        app.state.gateway = gateway
        gateway.conductor.start()
        yield
        gateway.conductor.stop()

    app = FastAPI(
        title="Corpusmill",
        version=version("corpusmill"),
        description="Web crawls in, training data and models out; every verdict explained.",
        lifespan=lifespan,
        responses=PROBLEMS,  # type: ignore[arg-type]
    )
    problems.install(app)
    for module in (
        around,
        batches,
        documents,
        indexes,
        preview,
        queues,
        recipes,
        runs,
        signals,
        uploads,
    ):
        app.include_router(module.router)
    app.include_router(pages.router)
    return app
