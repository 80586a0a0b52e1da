"""Tells a process's metrics and health over HTTP, on a port of its own, from a thread.

    /metrics   Prometheus
    /healthz   200 while the process's loop turns; asks neither Valkey nor the store
    /readyz    200 while it can do its work; the answer is kept some seconds

A worker's tasks run in processes that Celery forks, kills and forks again. They count in files of
a folder that the parent has made (prometheus_client's multiprocess mode), and the parent reads all.
The files of a process that has ended are added to one that stays, so that neither the number of
files grows nor a counter ever falls.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import prometheus_client.values
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from shared.metrics import bounded
from shared.settings import Settings

#: Why not, in a few words; None where all is well.
Check = Callable[[], str | None]
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
#: Stands for all processes that have ended; no process has this id.
_ENDED = 0
#: Of prometheus_client, which has no types for them.
_values: Any = prometheus_client.values
_File: Any = MmapedDict
_Reader: Any = MultiProcessCollector


class ProcessTree(Collector):
    """What a process and those that it forks have counted, the dead ones included."""

    def __init__(self, folder: Path) -> None:
        """From now on, this process and its children count in files below the folder."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._series: set[tuple[str, str, str]] = set()
        os.environ[FOLDER_VARIABLE] = str(folder)
        _values.ValueClass = _values.MultiProcessValue()

    def collect(self) -> Iterator[Metric]:
        """The sums over all processes."""
        with self._lock:
            for path in self._folder.glob("*.db"):
                kind, _, number = path.stem.rpartition("_")
                if int(number) != _ENDED and not _exists(int(number)):
                    self._keep(kind, path)
            found = list(_Reader(None, path=str(self._folder)).collect())
        yield from found

    def _keep(self, kind: str, path: Path) -> None:
        """Add a dead process's values to those of the ended ones, then remove its file."""
        kept = _File(str(self._folder / f"{kind}_{_ENDED}.db"))
        for key, value, _, _ in _File.read_all_values_from_file(str(path)):
            name = self._bounded(key)
            kept.write_value(name, kept.read_value(name)[0] + value, 0.0)
        kept.close()
        path.unlink()

    def _bounded(self, key: str) -> str:
        """Processes that come and go may each have counted other recipes and rules."""
        metric, name, labels, text = json.loads(key)
        if set(labels) != {"recipe", "rule", "verdict"}:
            return key
        names = ("recipe", "rule", "verdict")
        values = bounded(self._series, tuple(labels[n] for n in names))
        return mmap_key(metric, name, list(names), list(values), text)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Pulse:
    """Whether a loop turns that should."""

    def __init__(self, limit: float) -> None:
        """`limit`: seconds without a turn after which the loop counts as stopped."""
        self._limit = limit
        self._turned: float | None = None

    def turn(self) -> None:
        """The loop turns."""
        self._turned = time.monotonic()

    def pause(self) -> None:
        """There is no loop at present, and none is missed."""
        self._turned = None

    def missing(self) -> str | None:
        """Why the process counts as dead."""
        turned = self._turned
        if turned is None or (age := time.monotonic() - turned) <= self._limit:
            return None
        return f"the loop has not turned for {age:.0f} s"


class KeptCheck:
    """A check that may take long: run in a thread, one at a time; its answer is kept a while."""

    def __init__(self, check: Check, keep: float, patience: float) -> None:
        """`keep`: seconds that a good answer holds; `patience`: seconds that a caller waits."""
        self._check, self._keep, self._patience = check, keep, patience
        self._lock = threading.Lock()
        self._running: Future[str | None] | None = None
        self._until = 0.0

    def __call__(self) -> str | None:
        """The answer, or that there is none yet."""
        with self._lock:
            running = self._running
            if running is None or (running.done() and time.monotonic() >= self._until):
                running = self._running = Future()
                # Not of a pool: the process's end would wait for it.
                threading.Thread(target=self._run, args=(running,), daemon=True).start()
        try:
            return running.result(self._patience)
        except NotYet:
            return f"no answer within {self._patience:g} s"

    def _run(self, answer: "Future[str | None]") -> None:
        try:
            reason = self._check()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is why not)
            reason = f"{type(error).__name__}: {error}"
        self._until = time.monotonic() + (self._keep if reason is None else 1.0)
        answer.set_result(reason)


class MetricsServer:
    """Serves until the process ends, or until it is closed."""

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, alive: Check, ready: Check
    ) -> None:
        def metrics(accept: str) -> tuple[int, str, bytes]:
            encode, kind = choose_encoder(accept)
            return 200, kind, encode(registry)

        def told(check: Check) -> tuple[int, str, bytes]:
            reason = check()
            text = {"status": "ok"} if reason is None else {"status": "failed", "reason": reason}
            return 200 if reason is None else 503, "application/json", json.dumps(text).encode()

        class Handler(BaseHTTPRequestHandler):
            timeout = 30

            def do_GET(self) -> None:
                match self.path.partition("?")[0]:
                    case "/metrics":
                        answer = metrics(self.headers.get("Accept", ""))
                    case "/healthz":
                        answer = told(alive)
                    case "/readyz":
                        answer = told(ready)
                    case _:
                        answer = 404, "text/plain", b"/metrics, /healthz, /readyz\n"
                status, kind, body = answer
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Scrapes and probes are not worth a line each."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def serve(
    conf: Settings, collectors: Iterable[Collector], alive: Check, ready: Check
) -> MetricsServer:
    """Serve the collectors' metrics and the checks where the settings say."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return MetricsServer(conf.metrics_host, conf.metrics_port, registry, alive, ready)
