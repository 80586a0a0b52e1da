"""The backend `kubernetes` against a server that answers as the API server does."""

import pytest

from services.training.kubernetes import backend
from shared.run_cluster import is_held, read_cluster
from shared.settings import settings
from shared.step import job_handler
from shared.training_run import cancel_run, run_key, run_state
from tests.services.training.kube_api import Cluster, serve

PREFIX = "CORPUSMILL_KUBERNETES_"
QUICK = {"NAMESPACE": "train", "IMAGE": "registry.test/training:1", "FOLLOW": "0", "POLL": "0"}


@pytest.fixture
def kube(tmp_path, monkeypatch):
    """A cluster that the backend finds by its kubeconfig."""
    cluster = Cluster()
    for name, value in QUICK.items():
        monkeypatch.setenv(PREFIX + name, value)
    monkeypatch.setenv(f"{PREFIX}STORE_CLAIM", "store")
    monkeypatch.setattr(backend, "LARGEST_PAUSE_SECONDS", 0.0)
    with serve(cluster, tmp_path) as kubeconfig:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        yield cluster


@pytest.fixture
def run(store, submit):
    """A run on two nodes."""
    return submit(id="r1", nodes=2).id


def look(store, run, times=1):
    """What is shown after some looks of workers that begin anew each time."""
    for _ in range(times):
        backend.advance(store, run, 600.0)
    return read_cluster(store, run)


def finish(store, run):
    """What the training program leaves at its end."""
    store.put_json(run_key(run, "finished.json"), {"step": 12, "sample": "the cat", "files": []})


