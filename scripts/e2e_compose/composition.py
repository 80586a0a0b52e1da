"""The composition under test: started, watched, and taken away again, however the test ends."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from scripts.compose_env import environment
from scripts.e2e_compose.machine import TOOLS
from scripts.images import ROOT, Engine
from services.gateway.client import Client
from services.gateway.cluster import free_port
from shared.errors import CorpusmillError

PROJECT = "corpusmill-e2e"
#: Workers end or hand back within this; podman waits a little longer.
GRACE_SECONDS = 20


def wait_for(what: Callable[[], Any], seconds: float, why: str) -> Any:
    """Poll until something is true; its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {why}")
        time.sleep(0.3)


class Composition:
    """compose.yaml under a name of its own, on free ports of loopback."""

    def __init__(self, podman: Engine, variables: Mapping[str, str], folder: Path) -> None:
        self.podman = podman
        self.env_file = folder / "compose.env"
        self.env_file.write_text(environment())
        self.env_file.chmod(0o600)
        self.ports = {"GATEWAY_PORT": free_port(), "PROMETHEUS_PORT": free_port()}
        self.variables = {
            **variables,
            **{name: str(port) for name, port in self.ports.items()},
            "STOP_GRACE": str(GRACE_SECONDS),
            "STOP_PERIOD": f"{GRACE_SECONDS + 10}s",
        }
        self.url = f"http://127.0.0.1:{self.ports['GATEWAY_PORT']}"
        self.token = ""

    def __enter__(self) -> Self:
        self.down()  # what an interrupted run has left
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.show_logs()
        self.down()

    def compose(self, *arguments: str, check: bool = True) -> str:
        """podman-compose; its standard output."""
        command = [sys.executable, "-m", "podman_compose", "-p", PROJECT]
        done = subprocess.run(
            [*command, "--env-file", str(self.env_file), *arguments],
            env={
                **os.environ,
                **self.podman.environment,
                **self.variables,
                "PYTHONPATH": str(TOOLS),
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if check and done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise RuntimeError(f"podman-compose {' '.join(arguments)}:\n{said}")
        return done.stdout

    def start(self, **workers: int) -> None:
        """Everything, then a token, for which the gateway waits."""
        scale = [word for name, count in workers.items() for word in ("--scale", f"{name}={count}")]
        self.compose("up", "-d", *scale)
        wait_for(lambda: self.reachable("seaweedfs", 8333), 60, "the store")
        create = ["corpusmill", "token", "create", "e2e", "--role", "admin"]
        said = self.compose("run", "--rm", "-T", "--no-deps", "gateway", *create)
        self.token = next(line for line in said.splitlines() if line.startswith("cm_"))

    def reachable(self, service: str, port: int) -> bool:
        """Whether a container of ours can connect to a service."""
        code = f"import socket; socket.create_connection(('{service}', {port}), 3)"
        arguments = [
            "run",
            "--rm",
            "-T",
            "--no-deps",
            "gateway",
            "python",
            "-c",
            f"{code}; print(1)",
        ]
        return self.compose(*arguments, check=False).strip().endswith("1")

    def client(self) -> Client:
        """A client of the gateway, with the token."""
        return Client(self.url, token=self.token)

    def queues(self) -> dict[str, Any]:
        """What the gateway says of each queue; empty while it does not answer."""
        try:
            with self.client() as client:
                return {q["queue"]: q for q in client.get("/v1/queues")["items"]}
        except CorpusmillError:
            return {}

    def containers(self, service: str) -> list[str]:
        """Names of a service's containers that run."""
        label = f"label=io.podman.compose.project={PROJECT}"
        listed = self.podman("ps", "--filter", label, "--format", "{{.Names}}").splitlines()
        return sorted(name for name in listed if name.startswith(f"{PROJECT}_{service}_"))

    def state(self, container: str) -> str:
        """`running`, or `ended` and the exit code; empty where there is no such container."""
        state = "{{if .State.Running}}running{{else}}ended {{.State.ExitCode}}{{end}}"
        return self.podman("inspect", "--format", state, container, check=False)

    def s3(self) -> dict[str, str]:
        """The environment in which this machine reaches the composition's S3, by its bridge."""
        given = dict(re.findall(r"^(S3_\w+)=(\w+)$", self.env_file.read_text(), re.MULTILINE))
        network = f'(index .NetworkSettings.Networks "{PROJECT}_inner")'
        address = self.podman(
            "inspect", "--format", f"{{{{{network}.IPAddress}}}}", f"{PROJECT}_seaweedfs_1"
        )
        return {
            "AWS_ENDPOINT_URL": f"http://{address}:8333",
            "AWS_ACCESS_KEY_ID": given["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": given["S3_SECRET_KEY"],
            "AWS_REGION": "us-east-1",
        }

    def targets(self) -> dict[str, list[str]]:
        """Prometheus' targets that are up: service to instances."""
        query = {"query": "up == 1"}
        url = f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}/api/v1/query"
        try:
            found = httpx.get(url, params=query, timeout=5).json()["data"]["result"]
        except httpx.HTTPError:
            return {}
        up: dict[str, list[str]] = {}
        for series in found:
            up.setdefault(series["metric"]["service"], []).append(series["metric"]["instance"])
        return up

    def show_logs(self) -> None:
        """The end of every container's log, after a failure."""
        label = f"label=io.podman.compose.project={PROJECT}"
        listed = self.podman("ps", "--all", "--filter", label, "--format", "{{.Names}}")
        for name in listed.splitlines():
            state = self.state(name)
            done = subprocess.run(
                ["podman", "logs", "--tail", "15", name],
                env={**os.environ, **self.podman.environment},
                capture_output=True,
                text=True,
                check=False,
            )
            print(f"--- {name} ({state})\n{done.stdout}{done.stderr}", file=sys.stderr)

    def down(self) -> None:
        """Remove containers, volumes and networks; podman-compose forgets those that scale."""
        found = ["--quiet", "--filter", f"label=io.podman.compose.project={PROJECT}"]
        remove = ["--force", "--volumes", "--depend", "--time", "0"]
        for listing, removal in (
            (["ps", "--all"], ["rm", *remove]),
            (["volume", "ls"], ["volume", "rm", "--force"]),
            (["network", "ls"], ["network", "rm", "--force"]),
        ):
            if names := self.podman(*listing, *found).split():
                self.podman(*removal, *names)


def scratch() -> Path:
    """A new folder for what a run needs beside the checkout."""
    return Path(tempfile.mkdtemp(prefix="corpusmill-e2e-"))


def remove(folder: Path) -> None:
    """Remove a run's folder."""
    shutil.rmtree(folder, ignore_errors=True)
