"""Several machines: each an agent of torchrun, here two on a loopback network of their own."""

import os
import signal
import subprocess
import sys

import pytest

from services.training.local import advance
from shared.training_run import read_metrics, run_key
from tests.services.training.loopback import loopback_only

RENDEZVOUS = "127.0.0.1:29411"
TORCHRUN = [
    "-m",
    "torch.distributed.run",
    "--nnodes=2",
    "--nproc-per-node=1",
    "--rdzv-backend=c10d",
]
TORCHRUN += [f"--rdzv-endpoint={RENDEZVOUS}", "--rdzv-id=x", "--module", "services.training.train"]


@pytest.fixture
def start(store, tmp_path, monkeypatch):
    """Starts a machine of a run: a command in the network, with a folder of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with loopback_only() as network:
        machines = []

        def make(index: int, *words: str) -> subprocess.Popen:
            folder = tmp_path / f"machine-{len(machines)}"
            folder.mkdir()
            environment = {"TMPDIR": str(folder), "GLOO_SOCKET_IFNAME": "lo"}
            environment |= {"JOB_COMPLETION_INDEX": str(index), "CORPUSMILL_STORE": store.url}
            with (folder / "log.txt").open("wb") as log:
                machine = subprocess.Popen(
                    [*network, sys.executable, *words],
                    env=os.environ | environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            machines.append(machine)
            return machine

        yield make
        for machine in machines:
            if machine.poll() is None:
                os.killpg(machine.pid, signal.SIGKILL)
                machine.wait()


def node(run: str, *more: str) -> list[str]:
    words = ["-m", "services.training.node", run, "--nodes=2", "--processes=1", *more]
    return [*words, f"--rendezvous={RENDEZVOUS}", "--address=127.0.0.1", "--timeout=60"]


def results(store, run: str):
    """All that must be the same: metrics without speed, and every byte of the weights."""
    metrics = [
        {k: m[k] for k in ("step", "loss", "lr", "grad_norm", "tokens")}
        for m in read_metrics(store, run)
    ]
    end = store.get_json(run_key(run, "finished.json"))
    return metrics, {f["name"]: f["blake3"] for f in end["files"]}


def test_two_machines_learn_what_two_processes_learn(store, submit, start):
    plain = submit(id="plain", nodes=2)
    agents = [start(index, *TORCHRUN, plain.id) for index in (0, 1)]
    advance(store, submit(id="local", processes=2).id, 60.0)
    assert [agent.wait(60) for agent in agents] == [0, 0]
    ours = submit(id="ours", nodes=2)
    machines = [start(index, *node(ours.id)) for index in (0, 1)]
    assert [machine.wait(60) for machine in machines] == [0, 0]
    assert results(store, "plain") == results(store, "ours") == results(store, "local")
