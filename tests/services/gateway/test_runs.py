"""Runs over REST: what another machine does for them is shown, and cleaned up after their end."""

import time

import pytest

from services.gateway.client import Client
from shared.errors import UsageError
from shared.run_cluster import ClusterState, hold, release, write_cluster
from shared.store import to_json
from shared.training_run import RunSpec, run_key

FACTS = {
    "namespace": "train",
    "job": "run-x-1",
    "phase": "stopping",
    "message": "pod 0: Unschedulable: full",
}


def put_cancelled(store, run: str, *, held: bool) -> None:
    """A cancelled run, seen by the conductor only when all of it is there."""
    store.put_json(run_key(run, "cancelled.json"), {"step": 0})
    if held:
        hold(store, run)
    spec = RunSpec(id=run, dataset="none")
    store.put(run_key(run, "run.json"), to_json(spec.model_dump(mode="json")))


def waiting(client: Client) -> int:
    queues = client.get("/v1/queues")["items"]
    (queue,) = (q for q in queues if q["queue"] == "training")
    return queue["depth"]


def test_an_ended_run_is_sent_until_its_backend_has_cleaned_up(gateway):
    put_cancelled(gateway.store, "over", held=False)
    time.sleep(0.3)  # six looks of the conductor
    assert waiting(gateway.client) == 0
    put_cancelled(gateway.store, "held", held=True)
    write_cluster(gateway.store, "held", ClusterState(**FACTS))
    deadline = time.monotonic() + 20
    while not waiting(gateway.client):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    told = gateway.client.get("/v1/runs/held")
    assert told["state"] == "cancelled"
    assert {name: told["cluster"][name] for name in FACTS} == FACTS
    assert gateway.client.get("/v1/runs/over")["cluster"] is None
    release(gateway.store, "held")


def test_more_nodes_than_one_need_a_backend_that_has_them(gateway):
    with pytest.raises(UsageError, match="this cluster trains on one machine a run"):
        gateway.client.post("/v1/runs", {"dataset": "none", "nodes": 2, "batch_size": 8})
