"""One run of a real cluster as a real Prometheus saw it, for all tests of queries."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import redis

from services.gateway.client import Client
from services.gateway.cluster import Cluster, free_port
from shared.worker import SERVICES
from tests.cluster.support import QUICK, RECIPE, finish, write_archives
from tests.deploy.prometheus import Prometheus
from tests.deploy.rule_file import RULES

#: Drops every document, so that there is an alarm; all it reads is measured already.
DROPS_ALL = RECIPE | {
    "name": "drops-all",
    "override": RECIPE["override"]
    | {"langid.fasttext_v1": {"keep": {"nothing": "score >= 2", "score": "score >= 0"}}},
}
VALKEY_BYTES = 2**30
#: Seconds of backlog a worker, for which the gateway is asked during the run.
TARGET_SECONDS = 60


@dataclass
class MeasuredCluster(Cluster):
    """A cluster whose processes tell their metrics on ports of their own."""

    metrics_ports: dict[str, int] = field(default_factory=dict)

    def _add(
        self, name: str, command: list[str], more: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.metrics_ports[name] = free_port()
        port = {"CORPUSMILL_METRICS_PORT": str(self.metrics_ports[name])}
        super()._add(name, command, {**more, **port})

    def targets(self) -> dict[str, list[str]]:
        """What Prometheus scrapes: jobs as in deploy/prometheus.yml."""
        ports = self.metrics_ports
        workers = [f"127.0.0.1:{p}" for name, p in ports.items() if name.startswith("worker")]
        return {"gateway": [f"127.0.0.1:{ports['gateway']}"], "workers": workers}


@dataclass(frozen=True)
class Scraped:
    """What is left of the run: Prometheus, and when it was (Unix seconds)."""

    prometheus: Prometheus
    start: float
    end: float
    batch: str
    run: str
    #: Answers of `GET /v1/queues/{queue}`, with the time (`at`) of each.
    asked: list[dict[str, Any]]

    def course(self, expression: str) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """A range query over the whole run, every second."""
        return self.prometheus.range(expression, self.start, self.end)


@pytest.fixture(scope="session")
def scraped(tmp_path_factory) -> Iterator[Scraped]:
    """Batches from archives to a dataset, and a training run. The cluster has ended."""
    folder = tmp_path_factory.mktemp("scraped")
    archives = write_archives(folder / "crawl", archives=3, pages=48)
    # One worker for all but training, so that the second batch adds to the counters of the first.
    cluster = MeasuredCluster(str(folder / "store"), workers=1, environment=QUICK)
    start = time.time()
    with cluster:
        targets = cluster.targets()
        redis.Redis.from_url(cluster.redis_url).config_set("maxmemory", VALKEY_BYTES)
        with Prometheus(folder / "prometheus", targets, (RULES,)) as prometheus:
            with Client(cluster.url) as client, asking(cluster.url) as asked:
                batch, run = work(client, archives, prometheus)
            end = time.time()
            cluster.stop()
            yield Scraped(prometheus, start, end, batch, run, asked)


@contextmanager
def asking(url: str) -> Iterator[list[dict[str, Any]]]:
    """Ask for every queue a few times a second, as KEDA's metrics-api trigger does."""
    asked: list[dict[str, Any]] = []
    ended = threading.Event()

    def ask() -> None:
        with Client(url) as client:
            while not ended.wait(0.2):
                for service in SERVICES:
                    path = f"/v1/queues/{service}"
                    answer = client.get(path, target_seconds=TARGET_SECONDS)
                    asked.append({**answer, "at": time.time()})

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        ended.set()
        thread.join()


def work(client: Client, archives: list[Path], prometheus: Prometheus) -> tuple[str, str]:
    """Two batches of a recipe, a training run, a rule that drops all; first batch and run."""
    sources = [str(path) for path in archives]
    batch = client.post("/v1/batches", {"sources": sources[:2], "recipe": RECIPE})["id"]
    done = finish(client, batch)
    assert done["state"] == "finished", done["failures"]
    (dataset,) = done["datasets"]
    spec = {"dataset": dataset, "preset": "nano", "steps": 2000, "threads": 1}
    run = client.post("/v1/runs", spec)["id"]
    prometheus.wait('corpusmill_verdicts_total{verdict="kept"}')
    for body in (
        {"sources": sources[2:], "recipe": RECIPE},
        {"sources": sources, "recipe": DROPS_ALL},
    ):
        finish(client, client.post("/v1/batches", body)["id"])
    prometheus.wait("changes(corpusmill_training_step[1m]) > 1 and corpusmill_training_loss > 0")
    prometheus.wait('sum(rate(corpusmill_verdicts_total{recipe="drops-all"}[10s])) >= 0')
    return batch, run
