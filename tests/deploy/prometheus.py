"""A real Prometheus on loopback, for queries and rules: scrapes what it is told every second.

    with Prometheus(folder, {"gateway": ["127.0.0.1:8000"]}) as prometheus:
        prometheus.query("up")

Expressions may be those of the rule file or of a Grafana panel whose variables are filled in.
"""

import math
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from services.gateway.cluster import free_port
from shared.processes import die_with_parent
from tests.tools import program

START_SECONDS = 30.0
#: Of a query: one series as its labels and, by time, its values.
Series = tuple[dict[str, str], list[tuple[float, float]]]


@dataclass
class Prometheus:
    """A context manager; `folder` takes its data, `jobs` are targets (host:port) by job name.

    `rules` are rule files. `interval_seconds` is how often targets are scraped and rules evaluated
    (a rule file's own interval wins). `labels` are added to all that a job's targets tell.
    """

    folder: Path
    jobs: dict[str, list[str]]
    rules: tuple[Path, ...] = ()
    interval_seconds: float = 1.0
    labels: dict[str, str] = field(default_factory=dict)
    url: str = ""

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._http = httpx.Client(base_url=self.url, timeout=30)
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config()))
        self._log = self.folder / "prometheus.log"
        command = [program("prometheus"), f"--config.file={config}"]
        command += [f"--storage.tsdb.path={self.folder}/data", "--log.level=warn"]
        command += [f"--web.listen-address=127.0.0.1:{port}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def stop(self) -> None:
        """End the process; its data stay."""
        self._http.close()
        self._process.kill()
        self._process.wait()

    def _config(self) -> dict[str, Any]:
        every = f"{int(1000 * self.interval_seconds)}ms"
        return {
            "global": {
                "scrape_interval": every,
                "scrape_timeout": every,
                "evaluation_interval": every,
            },
            "rule_files": [str(path.resolve()) for path in self.rules],
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [{"targets": targets, "labels": self.labels}],
                }
                for job, targets in self.jobs.items()
            ],
        }

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if self._http.get("/-/ready").is_success:
                    return
            except httpx.TransportError:
                assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"Prometheus was not ready: {self._log.read_text()}")

    def _get(self, path: str, **parameters: Any) -> Any:
        """The data of an answer of the HTTP API; AssertionError with its error."""
        body = self._http.get(f"/api/v1/{path}", params=parameters).json()
        assert body["status"] == "success", f"{parameters}: {body.get('error')}"
        return body["data"]

    def query(self, expression: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """An instant query: labels and value of each series, now or at a time (Unix seconds)."""
        parameters = {"query": expression} | ({} if at is None else {"time": at})
        data = self._get("query", **parameters)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(s["metric"], float(s["value"][1])) for s in data["result"]]

    def value(self, expression: str, at: float | None = None) -> float:
        """The value of an expression with one series at most; NaN where it has none."""
        found = self.query(expression, at)
        assert len(found) <= 1, f"{expression}: {len(found)} series"
        return found[0][1] if found else math.nan

    def range(self, expression: str, start: float, end: float, step: float = 1.0) -> list[Series]:
        """A range query, over Unix seconds."""
        data = self._get("query_range", query=expression, start=start, end=end, step=step)
        return [(s["metric"], [(t, float(v)) for t, v in s["values"]]) for s in data["result"]]

    def targets(self) -> dict[str, str]:
        """The health of every target by its address: up, down or unknown; with the error."""
        return {
            target["labels"]["instance"]: f"{target['health']} {target['lastError']}".strip()
            for target in self._get("targets")["activeTargets"]
        }

    def loaded_rules(self) -> list[dict[str, Any]]:
        """Every rule as Prometheus has it: name, query, health, last error."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def wait(self, expression: str, seconds: float = 45.0) -> list[tuple[dict[str, str], float]]:
        """Poll until an expression has series; what it has."""
        deadline = time.monotonic() + seconds
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"no data: {expression}; targets {self.targets()}"
            time.sleep(0.1)
        return found
