"""A kubelet: runs the pods' commands as real processes, and reports what becomes of them.

A pod has folders of its own for /tmp and the termination message, and the cluster's names: the
host of each pod of a Job leads to loopback.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.services.training.kube_api import Cluster

INDEX = "batch.kubernetes.io/job-completion-index"


class Kubelet:
    """The node `here`."""

    def __init__(self, cluster: Cluster, network: list[str], hosts: Path, folder: Path) -> None:
        self._cluster, self._network, self._hosts, self._folder = cluster, network, hosts, folder
        self.processes: dict[str, subprocess.Popen] = {}

    def look(self) -> None:
        """Start the pods that wait, and report those that have ended; log files are read."""
        with self._cluster.lock:
            for name, pod in list(self._cluster.jobs.pods.items()):
                index = int(pod["metadata"]["annotations"][INDEX])
                if name not in self.processes:
                    self._start(name, index, pod)
                self._cluster.jobs.logs[name] = self._log(name).read_text(errors="replace")
                code = self.processes[name].poll()
                if code is not None and pod["status"]["phase"] == "Running":
                    message = self._message(name)
                    said = message.read_text() if message.exists() else ""
                    self._cluster.jobs.ended(index, code if code >= 0 else 128 - code, said)

    def _log(self, name: str) -> Path:
        return self._folder / name / "log.txt"

    def _message(self, name: str) -> Path:
        return self._folder / name / "termination-log"

    def _start(self, name: str, index: int, pod: dict[str, Any]) -> None:
        folder, spec = self._folder / name, pod["spec"]
        (folder / "tmp").mkdir(parents=True)
        with self._hosts.open("a") as hosts:
            hosts.write(f"127.0.0.1 {spec['hostname']}.{spec['subdomain']}\n")
        (container,) = spec["containers"]
        env = {e["name"]: e.get("value", "127.0.0.1") for e in container["env"]}  # POD_IP has none
        assert [e["name"] for e in container["env"] if "valueFrom" in e] == ["POD_IP"]
        words = [*container["command"], *container["args"]]
        words = [w.replace("$(POD_IP)", env["POD_IP"]) for w in words]
        words = [
            w.replace(container["terminationMessagePath"], str(self._message(name))) for w in words
        ]
        assert words[0] == "python"
        own = {"JOB_COMPLETION_INDEX": str(index), "TMPDIR": str(folder / "tmp")}
        with self._log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*self._network, sys.executable, *words[1:]],
                env=os.environ | env | own,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._cluster.jobs.runs(index, node="here", log="")

    def close(self) -> None:
        """End what still runs."""
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
