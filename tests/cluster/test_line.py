"""The whole line over REST: submit, watch, explain, trace, train."""

import httpx
import pytest

from shared.errors import ConflictError, NotFoundError, UsageError
from shared.store import Store
from tests.cluster.support import RECIPE, balance, finish, wait_for


@pytest.fixture(scope="module")
def batch(client, archives):
    """A finished batch of three archives, sent by upload."""
    uris = [client.upload(path) for path in archives]
    body = {"sources": uris, "recipe": RECIPE, "shard_bytes": 9000}
    submitted = client.post("/v1/batches", body, **{"Idempotency-Key": "line"})
    again = client.post("/v1/batches", body, **{"Idempotency-Key": "line"})
    assert again["id"] == submitted["id"]
    return finish(client, submitted["id"])


@pytest.fixture(scope="module")
def run(client, batch):
    """A finished run on the batch's dataset."""
    body = {
        "dataset": batch["datasets"][0],
        "preset": "tiny",
        "steps": 4,
        "batch_size": 2,
        "checkpoint_every": 2,
    }
    submitted = client.post("/v1/runs", body)

    def ended():
        state = client.get(f"/v1/runs/{submitted['id']}")
        return state if state["state"] in ("finished", "failed") else None

    return wait_for(ended, 100, 0.5, "the run to end")


def documents(client, batch, **filters):
    return list(client.pages(f"/v1/batches/{batch['id']}/documents", **filters))


def test_accounts_balance(batch):
    assert batch["state"] == "finished"
    assert batch["funnel"]["records"] == {"response": 72}
    assert batch["funnel"]["documents"] == 72
    balance(batch)
    rules = {
        r["rule"]: r["documents"] for s in batch["funnel"]["stages"] for r in s.get("rules", [])
    }
    assert rules["fasttext_v1.language"] == 9
    assert rules["exact_duplicates_v1.exact_duplicate"] == 9
    assert rules["near_duplicates_v1.near_duplicate"] == 9


def test_documents_by_verdict_and_rule(client, batch):
    kept = documents(client, batch, verdict="kept")
    dropped = documents(client, batch, verdict="dropped")
    assert len(kept) == batch["funnel"]["kept"]
    assert len(dropped) == batch["funnel"]["dropped"]
    german = documents(client, batch, rule="fasttext_v1.language")
    assert {d["language"] for d in german} == {"de"}
    assert {d["document"] for d in documents(client, batch, language="de")} == {
        d["document"] for d in german
    }
    assert len(documents(client, batch, url="site-3.")) > 0
    with pytest.raises(UsageError, match="no rule 'nonsense'"):
        documents(client, batch, rule="nonsense")


