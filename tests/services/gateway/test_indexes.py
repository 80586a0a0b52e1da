"""Indexes over REST and on the command line: a real gateway, and tasks run in this process."""

import json
import time

import pytest

from services.dedup.compaction import advance
from shared.errors import ConflictError, NotFoundError, UsageError
from shared.indexes.log import history, read_log
from shared.indexes.rebuilding import missing_tasks
from shared.run import run_task
from shared.stages import compile_batch
from shared.testing import drive
from tests.shared.indexes.support import recipe, write_documents

STEP = "near_duplicates_v1"


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexed")
    seeds = ([1, 2, 3], [3, 4, 5], [5, 6, 1])
    return [write_documents(folder, f"day-{i}.jsonl", s) for i, s in enumerate(seeds)]


@pytest.fixture(scope="module")
def news(gateway, paths):
    """Three finished batches of the index `news`."""
    return [gateway.run([path], recipe("news")) for path in paths]


def find(gateway, name: str):
    return next(i for i in gateway.client.pages("/v1/indexes") if i["name"] == name)


def until(what, seconds: float = 30.0):
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def test_batches_drop_what_earlier_ones_have(news):
    assert [b["funnel"]["kept"] for b in news] == [3, 2, 1]


def test_list_and_show(gateway, news):
    told = find(gateway, "news")
    assert told["step"] == STEP
    assert told["kind"]["minhash_v1"]["bands"] == 14
    assert told["batches"] == told["uncompacted"] == 3
    # 14 bands of nine documents.
    assert told["entries"] == 9 * 14
    assert told["bytes"] > 14 * told["entries"]
    assert (told["compactions"], told["waiting"], told["compaction"]) == ([], [], "idle")
    (step,) = gateway.client.get("/v1/indexes/news")["steps"]
    assert [m["batch"] for m in step["members"]] == [b["id"] for b in news]
    assert all(m["ready"] and m["state"] == "finished" for m in step["members"])
    items = json.loads(gateway.cli("index", "list", "--json"))
    assert next(i for i in items if i["name"] == "news") == told
    shown = "".join(gateway.cli("index", "list").split())
    assert "126" in shown
    assert "idle" in shown
    assert news[0]["id"][:15] in gateway.cli("index", "show", "news")


def test_what_is_not_there(gateway):
    for method, path in (
        ("GET", "/v1/indexes/none"),
        ("POST", "/v1/indexes/none/compact"),
        ("POST", "/v1/indexes/none/rebuild"),
        ("DELETE", "/v1/indexes/none"),
        ("DELETE", "/v1/indexes/none/batches/b"),
    ):
        with pytest.raises(NotFoundError, match="none"):
            gateway.client.call(method, path)


def test_keys_of_another_kind_are_refused_at_submission(gateway, news, paths):
    body = {"sources": [str(paths[0])], "recipe": recipe("news", rows=9)}
    with pytest.raises(UsageError, match=r"minhash_v1.rows: 8 in the index, 9 here") as caught:
        gateway.client.post("/v1/batches", body)
    assert caught.value.field == "steps.3.params.index"
    assert find(gateway, "news")["batches"] == len(news)


def test_an_idempotent_submission_joins_once(gateway, paths):
    body = {"sources": [str(paths[0])], "recipe": recipe("once")}
    first, second = (
        gateway.client.post("/v1/batches", body, **{"Idempotency-Key": "once"}) for _ in range(2)
    )
    assert first["id"] == second["id"]
    members = history(read_log(gateway.store), f"once/{STEP}").members
    assert [m.batch for m in members] == [first["id"]]


