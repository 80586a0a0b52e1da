"""The real application in this process, with a real Valkey and store, under any settings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from services.gateway.app import create_app
from services.gateway.catalog import Catalog
from services.gateway.cluster import Cluster
from services.gateway.collector import GatewayCollector
from services.gateway.conductor import Conductor
from services.gateway.figures import Figures
from services.gateway.limits import Limiter
from services.gateway.state import Gateway
from services.gateway.tokens import Role, Tokens, create_token
from shared.leases import Leases
from shared.settings import Settings
from shared.step import load_registry
from shared.store import Store


@dataclass
class Served:
    """An application and its store; `ask` makes one request."""

    app: Any
    store: Store
    gateway: Gateway

    async def ask(
        self,
        method: str,
        path: str,
        role: str | None = None,
        *,
        token: str | None = None,
        base: str = "http://127.0.0.1:8000",
        **more: Any,
    ) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        token = self.token(role) if role else token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, headers=headers, **more)

    def token(self, role: str) -> str:
        """A new token of that role."""
        return create_token(self.store, f"a {role}", Role.of(role))[1]


Open = Callable[..., Served]


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The address of a Valkey of its own."""
    cluster = Cluster("unused", workers=1)
    cluster._define()
    cluster.children = {"valkey": cluster.children["valkey"]}
    try:
        cluster.children["valkey"].start()
        retry = redis.Redis.from_url(cluster.redis_url)
        for _ in range(100):
            try:
                retry.ping()
                break
            except redis.ConnectionError:
                cluster._stopping.wait(0.05)
        retry.close()
        yield cluster.redis_url
    finally:
        cluster.stop()


@pytest.fixture
def serve(tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open an application with these settings."""
    opened: list[Leases] = []

    def run(**chosen: Any) -> Served:
        load_registry()
        store = Store(str(tmp_path / "store"))
        conf = Settings(store=store.url, redis=valkey, **chosen)
        # What reads sources asks for the settings of its process.
        monkeypatch.setattr("shared.settings.settings", lambda: conf)
        leases = Leases(conf.redis.get_secret_value())
        opened.append(leases)
        catalog, figures = Catalog(store), Figures(leases)
        conductor = Conductor(catalog, leases, conf)
        collector = GatewayCollector(catalog, conductor, figures, leases)
        limiter = Limiter(leases.redis, conf.rate_limit)
        app = create_app()
        app.state.gateway = Gateway(
            conf, store, leases, catalog, conductor, figures, collector, Tokens(store), limiter
        )
        return Served(app, store, app.state.gateway)

    yield run
    for leases in opened:
        leases.redis.close()
