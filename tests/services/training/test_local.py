"""The local backend: slices, several processes, failures, and that nothing outlives its parent."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from services.training.local import EXIT_PERMANENT, advance, scratch_folder
from services.training.train import run_process
from shared.step import job_handler
from shared.store import Store
from shared.training_run import read_checkpoints, read_metrics, run_key, run_state


@pytest.fixture(autouse=True)
def _scratch_below(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def programs(run: str) -> list[int]:
    """Processes of the training program that work on a run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if b"services.training.train" in words and run.encode() in words:
            found.append(int(folder.name))
    return found


def listening(pids: list[int]) -> set[str]:
    """Addresses (hex, as the kernel writes them) on which processes listen."""
    sockets = set()
    for pid in pids:
        try:
            links = [os.fspath(f.readlink()) for f in Path(f"/proc/{pid}/fd").iterdir()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        sockets |= {link[8:-1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in sockets:
                found.add(words[1].split(":")[0])
    return found


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_a_run_advances_by_slices_until_it_has_ended(store, submit, tmp_path, process_settings):
    spec = submit()
    handler = job_handler("training")
    handler(store, spec.id, 0.0)  # a slice is one step at least
    assert run_state(store, spec.id).state == "running"
    assert list(read_checkpoints(store, spec.id)) == [1]
    run_process(store, spec, tmp_path / "elsewhere", math.inf)
    state = run_state(store, spec.id)
    assert (state.state, state.step, state.tokens) == ("finished", 12, 12 * 64)
    end = store.get(run_key(spec.id, "finished.json"))
    handler(store, spec.id, 60.0)  # sent once more: does nothing
    assert store.get(run_key(spec.id, "finished.json")) == end


def test_two_processes_learn_the_same_over_loopback_alone(
    store, submit, tmp_path, process_settings
):
    addresses: set[str] = set()
    ended = threading.Event()

    def watch():
        while not ended.wait(0.05):
            addresses.update(listening(programs("two")))

    two = submit(id="two", processes=2)
    watcher = threading.Thread(target=watch)
    watcher.start()
    advance(store, two.id, 60.0)
    ended.set()
    watcher.join()
    assert run_state(store, two.id).state == "finished", run_state(store, two.id).error
    run_process(store, submit(id="one"), tmp_path / "one", math.inf)
    for name in ("loss", "grad_norm"):
        alone, shared = ([m[name] for m in read_metrics(store, run)] for run in ("one", "two"))
        assert shared == pytest.approx(alone, rel=1e-4)
    assert not scratch_folder(store.url, two.id).joinpath("data").exists()  # cleaned up
    assert addresses
    assert addresses <= {"0100007F", "00000000000000000000000001000000"}


def test_a_failure_is_recorded_with_its_reason(store, submit):
    spec = submit()
    store.delete(f"datasets/{spec.dataset}/manifest.json")
    advance(store, spec.id, 60.0)
    state = run_state(store, spec.id)
    assert (state.state, state.error) == ("failed", "NotFoundError: no dataset 'cats'")
    mark = store.get_json(run_key(spec.id, "failed.json"))
    assert mark["exit_code"] == EXIT_PERMANENT
    assert any("Traceback" in line for line in mark["log"])


def test_the_program_dies_with_its_parent(store, submit):
    spec = submit(id="long", steps=1_000_000)
    code = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[3]\n"
        "from services.training.local import advance; from shared.store import Store\n"
        "advance(Store(sys.argv[1]), sys.argv[2], 600.0)"
    )
    command = [sys.executable, "-c", code, store.url, spec.id, os.fspath(Path(store.url).parent)]
    parent = subprocess.Popen(command)
    wait_until(lambda: read_metrics(store, spec.id))  # shown while it runs
    assert programs(spec.id)
    advance(Store(store.url), spec.id, 600.0)  # a second call, while the first is at work: nothing
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not programs(spec.id))


def test_the_program_pauses_when_its_worker_is_to_end(store, submit):
    spec = submit(id="paused", steps=1_000_000)
    code = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[3]\n"
        "from services.training.local import advance; from shared.store import Store\n"
        "from shared.shutdown import noticing_the_end\n"
        "with noticing_the_end(): advance(Store(sys.argv[1]), sys.argv[2], 600.0)"
    )
    command = [sys.executable, "-c", code, store.url, spec.id, os.fspath(Path(store.url).parent)]
    worker = subprocess.Popen(command)
    wait_until(lambda: read_metrics(store, spec.id))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert not programs(spec.id)
    state = run_state(store, spec.id)
    assert state.state == "running"
    last = read_metrics(store, spec.id)[-1]["step"]
    assert max(read_checkpoints(store, spec.id)) == last, "no step is done twice"
