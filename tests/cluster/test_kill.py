"""Whatever is killed, and whenever: the same bytes come out."""

import os
import time

import pytest
from redis.exceptions import RedisError

from services.gateway.client import Client
from services.gateway.cluster import Cluster
from shared.errors import TransientError
from shared.leases import Leases
from shared.store import Store
from shared.testing import drive, make_batch
from tests.cluster.support import QUICK, RECIPE, balance, data_objects, finish, wait_for

SHARD_BYTES = 8_000
KILL_EVERY = int(os.environ.get("CORPUSMILL_KILL_EVERY", "5"))


@pytest.fixture(scope="module")
def expected(archives, tmp_path_factory) -> dict[str, bytes]:
    """What one process makes of the batch, undisturbed."""
    store = Store(str(tmp_path_factory.mktemp("undisturbed")))
    pipeline, funnel = drive(store, make_batch(archives, RECIPE, shard_bytes=SHARD_BYTES))
    told = funnel.to_dict(pipeline)
    assert told["kept"] > 20
    assert told["dropped"] > 20
    return data_objects(store)


def submit(client: Client, archives) -> str:
    body = {"sources": [str(p) for p in archives], "recipe": RECIPE, "shard_bytes": SHARD_BYTES}
    return client.post("/v1/batches", body)["id"]


def test_any_order_of_tasks_gives_the_same_bytes(archives, expected, tmp_path):
    store = Store(str(tmp_path))
    drive(store, make_batch(archives, RECIPE, shard_bytes=SHARD_BYTES), seed=3)
    assert data_objects(store) == expected


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bytes(archives, expected, tmp_path):
    """Three here; of one is `expected`, of two the test below."""
    with Cluster(str(tmp_path), workers=3, environment=QUICK) as cluster:
        client = Client(cluster.url)
        balance(finish(client, submit(client, archives)))
        client.close()
    assert data_objects(Store(str(tmp_path))) == expected


@pytest.mark.kill
@pytest.mark.timeout(300)
def test_killed_in_every_stage(archives, expected, tmp_path):
    """SIGKILL a worker while a task of a stage is running; Valkey and the gateway once each.

    In the suite every fifth stage, in `make kill-test` all of them.
    """
    with Cluster(str(tmp_path), workers=2, environment=QUICK) as cluster:
        client = Client(cluster.url)
        batch = submit(client, archives)
        stages = len(client.get(f"/v1/batches/{batch}")["funnel"]["stages"])
        killed: set[int] = set()
        leases = Leases(cluster.redis_url)
        for turn, stage in enumerate(range(0, stages, KILL_EVERY)):
            if _kill_in(cluster, leases, stage):
                killed.add(stage)
            if turn == 1:
                cluster.kill("valkey")  # and with it all messages and leases
                wait_for(lambda: _answers(leases), why="a new, empty Valkey")
            if turn == 2:
                cluster.kill("gateway")
        state = wait_for(lambda: _finished(client, batch), 200, why="the batch to finish")
        balance(state)
        assert not state["failures"]
        # A stage can be over before the look falls on it, but most are hit.
        assert len(killed) >= stages // KILL_EVERY // 2, (
            f"killed in stages {sorted(killed)} of {stages}"
        )
        client.close()
    assert data_objects(Store(str(tmp_path))) == expected


def test_workers_outlive_valkey(archives, expected, tmp_path):
    """Valkey is killed while workers are at tasks, and they are not: they must take new ones."""
    with Cluster(str(tmp_path), workers=1, environment=QUICK) as cluster:
        client = Client(cluster.url)
        batch = submit(client, archives)
        leases = Leases(cluster.redis_url)
        wait_for(lambda: [t for t in leases.running() if t.split("/")[1] != "0"], every=0.002)
        cluster.kill("valkey")
        balance(wait_for(lambda: _finished(client, batch), 90, why="the batch to finish"))
        client.close()
    assert data_objects(Store(str(tmp_path))) == expected


def _kill_in(cluster: Cluster, leases: Leases, stage: int) -> bool:
    """Kill both workers the moment a task of the stage is running; False where it is past."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            running = [int(task.split("/")[1]) for task in leases.running()]
        except RedisError:
            running = []
        if stage in running:
            cluster.kill("worker-0")
            cluster.kill("worker-1")
            return True
        if any(r > stage for r in running):
            return False
        time.sleep(0.002)
    return False


def _answers(leases: Leases) -> bool:
    try:
        return bool(leases.redis.ping())
    except RedisError:
        return False


def _finished(client: Client, batch: str):
    """The batch's state once it has ended; None while it goes on or the gateway is away."""
    try:
        state = client.get(f"/v1/batches/{batch}")
    except TransientError:
        return None
    return state if state["state"] in ("finished", "failed") else None