def test_pages_of_documents_join_without_gap_or_overlap(client, batch):
    path, seen, cursor = f"/v1/batches/{batch['id']}/documents", [], None
    while True:
        page = client.get(path, cursor=cursor, limit=7)
        seen += [d["document"] for d in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 72


def test_life_of_a_kept_page(client, batch):
    document = documents(client, batch, verdict="kept")[0]["document"]
    told = client.get(f"/v1/batches/{batch['id']}/documents/{document}")
    assert told["verdict"]["state"] == "kept"
    assert told["verdict"]["final"]
    assert all(rule["holds"] for rule in told["rules"])
    assert len(told["rules"]) > 25
    assert told["text"].count("the") > 20
    assert told["spans"][0]["dataset"] == batch["datasets"][0]
    steps = {s["step"]: s["measurements"] for s in told["steps"]}
    assert steps["langid.fasttext_v1"]["language"]["value"] == "en"
    assert steps["quality.gopher_quality_v1"]["words"]["value"] > 50


def test_life_of_a_dropped_page(client, batch):
    document = documents(client, batch, rule="gopher_quality_v1.words_min")
    document = document or documents(client, batch, verdict="dropped")
    told = client.get(f"/v1/batches/{batch['id']}/documents/{document[0]['document']}")
    assert told["verdict"]["state"] == "dropped"
    failing = [rule for rule in told["rules"] if not rule["holds"]]
    assert [f["rule"] for f in failing] == [told["verdict"]["rule"]]
    assert str(failing[0]["value"]) == told["verdict"]["value"]
    assert told["verdict"]["threshold"]
    assert told["spans"] == []


def test_replay_from_the_archive_gives_the_bytes(client, cluster, batch):
    document = documents(client, batch, verdict="kept")[-1]["document"]
    answer = httpx.get(f"{cluster.url}/v1/batches/{batch['id']}/payloads/{document}")
    assert answer.content.startswith(b"<!DOCTYPE html>")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_second_recipe_extracts_nothing_again(client, cluster, batch, archives):
    override = {"quality.gopher_quality_v1": {"keep": {"words_min": "words >= 587"}}}
    sources = [
        s["uri"]
        for s in Store(cluster.store).get_json(f"batches/{batch['id']}/batch.json")["sources"]
    ]
    body = {"sources": sources, "recipe": RECIPE, "overrides": override, "shard_bytes": 9000}
    second = finish(client, client.post("/v1/batches", body)["id"])
    balance(second)
    assert second["funnel"]["kept"] < batch["funnel"]["kept"]
    store = Store(cluster.store)
    computed = set()
    for entry in store.list("verdicts/"):
        if entry.key.endswith(".json") and entry.modified.timestamp() > _created(second):
            computed |= set(store.get_json(entry.key)["tally"]["computed"])
    assert computed, "the new threshold needs what comes after it"
    assert not {n for n in computed if n.startswith(("extraction.", "langid.", "quality."))}


def _created(batch) -> float:
    from datetime import datetime

    return datetime.fromisoformat(batch["created"]).timestamp()


def test_trace_both_ways(client, batch, run):
    assert run["state"] == "finished", run.get("error")
    seen = list(client.pages(f"/v1/runs/{run['id']}/steps/2/documents"))
    assert seen
    kept = {d["document"] for d in documents(client, batch, verdict="kept")}
    assert {s["document"] for s in seen} <= kept
    one = seen[0]
    back = list(client.pages("/v1/trace/documents", batch=batch["id"], document=one["document"]))
    assert 2 in next(r for r in back if r["run"] == run["id"])["steps"]
    assert one["archive"].endswith(".warc.gz")
    assert one["document"].endswith(f":{one['offset']}")


def test_run_has_metrics_and_a_sample(run):
    assert [m["step"] for m in run["metrics"]] == [1, 2, 3, 4]
    assert all(m["loss"] > 0 and m["grad_norm"] > 0 for m in run["metrics"])
    assert run["sample"]


def test_queues_and_metrics(client, cluster):
    queues = {q["queue"]: q for q in client.get("/v1/queues")["items"]}
    assert set(queues) == {"extraction", "langid", "quality", "dedup", "export", "training"}
    assert queues["extraction"]["workers"] == 2
    assert queues["extraction"]["done"] > 0
    assert all(q["failed"] == 0 for q in queues.values())
    text = httpx.get(f"{cluster.url}/metrics").text
    assert 'corpusmill_queue_workers{queue="dedup"} 2.0' in text
    assert client.get("/healthz") == {"status": "ok"}
    assert client.get("/readyz") == {"status": "ready"}


def test_wrong_input_is_a_problem_document_that_names_the_field(client, cluster, archives):
    def problem(**body):
        answer = httpx.post(f"{cluster.url}/v1/batches", json=body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == 422
        return answer.json()

    good = str(archives[0])
    assert problem(sources=[good], recipe="nope")["field"] == "recipe"
    assert problem(sources=[], recipe="refinedweb-lite")["field"] == "sources"
    assert (
        problem(sources=[good, "/no/such.warc.gz"], recipe="refinedweb-lite")["field"]
        == "sources.1"
    )
    assert problem(sources=["x.warc.gz"], recipe="refinedweb-lite")["field"] == "sources.0"
    assert problem(sources=[good], recipe="refinedweb-lite", more=1)["field"] == "more"
    override = {"langid.fasttext_v1": {"keep": {"score": "score >= high"}}}
    bad = problem(sources=[good], recipe="refinedweb-lite", overrides=override)
    assert bad["field"] == "steps.3.keep.score"
    with pytest.raises(ConflictError, match="Idempotency-Key"):
        client.post(
            "/v1/batches", {"sources": [good], "recipe": RECIPE}, **{"Idempotency-Key": "line"}
        )
    with pytest.raises(NotFoundError, match="no batch nope"):
        client.get("/v1/batches/nope")


def test_cancel_retry_delete(client, cluster, archives):
    """A cancelled batch stops, goes on after a retry, and leaves nothing when it is deleted."""
    recipe = {
        **RECIPE,
        "name": "cancelled",
        "override": {
            **RECIPE["override"],
            "extraction.main_text_v1": {"params": {"engine": "trafilatura"}},
        },
    }
    body = {"sources": [str(archives[0])], "recipe": recipe, "shard_bytes": 1024}
    batch = client.post("/v1/batches", body)["id"]
    with pytest.raises(ConflictError, match="has not ended"):
        client.call("DELETE", f"/v1/batches/{batch}")
    client.post(f"/v1/batches/{batch}/cancel")
    assert finish(client, batch)["state"] == "cancelled"
    client.post(f"/v1/batches/{batch}/retry")
    state = finish(client, batch)
    assert state["state"] == "finished"
    balance(state)
    with pytest.raises(ConflictError, match="finished"):
        client.post(f"/v1/batches/{batch}/retry")
    assert client.call("DELETE", f"/v1/batches/{batch}")["objects_removed"] > 10
    with pytest.raises(NotFoundError):
        client.get(f"/v1/batches/{batch}")
    assert not list(Store(cluster.store).list(f"datasets/{state['datasets'][0]}/"))


def test_uploads_refuse_what_is_no_file(cluster):
    refused = httpx.post(f"{cluster.url}/v1/uploads", params={"name": "../x"}, content=b"x")
    assert refused.json()["field"] == "name"
    empty = httpx.post(f"{cluster.url}/v1/uploads", params={"name": "x.warc.gz"}, content=b"")
    assert empty.json()["field"] == "body"
