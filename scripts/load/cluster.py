"""The embedded cluster of the load test: tokens are required, and its processes are watched."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import redis

from services.gateway.cluster import START_SECONDS, Cluster
from shared.worker import SERVICES

_PAGE_BYTES = 4096


@dataclass
class GuardedCluster(Cluster):
    """A cluster whose gateway answers nobody without a token."""

    token: str = ""

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        headers = {"Authorization": f"Bearer {self.token}"}
        while time.monotonic() < deadline:
            try:
                answer = httpx.get(f"{self.url}/v1/queues", headers=headers, timeout=5)
                if answer.is_success and all(q["workers"] for q in answer.json()["items"]):
                    refused = httpx.get(f"{self.url}/v1/queues", timeout=5)
                    assert refused.status_code == 401, refused.text
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise SystemExit(self.children["gateway"].tail())


def make_token(store: str) -> str:
    """As an operator makes it."""
    command = [str(Path(sys.executable).with_name("corpusmill")), "token", "create", "load"]
    done = subprocess.run(
        [*command, "--role", "admin", "--store", store], capture_output=True, text=True, check=True
    )
    return done.stdout.strip().splitlines()[-1]


@dataclass
class Watch:
    """Samples five times a second: the gateway's memory and CPU, Valkey's memory, its queues."""

    cluster: Cluster
    rss: list[int] = field(default_factory=list)
    valkey: list[int] = field(default_factory=list)
    longest: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Begin."""
        self._redis = redis.Redis.from_url(self.cluster.redis_url, decode_responses=True)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()
        told: Any = self._redis.info("memory")
        self.peak = int(told["used_memory_peak"])
        self._redis.close()

    def _sample(self) -> None:
        gateway = self.cluster.children["gateway"].process
        assert gateway is not None
        while not self._stop.wait(0.2):
            statm = Path(f"/proc/{gateway.pid}/statm").read_text().split()
            self.rss.append(int(statm[1]) * _PAGE_BYTES)
            told: Any = self._redis.info("memory")
            self.valkey.append(int(told["used_memory"]))
            for service in SERVICES:
                length: Any = self._redis.llen(service)
                self.longest[service] = max(self.longest.get(service, 0), length)
