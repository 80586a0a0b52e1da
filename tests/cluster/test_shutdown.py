"""SIGTERM to a worker: its task ends, or the next worker does it as if it had never begun."""

import signal
import time
from collections.abc import Iterator

import pytest

from services.gateway.client import Client
from services.gateway.cluster import Cluster
from shared.leases import Leases
from shared.store import Store
from shared.testing import html_page, prose, warc_gz, warc_record
from tests.cluster.support import QUICK, balance, finish, wait_for

GRACE_SECONDS = 2.0
#: A second one changes nothing.
TWICE = (signal.SIGTERM, signal.SIGTERM)
#: Sleeps on a page the first time that it meets it: as long as the page's URL says.
SLEEPING_STEP = '''
"""A step that takes its time."""

import os
import time

import pyarrow as pa

from shared.schema import Column
from shared.step import row_step


@row_step(
    "extraction.sleep_v1",
    reads=("url",),
    columns=(Column("letters", pa.int64(), "characters of the URL"),),
)
def sleep(rows, params):
    """Counts letters."""
    urls = [u or "" for u in rows.column("url").to_pylist()]
    for url in urls:
        mark = os.path.join(os.environ["SLEPT"], url.replace("/", "-"))
        if "sleep" in url and not os.path.exists(mark):
            open(mark, "x").close()
            time.sleep(float(url.rsplit("/", 1)[1]))
    return pa.table({"letters": pa.array([len(u) for u in urls], pa.int64())})
'''


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("shutdown")
    steps = folder / "own" / "services" / "mine" / "steps"
    steps.mkdir(parents=True)
    for package in (steps, steps.parent, steps.parent.parent):
        (package / "__init__.py").write_text("")
    (steps / "sleep_v1.py").write_text(SLEEPING_STEP)
    (folder / "slept").mkdir()
    environment = QUICK | {
        "CORPUSMILL_STOP_GRACE": str(GRACE_SECONDS),
        "PYTHONPATH": str(folder / "own"),
        "SLEPT": str(folder / "slept"),
    }
    with Cluster(str(folder / "store"), workers=1, environment=environment) as running:
        yield running


def stop_in_the_middle(
    cluster, tmp_path, seconds: float, *numbers: signal.Signals
) -> tuple[dict, float]:
    """Submit a page that takes so long, stop the worker in it; the batch's end, the stop's time."""
    pages = [warc_record(f"http://x.example/{i}", html_page("P", prose(i)), n=i) for i in range(3)]
    slow = warc_record(f"http://x.example/sleep/{seconds}", html_page("S", prose(9)), n=9)
    archive = tmp_path / f"slow-{seconds}.warc.gz"
    archive.write_bytes(warc_gz([*pages, slow]))
    steps = [{"extraction.records_v1": {}}, {"extraction.sleep_v1": {}}]
    body = {"sources": [str(archive)], "recipe": {"name": "slow", "steps": steps}}
    worker = cluster.children["worker-0"]
    with Client(cluster.url) as client:
        batch = client.post("/v1/batches", body)["id"]
        wait_for(lambda: list((tmp_path.parent).glob(f"*/slept/*{seconds}")), why="the slow page")
        process, started = worker.process, time.monotonic()
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.1)
        assert process.wait(30) == 0
        took = time.monotonic() - started
        state = finish(client, batch, 30)
    balance(state)
    assert state["state"] == "finished"
    assert state["funnel"]["kept"] == 4
    return state, took


def attempts(cluster, state) -> set[int]:
    """The numbers of the tries that committed."""
    store = Store(cluster.store)
    keys = [e.key for e in store.list("verdicts/") if e.key.endswith(".json")]
    assert keys
    return {store.get_json(key)["attempt"] for key in keys}


def test_a_long_task_is_handed_back(cluster, tmp_path):
    leases = Leases(cluster.redis_url)
    before = leases.counts("extraction").get("done", 0)
    state, took = stop_in_the_middle(cluster, tmp_path, 60, *TWICE)
    assert 0.5 * GRACE_SECONDS < took < GRACE_SECONDS + 0.5
    assert attempts(cluster, state) == {1}, "the stopped try must not count"
    counts = leases.counts("extraction")
    assert (counts["done"], counts["careful"]) == (before + 1, 0)
    wait_for(lambda: not leases.redis.hlen("unacked"), 5, why="its message is settled")
    assert "handed back" in cluster.children["worker-0"].tail()


def test_a_short_task_ends_first(cluster, tmp_path):
    leases = Leases(cluster.redis_url)
    before = leases.counts("extraction").get("done", 0)
    state, took = stop_in_the_middle(cluster, tmp_path, 0.7, *TWICE)
    assert took < GRACE_SECONDS
    assert attempts(cluster, state) == {1}
    assert leases.counts("extraction")["done"] == before + 1
    wait_for(lambda: not leases.redis.hlen("unacked"), 5, why="its message is settled")
    assert not leases.running()


@pytest.mark.parametrize(
    ("seconds", "numbers"), [(61, (signal.SIGQUIT,)), (62, (signal.SIGINT, signal.SIGINT))]
)
def test_a_task_is_handed_back_at_once(seconds, numbers, cluster, tmp_path):
    state, took = stop_in_the_middle(cluster, tmp_path, seconds, *numbers)
    assert took < 0.5 * GRACE_SECONDS
    assert attempts(cluster, state) == {1}
