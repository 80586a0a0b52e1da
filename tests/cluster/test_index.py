"""An index over REST: real queue, real workers; a second batch drops what the first has."""

import pytest

from tests.cluster.support import balance, finish, wait_for
from tests.shared.indexes.support import recipe, write_documents

RULE = "near_duplicates_v1.near_duplicate"


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    folder = tmp_path_factory.mktemp("days")
    return [
        write_documents(folder, "monday.jsonl", list(range(12))),
        write_documents(folder, "tuesday.jsonl", list(range(8, 20))),
    ]


def submit(client, path, **more):
    body = {"sources": [str(path)], "recipe": recipe("cluster"), "shard_bytes": 9000, **more}
    return client.post("/v1/batches", body)["id"]


def test_two_batches_at_once_and_a_compaction(client, days):
    """Both are submitted before either has begun: the second waits where it has to."""
    ids = [submit(client, path) for path in days]
    first, second = (finish(client, batch) for batch in ids)
    for state in (first, second):
        assert state["state"] == "finished", state["failures"]
        balance(state)
    assert (first["funnel"]["kept"], second["funnel"]["kept"]) == (12, 8)
    dropped = list(client.pages(f"/v1/batches/{ids[1]}/documents", rule=RULE))
    assert len(dropped) == 4
    life = client.get(f"/v1/batches/{ids[1]}/documents/{dropped[0]['document']}")
    measured = next(s for s in life["steps"] if s["step"].endswith("near_duplicates_v1"))
    assert measured["measurements"]["cluster"]["value"].startswith("monday.jsonl:")
    assert measured["measurements"]["matched"]["value"].startswith("monday.jsonl:")

    client.post("/v1/indexes/cluster/compact")
    (step,) = wait_for(
        lambda: (s := client.get("/v1/indexes/cluster")["steps"])[0]["compactions"] and s,
        60,
        0.2,
        "the compaction",
    )
    assert (step["uncompacted"], step["entries"]) == (0, 24 * 14)
    third = finish(client, submit(client, days[0]))
    assert (third["funnel"]["documents"], third["funnel"]["kept"]) == (12, 0)
