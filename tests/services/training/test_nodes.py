"""Runs on two machines, each an agent of torchrun with real processes on a loopback network.

One is a run on Kubernetes from its Job to its model, in the suite. The others take a minute or two:
`CORPUSMILL_NODES=1 pytest tests/services/training/test_nodes.py`.
"""

import math
import os
import signal
import subprocess
import sys
import time

import pytest

from services.training.kubernetes import backend
from services.training.local import EXIT_PERMANENT, EXIT_TRANSIENT, advance
from services.training.train import run_process
from shared.run_cluster import read_cluster
from shared.training_run import cancel_run, read_checkpoints, read_metrics, run_key, run_state
from tests.services.training.kube_api import Cluster, serve
from tests.services.training.kubelet import Kubelet
from tests.services.training.loopback import loopback_only

RENDEZVOUS = "127.0.0.1:29411"
TORCHRUN = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
TORCHRUN += [
    "--rdzv-backend=c10d",
    f"--rdzv-endpoint={RENDEZVOUS}",
    "--rdzv-id=x",
    "--local-addr=127.0.0.1",
]
TORCHRUN += ["--module", "services.training.train"]
slow = pytest.mark.skipif("CORPUSMILL_NODES" not in os.environ, reason="set CORPUSMILL_NODES")


@pytest.fixture
def hosts(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n")
    return file


@pytest.fixture
def network(hosts, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    with loopback_only(hosts) as words:
        yield words


@pytest.fixture
def start(network, store, tmp_path):
    """Starts a machine of a run: a command in the network, with a folder of its own."""
    machines = []

    def make(index: int, *words: str) -> subprocess.Popen:
        folder = tmp_path / f"machine-{len(machines)}"
        folder.mkdir()
        environment = {"TMPDIR": str(folder), "CORPUSMILL_STORE": store.url}
        environment |= {"JOB_COMPLETION_INDEX": str(index)}
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


def wait_until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def results(store, run: str):
    """All that must be the same: metrics without speed, and every byte of the weights."""
    metrics = [
        {k: m[k] for k in ("step", "loss", "lr", "grad_norm", "tokens")}
        for m in read_metrics(store, run)
    ]
    end = store.get_json(run_key(run, "finished.json"))
    return metrics, {f["name"]: f["blake3"] for f in end["files"]}


def test_a_run_on_kubernetes_learns_what_one_process_here_learns(
    store, submit, network, hosts, tmp_path, monkeypatch, process_settings
):
    settings = {"NAMESPACE": "train", "IMAGE": "here", "GPUS": "0", "FOLLOW": "0"}
    settings |= {"STORE_CLAIM": "store", "RENDEZVOUS_TIMEOUT": "60"}
    for name, value in settings.items():
        monkeypatch.setenv(f"CORPUSMILL_KUBERNETES_{name}", value)
    run, cluster = submit(id="far", nodes=2).id, Cluster()
    with serve(cluster, tmp_path) as kubeconfig:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        kubelet = Kubelet(cluster, network, hosts, tmp_path / "pods")
        try:
            backend.advance(store, run, 0.0)
            kubelet.look()
            run_process(store, submit(id="near"), tmp_path / "near", math.inf)  # meanwhile

            def gone() -> bool:
                kubelet.look()
                backend.advance(store, run, 0.0)
                return read_cluster(store, run).phase == "gone"

            wait_until(gone)
        finally:
            kubelet.close()
    state = read_cluster(store, run)
    assert run_state(store, run).state == "finished", state
    assert [(p.index, p.phase, p.exit_code) for p in state.pods] == [
        (0, "Succeeded", 0),
        (1, "Succeeded", 0),
    ]
    assert any("run far: finished" in line for lines in state.logs.values() for line in lines)
    far, near = ([m["loss"] for m in read_metrics(store, name)] for name in ("far", "near"))
    assert far == pytest.approx(near, rel=1e-4)


@slow
@pytest.mark.timeout(400)
def test_two_machines_learn_the_same_bytes_as_two_processes(store, submit, start):
    plain, ours = submit(id="plain", nodes=2), submit(id="ours", nodes=2)
    agents = [start(index, *TORCHRUN, plain.id) for index in (0, 1)]  # torchrun's own command
    assert [agent.wait(90) for agent in agents] == [0, 0]
    machines = [start(index, *node(ours.id)) for index in (0, 1)]
    assert [machine.wait(90) for machine in machines] == [0, 0]
    advance(store, submit(id="local", processes=2).id, 60.0)
    assert results(store, "plain") == results(store, "ours") == results(store, "local")


@slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_machine_that_is_lost_and_replaced_goes_on_from_the_last_checkpoint(
    store, submit, start, lost, how
):
    """SIGTERM as for an evicted pod, SIGKILL as for a lost node; the Job starts what has ended."""
    spec = submit(id="long", nodes=2, steps=400, checkpoint_every=50)
    machines = [start(index, *node(spec.id)) for index in (0, 1)]
    wait_until(lambda: read_checkpoints(store, spec.id))
    if how == signal.SIGKILL:
        os.killpg(machines[lost].pid, how)
    else:
        machines[lost].send_signal(how)
    code = machines[lost].wait(90)
    assert code == (EXIT_TRANSIENT if how == signal.SIGTERM else -signal.SIGKILL)
    assert run_state(store, spec.id).step < 400
    wait_until(lambda: replaced(machines, start, spec.id), 180)
    assert run_state(store, spec.id).state == "finished"
    assert [m["step"] for m in read_metrics(store, spec.id)] == list(range(1, 401))


def replaced(machines, start, run) -> bool:
    """As the Job controller: whether all have succeeded; what has failed is started again."""
    codes = [machine.poll() for machine in machines]
    for index, code in enumerate(codes):
        if code not in (None, 0):
            machines[index] = start(index, *node(run))
    return codes == [0, 0]


@slow
@pytest.mark.timeout(400)
def test_sigterm_and_cancellation_leave_a_checkpoint(store, submit, start):
    for run, stop, code in (("terminated", None, EXIT_TRANSIENT), ("cancelled", cancel_run, 0)):
        spec = submit(id=run, nodes=2, steps=100_000, checkpoint_every=100_000)
        machines = [start(index, *node(spec.id)) for index in (0, 1)]
        wait_until(lambda spec=spec: read_metrics(store, spec.id))
        assert not read_checkpoints(store, run)
        for machine in machines:
            stop(store, run) if stop else machine.send_signal(signal.SIGTERM)
        assert [machine.wait(90) for machine in machines] == [code, code]
        assert read_checkpoints(store, run)


@slow
@pytest.mark.timeout(400)
def test_what_would_fail_again_says_so(store, submit, start, tmp_path):
    spec = submit(nodes=2, learning_rate=1e30, warmup_steps=0)
    files = [tmp_path / "why-0", tmp_path / "why-1"]
    machines = [
        start(i, *node(spec.id, f"--error-file={files[i]}", "--max-restarts=1")) for i in (0, 1)
    ]
    codes = [machine.wait(90) for machine in machines]
    # The first to give up ends the rendezvous for the other; one that says so ends the Job.
    assert EXIT_PERMANENT in codes
    assert set(codes) <= {EXIT_PERMANENT, EXIT_TRANSIENT}
    for code, file in zip(codes, files, strict=True):
        if code == EXIT_PERMANENT:
            assert file.read_text().startswith("PermanentError: the loss is nan at step")
