"""Ready, blocked and in-flight tasks, and seconds of work, from real batches and a real Valkey."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from prometheus_client import generate_latest

from services.gateway import backlog
from services.gateway.backlog import SECONDS_A_TASK, BacklogMeter, Look, read_snapshot
from services.gateway.catalog import BatchView, Catalog
from services.gateway.cluster import Cluster
from services.gateway.collector import GatewayCollector
from services.gateway.conductor import Conductor
from services.gateway.figures import Figures
from shared.errors import NotFoundError, UsageError
from shared.estimates import STAGES, Estimates
from shared.leases import Leases
from shared.plan import runnable
from shared.progress import Funnel
from shared.run import run_task
from shared.settings import Settings
from shared.stages import compile_batch
from shared.store import Store
from shared.testing import make_batch
from tests.services.gateway.conftest import RECIPE, write_pages

LEASE = timedelta(seconds=20)


@pytest.fixture(scope="module")
def leases(tmp_path_factory) -> Iterator[Leases]:
    """A Valkey of its own."""
    cluster = Cluster(str(tmp_path_factory.mktemp("unused")))
    cluster._define()
    cluster.children = {"valkey": cluster.children["valkey"]}
    cluster.children["valkey"].start()
    leases = Leases(cluster.redis_url)
    deadline = time.monotonic() + 20
    while not (cluster.run_folder / "valkey.sock").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield leases
    leases.redis.close()
    cluster.stop()


@pytest.fixture
def here(leases, tmp_path):
    """A store with a batch of some shards, and what a conductor has."""
    leases.redis.flushall()
    store = Store(str(tmp_path / "store"))
    batch = make_batch(write_pages(tmp_path / "crawl", 20, 2), RECIPE, shard_bytes=5000)
    store.put_json(f"batches/{batch.id}/batch.json", batch.model_dump(mode="json"))
    catalog = Catalog(store)
    return Here(leases, catalog, BacklogMeter(catalog, leases), catalog.view(batch.id))


class Here:
    def __init__(self, leases, catalog, meter, view):
        self.leases, self.catalog, self.meter, self.view = leases, catalog, meter, view
        self.shards = len(view.batch.shards)
        self.services = [s.service for s in view.pipeline.stages]

    def look(self, blocked=frozenset(), failed=frozenset(), jobs=()):
        self.catalog.refresh(self.view)
        look = Look()
        look.add(self.view, blocked, failed)
        look.jobs |= dict(jobs)
        self.meter._means_read = -1e9  # a new look may be much later
        self.meter.publish(look, [])
        return read_snapshot(self.leases).queues

    def run(self, tasks: int) -> None:
        """Run so many of the tasks that can run."""
        for _ in range(tasks):
            self.catalog.refresh(self.view)
            # The last one: of the earliest stage.
            refs = list(runnable(self.view.pipeline, self.view.funnel.committed()))
            run_task(self.catalog.store, self.view.pipeline, refs[-1])


def test_a_new_batch_has_a_sensible_estimate(here):
    assert here.services == ["extraction", "langid", "quality"]
    assert here.shards > 3
    queues = here.look()
    assert queues["extraction"].ready == here.shards
    assert queues["extraction"].blocked == 0
    assert queues["extraction"].seconds == here.shards * SECONDS_A_TASK["extraction"]
    for service in ("langid", "quality"):
        work = queues[service]
        assert (work.ready, work.blocked, work.seconds) == (0, here.shards, 0.0)
        assert work.seconds_estimate == SECONDS_A_TASK[service]
    assert queues["dedup"].ready == queues["dedup"].blocked == 0


@pytest.mark.parametrize("seed", range(20))
def test_counting_agrees_with_planning(seed, tmp_path):
    """Wherever a batch with steps of all kinds stands: as many ready tasks as the plan names."""
    rng = random.Random(seed)
    (tmp_path / "x.warc.gz").write_bytes(b"x" * 20_000)
    batch = make_batch([tmp_path / "x.warc.gz"], "refinedweb-lite", shard_bytes=2048)
    pipeline = compile_batch(batch)
    view = BatchView(pipeline, Funnel(pipeline))
    done = view.funnel.stages
    for _ in range(rng.randrange(60)):
        refs = list(runnable(pipeline, view.funnel.committed()))
        if refs:
            ref = rng.choice(refs)
            done[ref.stage].done.add(ref.unit)
    look = Look()
    look.add(view, frozenset(), frozenset())
    planned = Counter(r.stage for r in runnable(pipeline, view.funnel.committed()))
    assert {w.key[1]: w.ready for w in look.stages if w.ready} == planned
    left = sum(t.tasks - len(t.done) for t in done.values())
    assert sum(w.ready + w.blocked for w in look.stages) == left


def test_what_was_measured_counts_the_nearest_first(here):
    extraction = here.view.pipeline.stages[0]
    here.leases.count("extraction", done=4, milliseconds=12_000)
    assert here.look()["extraction"].seconds_estimate == 3.0
    Estimates(here.leases.redis).note("extraction", extraction.name, 7.0)
    assert here.look()["extraction"].seconds_estimate == 7.0
    here.run(2)
    receipts = [
        here.catalog.store.get_json(e.key)["seconds"]
        for e in here.catalog.store.list(extraction.folder)
        if e.key.endswith(".json")
    ]
    queues = here.look()
    assert len(receipts) == 2
    mean = sum(receipts) / 2
    assert queues["extraction"].ready == here.shards - 2
    assert queues["extraction"].seconds == pytest.approx((here.shards - 2) * mean)
    assert queues["langid"].ready == 2
    assert queues["langid"].blocked == here.shards - 2


def test_columns_that_are_only_read_are_cheap(here, tmp_path):
    """Another threshold in the last step: its columns are there, so the tasks take next to nothing."""
    here.run(3 * here.shards)
    changed = {**RECIPE, "steps": [*RECIPE["steps"][:-1]]}
    changed["steps"].append({**RECIPE["steps"][-1], "keep": {"words_min": "words >= 61"}})
    archives = [s.uri for s in here.view.batch.sources]
    batch = make_batch([tmp_path / a for a in archives], changed, shard_bytes=5000, name="again")
    here.catalog.store.put_json("batches/again/batch.json", batch.model_dump(mode="json"))
    here.view = here.catalog.view("again")
    Estimates(here.leases.redis).note("quality", here.view.pipeline.stages[2].name, 50.0)
    assert here.look()["quality"].seconds == here.shards * 50.0  # all that is known so far
    here.run(1)
    receipt = here.view.funnel
    here.catalog.refresh(here.view)
    totals = receipt.stages[2]
    assert totals.reused == 1
    queues = here.look()
    assert queues["quality"].seconds == pytest.approx((here.shards - 1) * totals.wall_seconds)
    assert queues["quality"].seconds < here.shards


def test_a_task_in_flight_is_not_ready(here):
    first = here.view.batch.shards[0].id
    with here.leases.hold(f"lease:{here.view.batch.id}/0/{first}", LEASE):
        deadline = time.monotonic() + 5
        while not here.leases.running() and time.monotonic() < deadline:
            time.sleep(0.01)
        work = here.look()["extraction"]
    assert (work.in_flight, work.ready) == (1, here.shards - 1)
    assert work.seconds == (here.shards - 1) * SECONDS_A_TASK["extraction"]


def test_what_failed_for_good_and_what_waits_for_another_batch(here):
    first = here.view.batch.shards[0].id
    failed = {f"{here.view.batch.id}/0/{first}"}
    assert here.look(failed=failed)["extraction"].ready == here.shards - 1
    work = here.look(blocked={0})["extraction"]
    assert (work.ready, work.blocked) == (0, here.shards)


def test_runs_and_indexes_count(here):
    jobs = {"run/a": "training", "run/b": "training", "index/web/minhash": "dedup"}
    with here.leases.hold("lease:run/a", LEASE):
        deadline = time.monotonic() + 5
        while not here.leases.running() and time.monotonic() < deadline:
            time.sleep(0.01)
        queues = here.look(jobs=jobs.items())
    training = queues["training"]
    assert (training.in_flight, training.ready) == (1, 1)
    assert training.seconds == SECONDS_A_TASK["training"]
    assert queues["dedup"].ready == 1


def test_ends_are_read_once_and_a_few_a_look(here, monkeypatch):
    monkeypatch.setattr(backlog, "_READ_ENDS", 2)
    names = [f"b{i}" for i in range(5)]
    for i, name in enumerate(names):
        state = "failed" if i == 4 else "finished"
        here.catalog.store.put_json(f"batches/{name}/end.json", {"state": state})
    seen = [here.meter.publish(Look(), names).batches for _ in range(4)]
    assert seen == [
        {"finished": 1, "failed": 1, "ended": 3},
        {"finished": 3, "failed": 1, "ended": 1},
        {"finished": 4, "failed": 1},
        {"finished": 4, "failed": 1},
    ]
    assert here.meter.publish(Look(), names[:4]).batches == {"finished": 4}  # a retry


def test_the_decaying_mean_follows_and_stays_bounded(leases):
    leases.redis.flushall()
    estimates = Estimates(leases.redis)
    for seconds in (10.0, 20.0, 30.0):
        estimates.note("quality", "a", seconds)
    key = ("quality", "a")
    assert estimates.means([key, ("quality", "b")]) == {key: 20.0}
    for _ in range(100):
        estimates.note("quality", "a", 5.0)
    assert estimates.means([key])[key] == pytest.approx(5.0, rel=0.02)
    for i in range(STAGES + 5):
        estimates.note("quality", f"stage {i}", 1.0)
    assert leases.redis.hlen("corpusmill:seconds") <= STAGES


def test_a_gateway_that_stands_by_says_the_same_and_an_old_snapshot_nothing(here, monkeypatch):
    conf = Settings(redis="redis://127.0.0.1:1")
    conductor = Conductor(here.catalog, here.leases, conf)  # that never looks
    standby = Figures(here.leases)
    here.look()
    entry = next(e for e in standby.queues() if e["queue"] == "extraction")
    assert entry["ready"] == here.shards
    assert entry["backlog_seconds"] == here.shards * SECONDS_A_TASK["extraction"]
    assert entry["eta_seconds"] is None
    collector = GatewayCollector(here.catalog, conductor, standby, here.leases)
    wanted = f'corpusmill_backlog_tasks{{queue="extraction",state="ready"}} {here.shards}.0'

    class Registry:
        def collect(self):
            return collector.collect()

    assert wanted in generate_latest(Registry()).decode()
    monkeypatch.setattr(backlog, "STALE_SECONDS", -1.0)
    text = generate_latest(Registry()).decode()
    assert "corpusmill_backlog_tasks{" not in text
    assert "corpusmill_backlog_seconds{" not in text
    assert 'corpusmill_queue_depth{queue="extraction"}' in text


def test_over_rest(gateway, pages):
    body = {"sources": [str(p) for p in pages], "recipe": RECIPE, "shard_bytes": 8000}
    batch = gateway.client.post("/v1/batches", body)
    deadline = time.monotonic() + 20
    while True:
        entry = gateway.client.get("/v1/queues/extraction", target_seconds=70)
        if entry["ready"] >= batch["shards"]:
            break
        assert time.monotonic() < deadline, entry
        time.sleep(0.1)
    assert entry["backlog"] == entry["ready"] + entry["blocked"] + entry["in_flight"]
    assert entry["backlog_seconds"] > 0
    assert entry["workers_wanted"] == pytest.approx(entry["backlog_seconds"] / 70, abs=1e-3)
    assert "workers_wanted" not in gateway.client.get("/v1/queues/extraction")
    with pytest.raises(NotFoundError):
        gateway.client.get("/v1/queues/none")
    with pytest.raises(UsageError):
        gateway.client.get("/v1/queues/extraction", target_seconds=0)
    with pytest.raises(UsageError):
        gateway.client.get(f"/v1/batches/{batch['id']}/logs", after="x")
    gateway.client.post(f"/v1/batches/{batch['id']}/cancel")
    lines = gateway.client.get(f"/v1/batches/{batch['id']}/logs")["items"]
    assert [line["message"] for line in lines] == [
        f"submitted: 2 sources, {batch['shards']} shards"
    ]
    with pytest.raises(NotFoundError):
        gateway.client.get("/v1/batches/none/logs")
