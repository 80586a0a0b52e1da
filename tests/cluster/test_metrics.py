"""Metrics of a real cluster add up to what the batch's accounts say; lines of logs name the task."""

import json
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from services.gateway.cli import app
from services.gateway.client import Client
from services.gateway.cluster import Cluster
from shared.metrics import FAMILIES
from shared.store import Store
from tests.cluster.support import QUICK, RECIPE, finish, wait_for
from tests.otlp import Receiver, attributes

Samples = dict[tuple[str, frozenset], float]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture(scope="module")
def cluster(receiver, tmp_path_factory) -> Iterator[Cluster]:
    store = tmp_path_factory.mktemp("store")
    environment = {**QUICK, "CORPUSMILL_OTLP_ENDPOINT": receiver.url}
    with Cluster(str(store), workers=1, environment=environment, metrics=True) as running:
        yield running


@pytest.fixture(scope="module")
def state(cluster, archives):
    """A finished batch."""
    with Client(cluster.url) as client:
        body = {"sources": [str(archives[0])], "recipe": RECIPE, "shard_bytes": 8000}
        state = finish(client, client.post("/v1/batches", body)["id"])
    assert state["state"] == "finished"
    return state


def ask(cluster: Cluster, process: str, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{cluster.metrics_ports[process]}{path}", timeout=10)


def scrape(cluster: Cluster, process: str) -> Samples:
    samples: Samples = {}
    for family in text_string_to_metric_families(ask(cluster, process, "/metrics").text):
        assert family.name in FAMILIES or f"{family.name}_total" in FAMILIES
        for sample in family.samples:
            samples[sample.name, frozenset(sample.labels.items())] = sample.value
    return samples


def value(samples, name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(v for (n, found), v in samples.items() if n == name and wanted <= found)


def accounts(state) -> dict[tuple[str, str], int]:
    """What the verdicts of a batch add up to: (rule, verdict) to documents."""
    found = {("", "kept"): state["funnel"]["kept"]}
    for stage in state["funnel"]["stages"]:
        for rule in stage.get("rules", []):
            found[rule["rule"], "dropped"] = rule["documents"]
    for step, n in state["funnel"]["failures"].items():
        found[step, "failed"] = n
    return {k: n for k, n in found.items() if n}


def test_counters_are_the_accounts(cluster, state):
    counted = scrape(cluster, "worker-0")
    verdicts = {
        (dict(labels)["rule"], dict(labels)["verdict"]): n
        for (name, labels), n in counted.items()
        if name == "corpusmill_verdicts_total"
    }
    assert verdicts == accounts(state)
    assert sum(verdicts.values()) == state["funnel"]["documents"]
    rows = [s for s in state["funnel"]["stages"] if "entered" in s]
    for queue in ("extraction", "langid", "quality", "dedup"):
        entered = sum(s["entered"] for s in rows if s["service"] == queue)
        assert value(counted, "corpusmill_documents_total", queue=queue) == entered
        tasks = sum(s["tasks"] for s in state["funnel"]["stages"] if s["service"] == queue)
        done = value(counted, "corpusmill_task_seconds_count", queue=queue, outcome="committed")
        assert done == tasks
        assert value(counted, "corpusmill_bytes_total", queue=queue, direction="written") > 0
    read = value(counted, "corpusmill_bytes_total", queue="extraction", direction="read")
    assert read >= state["source_bytes"]
    assert value(counted, "corpusmill_task_seconds_count", outcome="failed") == 0
    assert value(counted, "corpusmill_store_seconds_count", operation="put_if_absent") > 0


# Before anything is killed: a process takes the spans of its last two seconds with it.
def test_one_trace_from_the_rest_call_to_every_commit(cluster, receiver, state):
    tasks = sum(s["tasks"] for s in state["funnel"]["stages"])

    def own() -> list:
        return [s for s in receiver.spans if attributes(s).get("corpusmill.batch") == state["id"]]

    wait_for(lambda: len(own()) > tasks, 20, why="the spans")
    (root,) = [s for s in own() if not s.parent_span_id]
    assert root.name == "submit"
    work = [s for s in own() if s is not root]
    assert {s.trace_id for s in work} == {root.trace_id}
    assert {s.parent_span_id for s in work} == {root.span_id}
    committed = [attributes(s) for s in work if attributes(s)["corpusmill.outcome"] == "committed"]
    assert len({a["corpusmill.task"] for a in committed}) == len(committed) == tasks
    assert {a["corpusmill.queue"] for a in committed} == {s.name for s in work}
    parts = [s for s in receiver.spans if s.name == "commit" and s.trace_id == root.trace_id]
    assert len(parts) == tasks
    rows = next(s for s in state["funnel"]["stages"] if s["service"] == "quality")
    seen = sum(a["corpusmill.documents"] for a in committed if a["corpusmill.queue"] == "quality")
    assert seen == rows["entered"]


def test_a_killed_process_takes_no_count_with_it(cluster, state):
    """Counts of the process that runs tasks stay when it is killed and forked again."""
    import os
    import signal
    from pathlib import Path

    parent = cluster.children["worker-0"].process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children")
    before = scrape(cluster, "worker-0")
    old = [int(p) for p in children.read_text().split()]
    assert old
    for process in old:
        os.kill(process, signal.SIGKILL)
    wait_for(lambda: set(children.read_text().split()) - {str(p) for p in old}, 30)
    wait_for(lambda: all(not Path(f"/proc/{p}").exists() for p in old), 30)
    after = scrape(cluster, "worker-0")
    assert before
    assert {k: v for k, v in after.items() if k in before} == before


def test_the_gateway_tells_of_queues_and_requests(cluster, state):
    told = scrape(cluster, "gateway")
    assert value(told, "corpusmill_backlog_tasks") == 0
    assert value(told, "corpusmill_backlog_seconds") == 0
    assert value(told, "corpusmill_queue_workers", queue="dedup") == 1
    assert value(told, "corpusmill_batches", state="finished") == 1
    done = sum(s["tasks"] for s in state["funnel"]["stages"])
    assert value(told, "corpusmill_tasks_total", outcome="done") >= done
    assert value(told, "corpusmill_valkey_memory_bytes") > 100_000
    route = {"method": "GET", "route": "/v1/batches/{batch_id}", "status": "200"}
    assert value(told, "corpusmill_http_request_seconds_count", **route) > 0
    with Client(cluster.url) as client:
        for queue in client.get("/v1/queues")["items"]:
            assert queue["backlog"] == queue["ready"] + queue["blocked"] + queue["in_flight"] == 0
            assert queue["seconds_estimate"] > 0
        entry = client.get("/v1/queues/quality", target_seconds=60)
        assert entry["workers_wanted"] == 0.0


def test_probes(cluster, state):
    for process in cluster.metrics_ports:
        assert ask(cluster, process, "/healthz").status_code == 200
        assert ask(cluster, process, "/readyz").status_code == 200
        assert ask(cluster, process, "/else").status_code == 404


def test_lines_of_logs_name_batch_shard_stage_and_task(cluster, state):
    with Client(cluster.url) as client:
        lines = wait_for(
            lambda: client.get(f"/v1/batches/{state['id']}/logs", limit=500)["items"], 10
        )
        half = client.get(f"/v1/batches/{state['id']}/logs", limit=len(lines) // 2)
        assert half["more"]
        rest = client.get(f"/v1/batches/{state['id']}/logs", limit=500, after=half["last"])
    assert half["items"] + rest["items"] == lines
    committed = [line for line in lines if line["message"] == "committed"]
    assert len(committed) == sum(s["tasks"] for s in state["funnel"]["stages"])
    names = {s["stage"] for s in state["funnel"]["stages"]}
    for line in committed:
        assert line["batch"] == state["id"]
        assert line["stage"] in names
        assert line["task"].startswith(f"{state['id']}/")
        assert ("shard" in line) != ("partition" in line)
    assert any(line["message"].startswith("submitted") for line in lines)
    arguments = ["logs", state["id"], "--follow", "--url", cluster.url]
    shown = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert shown.output.count(" committed ") == len(committed)
    keys = Store(cluster.store).list(f"batches/{state['id']}/")
    assert not [e for e in keys if "log" in e.key]


def test_the_gateway_logs_requests_but_no_probes(cluster, state):
    lines = [json.loads(x) for x in cluster.children["gateway"].log.read_text().splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    submitted = [line for line in requests if line["method"] == "POST"]
    assert [(line["route"], line["status"]) for line in submitted] == [("/v1/batches", 201)]
    assert all(line["ms"] > 0 for line in requests)
    assert not {"/healthz", "/readyz", "/metrics"} & {line["route"] for line in requests}