def test_a_run_becomes_an_indexed_job_that_is_followed_to_its_end(store, run, kube):
    state = look(store, run)
    (job,) = kube.jobs.jobs.values()
    (service,) = kube.services.values()
    assert (state.phase, state.job) == ("pending", job["metadata"]["name"])
    assert service["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    for index in (0, 1):
        kube.jobs.runs(index, node=f"gpu-{index}")
    state = look(store, run)
    assert state.phase == "running"
    assert [(p.index, p.phase, p.node) for p in state.pods] == [
        (0, "Running", "gpu-0"),
        (1, "Running", "gpu-1"),
    ]
    assert list(state.logs.values()) == [("run: 0 of 12 steps are done",)]
    finish(store, run)
    assert look(store, run).phase == "stopping"  # the pods are just ending by themselves
    assert is_held(store, run)
    for index in (0, 1):
        kube.jobs.ended(index, 0, "")
    state = look(store, run)
    assert (state.phase, state.message) == ("gone", "the run has finished")
    assert not is_held(store, run)
    assert not kube.services
    assert kube.jobs.jobs  # the Job goes by its ttlSecondsAfterFinished
    made = [r for r in kube.requests if r.startswith(("create", "delete"))]
    assert made == ["create jobs", "create services", "delete services"]
    before = len(kube.requests)
    look(store, run)  # sent once more: asks nothing
    assert len(kube.requests) == before


def test_the_handler_of_the_service_obeys_the_setting(store, run, kube, monkeypatch):
    monkeypatch.setenv("CORPUSMILL_TRAINING_BACKEND", "kubernetes")
    settings.cache_clear()
    try:
        job_handler("training")(store, run, 1.0)
    finally:
        settings.cache_clear()
    assert len(kube.jobs.jobs) == 1


def test_what_another_worker_made_is_adopted(store, run, kube):
    kube.overtaken = True
    look(store, run)  # 409
    state = look(store, run)
    assert (state.phase, state.uid) == (
        "pending",
        next(iter(kube.jobs.jobs.values()))["metadata"]["uid"],
    )
    assert len(kube.services) == 1
    assert kube.requests.count("create jobs") == 1


def test_a_job_of_something_else_is_left_alone_and_ends_the_run(store, run, kube):
    look(store, run)
    (job,) = kube.jobs.jobs.values()
    job["metadata"]["annotations"]["corpusmill/spec-hash"] = "other"
    look(store, run, 2)
    state = run_state(store, run)
    assert state.state == "failed"
    assert "is not this run's: spec hash other, not " in state.error
    assert kube.jobs.jobs
    assert not any(r.startswith("delete jobs") for r in kube.requests)
    assert not is_held(store, run)


def test_a_used_up_quota_is_shown_and_tried_again(store, run, kube):
    kube.quota = 0
    state = look(store, run, 7)  # more often than a task may fail
    assert run_state(store, run).state == "queued"
    assert "exceeded quota: training, requested: count/jobs.batch=1" in state.message
    assert (state.phase, state.troubles) == ("creating", 7)
    kube.quota = 1
    state = look(store, run)
    assert (state.phase, state.message, state.troubles) == ("pending", None, 0)


def test_the_pause_after_troubles_grows_and_is_kept_by_the_next_worker(
    store, run, kube, monkeypatch
):
    monkeypatch.setattr(backend, "LARGEST_PAUSE_SECONDS", 60.0)
    kube.quota = 0
    state = look(store, run)
    assert state.retry_at - state.time == pytest.approx(2, abs=0.5)
    assert look(store, run).troubles == 1  # too early: nothing was asked
    assert kube.requests.count("create jobs") == 1
    cancel_run(store, run)  # nobody waits for that
    assert look(store, run).phase == "gone"


def test_a_quota_of_gpus_refuses_pods_and_not_the_job(store, run, kube):
    kube.jobs.pods_refused = (
        'pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1'
    )
    state = look(store, run, 2)
    assert state.phase == "pending"
    assert state.message.startswith("FailedCreate: pods")
    assert [e.reason for e in state.events] == ["FailedCreate", "FailedCreate"]


@pytest.mark.parametrize("scenario", ["unschedulable", "image"])
def test_pods_that_cannot_start_are_shown_and_fail_the_run_after_long(
    store, run, kube, monkeypatch, scenario
):
    look(store, run)
    if scenario == "image":
        kube.jobs.runs(0)
        kube.jobs.no_image(1)
        message = 'pod 1: ImagePullBackOff: Back-off pulling image "registry.test/training:1" (1 of 2 pods wait)'
    else:
        for index in (0, 1):
            kube.jobs.unschedulable(
                index, "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
            )
        message = "pod 0: Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu. (2 of 2 pods wait)"
    state = look(store, run)
    assert (state.phase, state.message) == ("pending", message)
    assert {e.reason for e in state.events} <= {"FailedScheduling", "Failed"}
    assert state.events
    assert run_state(store, run).state == "queued"
    monkeypatch.setenv(f"{PREFIX}START_LIMIT", "0")
    look(store, run)
    assert run_state(store, run).error == f"the pods could not be started: {message}"
    look(store, run)
    assert kube.requests[-1] == "delete jobs Foreground"  # it must not start later
    kube.jobs.pods_are_gone(state.job)
    assert look(store, run).phase == "gone"


def test_an_evicted_pod_is_replaced_and_counts_for_nothing(store, run, kube, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}BACKOFF_LIMIT", "0")
    look(store, run)
    for _ in range(3):
        for index in (0, 1):
            kube.jobs.runs(index)
        kube.jobs.evicted(1)
        state = look(store, run)
        assert state.phase == "pending"
        assert ("Failed", "EvictionByEvictionAPI", 75) in {
            (p.phase, p.reason, p.exit_code) for p in state.pods
        }
    kube.jobs.runs(1)
    assert (look(store, run).phase, state.attempt) == ("running", 1)


def test_a_pod_on_a_lost_node_is_waited_for_then_the_job_is_made_anew(store, run, kube):
    first = look(store, run).job
    for index in (0, 1):
        kube.jobs.runs(index)
    kube.jobs.node_lost(1, ago=60)
    state = look(store, run)
    assert [p.phase for p in state.pods] == ["Running", "Terminating"]
    assert (
        state.message
        == "pod 1: NodeLost: Node gpu-1 which was running the pod is unresponsive (1 of 2 pods wait)"
    )
    kube.jobs.node_lost(1, ago=3600)
    state = look(store, run)
    assert "is lost with its node" in state.message
    assert "delete jobs Background" in kube.requests
    state = look(store, run)
    assert (state.attempt, state.phase) == (2, "pending")
    assert list(kube.jobs.jobs) == [state.job]
    assert state.job != first  # so that nobody meets the old pods
    assert list(kube.services) == [state.job]


def exhaust(kube):
    """Pods fail until the Job does."""
    while not kube.jobs.jobs or "conditions" not in list(kube.jobs.jobs.values())[-1]["status"]:
        kube.jobs.ended(1, 1, "RuntimeError: Connection closed by peer")


def test_a_job_that_failed_is_made_again_as_long_as_it_brings_checkpoints(
    store, run, kube, monkeypatch
):
    monkeypatch.setenv(f"{PREFIX}BACKOFF_LIMIT", "1")
    for number in range(1, 7):
        assert look(store, run).attempt == number
        exhaust(kube)
        if number < 4:
            store.put(run_key(run, f"checkpoints/{number:08d}.json"), b"{}")
        state = look(store, run)
    assert "BackoffLimitExceeded" in run_state(store, run).error
    assert "(after 6 Jobs)" in run_state(store, run).error
    assert state.attempt == 6


def test_what_would_fail_again_fails_the_run_with_the_pods_last_words(store, run, kube):
    look(store, run)
    for index in (0, 1):
        kube.jobs.runs(index, log="Traceback\nPermanentError\n")
    kube.jobs.ended(0, 70, "PermanentError: the loss is nan at step 3")
    look(store, run, 2)
    state = run_state(store, run)
    assert (state.state, state.error) == ("failed", "PermanentError: the loss is nan at step 3")
    mark = store.get_json(run_key(run, "failed.json"))
    assert mark["exit_code"] == 70
    assert mark["log"][-1].endswith(": PermanentError")
    assert read_cluster(store, run).phase == "gone"


@pytest.mark.parametrize("code", [500, 503, 429, 401])
def test_a_broken_api_server_is_waited_out(store, run, kube, code):
    look(store, run)
    kube.broken = code
    state = look(store, run, 6)
    assert (run_state(store, run).state, state.troubles) == ("queued", 6)
    assert "etcdserver: request timed out" in state.message
    kube.broken = None
    assert look(store, run).troubles == 0


def test_an_api_server_that_is_away_is_waited_out(store, run, tmp_path, monkeypatch, kube):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with serve(Cluster(), elsewhere) as gone:
        monkeypatch.setenv("KUBECONFIG", str(gone))
    state = look(store, run)
    assert "the API server is out of reach" in state.message
    assert run_state(store, run).state == "queued"


def test_what_the_account_may_not_do_is_named(store, run, kube):
    kube.forbidden = {"create jobs"}
    look(store, run, 2)
    assert 'cannot create resource "jobs"' in run_state(store, run).error
    assert not is_held(store, run)


def test_a_deleted_job_is_made_again(store, run, kube):
    state = look(store, run)
    kube.jobs.delete(state.job, "Background")
    again = look(store, run, 2)
    assert list(kube.jobs.jobs) == [again.job] != [state.job]


def test_a_cancelled_run_ends_with_its_pods(store, run, kube):
    state = look(store, run)
    for index in (0, 1):
        kube.jobs.runs(index)
    cancel_run(store, run)
    assert look(store, run).phase == "stopping"
    assert kube.requests[-1] == "delete jobs Foreground"
    assert look(store, run).pods[0].phase == "Terminating"
    assert is_held(store, run)  # so the conductor goes on sending it
    kube.jobs.pods_are_gone(state.job)
    assert look(store, run).phase == "gone"
    assert (run_state(store, run).state, is_held(store, run)) == ("cancelled", False)
    assert not kube.services


def test_a_cancelled_run_whose_node_is_lost_is_let_go(store, run, kube, monkeypatch):
    look(store, run)
    kube.jobs.runs(0)
    cancel_run(store, run)
    look(store, run)
    monkeypatch.setenv(f"{PREFIX}STOP_GRACE", "0")
    monkeypatch.setenv(f"{PREFIX}LOST_LIMIT", "0")
    look(store, run)
    assert kube.requests[-1] == "delete jobs Background"
    assert look(store, run).phase == "gone"


def test_a_run_that_was_never_begun_is_cancelled_without_asking_anyone(store, run, kube):
    cancel_run(store, run)
    assert look(store, run) is None
    assert kube.requests == []