def test_a_batch_says_for_whom_it_waits(gateway, paths):
    first, second = (
        gateway.client.post("/v1/batches", {"sources": [str(p)], "recipe": recipe("waits")})["id"]
        for p in paths[:2]
    )
    drive(gateway.store, gateway.read(second))
    told = gateway.client.get(f"/v1/batches/{second}")
    (wait,) = told["waits"]
    # Its documents are read, since others have read the same.
    assert wait.pop("state") == "running"
    stage = f"dedup.{STEP}.match"
    assert wait == {"stage": stage, "index": f"waits/{STEP}", "batch": first}
    assert told["state"] == "running"
    assert f"waits for batch {first} (running)" in " ".join(gateway.cli("status", second).split())
    assert find(gateway, "waits")["waiting"] == [{"batch": second, "for": first}]
    assert f"{second} waits for batch {first}" in gateway.cli("index", "show", "waits")
    for path, method in (("", "DELETE"), (f"/batches/{first}", "DELETE"), ("/rebuild", "POST")):
        with pytest.raises(ConflictError, match="not ended"):
            gateway.client.call(method, f"/v1/indexes/waits{path}")
    # A batch that was cancelled before it sorted may be dropped; the other goes on without it.
    gateway.client.post(f"/v1/batches/{first}/cancel")
    until(lambda: gateway.client.get(f"/v1/batches/{first}")["state"] == "cancelled")
    assert gateway.client.get(f"/v1/batches/{second}")["waits"][0]["state"] == "cancelled"
    gateway.cli("index", "drop", "waits", "--batch", first)
    assert gateway.client.get(f"/v1/batches/{second}")["waits"] == []
    drive(gateway.store, gateway.read(second))
    state = until(
        lambda: (s := gateway.client.get(f"/v1/batches/{second}"))["state"] == "finished" and s
    )
    assert state["funnel"]["kept"] == 3


def test_compaction_on_demand(gateway, news):
    """The gateway asks, the queue has a message, the worker's job merges."""
    index = f"news/{STEP}"
    assert f"asked for a compaction of {index}" in gateway.cli("index", "compact", "news")
    queued = until(
        lambda: next(
            q["depth"] for q in gateway.client.get("/v1/queues")["items"] if q["queue"] == "dedup"
        )
    )
    assert queued >= 1
    assert find(gateway, "news")["compaction"] == "asked"
    advance(gateway.store, index, 60)
    told = find(gateway, "news")
    assert told["entries"] == 9 * 14
    assert (told["uncompacted"], told["compaction"]) == (0, "idle")
    assert [(c["batches"], c["entries"]) for c in told["compactions"]] == [(3, 9 * 14)]
    assert told["stored_bytes"] == told["bytes"]
    assert len(news) == told["batches"]


def test_rebuild(gateway, news):
    """Lost runs are computed again by tasks that the conductor sends for batches that ended."""
    index = f"news/{STEP}"
    lost = next(
        e.key
        for e in gateway.store.list("columns/")
        if e.key.endswith(".run") and _belongs(gateway, e.key, news[1]["id"])
    )
    before = gateway.store.get(lost)
    gateway.store.delete(lost)
    answer = json.loads(gateway.cli("index", "rebuild", "news", "--json"))
    assert answer["tasks"] == {index: 1}
    assert find(gateway, "news")["compaction"] == "rebuilding"
    ((service, ref),) = missing_tasks(gateway.store, index)
    assert (service, ref.batch) == ("dedup", news[1]["id"])
    run_task(gateway.store, compile_batch(gateway.read(ref.batch)), ref)
    until(lambda: find(gateway, "news")["compaction"] == "idle")
    assert gateway.store.get(lost) == before
    assert gateway.client.get(f"/v1/batches/{ref.batch}")["state"] == "finished"


def _belongs(gateway, key: str, batch: str) -> bool:
    stages = compile_batch(gateway.read(batch)).stages
    return any(key.startswith(s.folder) for s in stages)


def test_dropping_and_deleting(gateway, news, paths):
    """After dropping, a batch with the documents of the dropped ones keeps them."""
    gateway.cli("index", "drop", "news", "--batch", news[0]["id"])
    told = gateway.client.get("/v1/indexes/news")["steps"][0]["members"]
    assert [m["state"] for m in told] == ["dropped", "finished", "finished"]
    # Document 1 is in the third batch too, 3 in the second.
    again = gateway.run([paths[0]], recipe("news"))
    assert again["funnel"]["kept"] == 1
    assert gateway.client.call("DELETE", f"/v1/batches/{again['id']}")["objects_removed"] > 5
    members = history(read_log(gateway.store), f"news/{STEP}").members
    assert [m.batch for m in members] == [b["id"] for b in news[1:]]
    assert "objects removed" in gateway.cli("index", "drop", "news")
    with pytest.raises(NotFoundError, match="no index news"):
        gateway.client.get("/v1/indexes/news")
    fresh = gateway.run([paths[1]], recipe("news"))
    assert fresh["funnel"]["kept"] == 3
