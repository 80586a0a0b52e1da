"""Documents around a rule's threshold, against the stored columns read plainly."""

import pytest

from services.gateway import around
from services.gateway.catalog import Catalog
from shared.columns import read_columns
from shared.errors import NotFoundError, UsageError
from shared.stages import compile_batch
from tests.services.gateway.test_signals import stored


def near(gateway, batch, rule, **parameters):
    return gateway.client.get(f"/v1/batches/{batch['id']}/rules/{rule}/around", **parameters)


def documents(gateway, batch) -> list[str]:
    pipeline = compile_batch(gateway.read(batch["id"]))
    folder = pipeline.column_folder(pipeline.recipe.steps[0])
    return [
        name
        for shard in pipeline.batch.shards
        for name in read_columns(gateway.store, folder, shard.id, ["document"])[
            "document"
        ].to_pylist()
    ]


@pytest.mark.parametrize("rule", ["words_min", "words_max"])
@pytest.mark.parametrize("limit", [1, 5, 100])
def test_the_nearest_of_both_sides_in_order(gateway, batch, rule, limit):
    told = near(gateway, batch, f"gopher_quality_v1.{rule}", limit=limit)
    table = stored(gateway, batch, "gopher_quality_v1", "words")
    words, by = table["words"].to_pylist(), table["rule"].to_pylist()
    threshold = {"words_min": 60, "words_max": 400}[rule]
    assert told["threshold"] == threshold
    passed_by = {
        "words_min": [None, "gopher_quality_v1.words_max"],
        "words_max": [None],
    }[rule]
    rows = list(zip(documents(gateway, batch), words, by, strict=True))
    dropped = [(d, w) for d, w, r in rows if r == f"gopher_quality_v1.{rule}"]
    kept = [(d, w) for d, w, r in rows if r in passed_by]
    for side, expected in (("dropped", dropped), ("kept", kept)):
        expected.sort(key=lambda row: abs(row[1] - threshold))
        found = [(item["document"], item["value"]) for item in told[side]]
        assert found == expected[:limit]
        assert len(found) > 0
    assert {item["state"] for item in told["dropped"]} == {"dropped"}
    assert told["final"]
    for item in told["kept"]:
        assert (item["dropped_by"] is None) == (item["state"] == "kept")
        assert item["url"].startswith("http")


def test_words_have_no_distance_so_the_first_are_told(gateway, batch):
    told = near(gateway, batch, "fasttext_v1.language", limit=3)
    assert told["threshold"] == "en"
    names = documents(gateway, batch)
    places = [names.index(item["document"]) for item in told["dropped"]]
    assert places == sorted(places)
    assert {item["value"] for item in told["kept"]} == {"en"}
    assert "en" not in {item["value"] for item in told["dropped"]}


def test_faults_are_named(gateway, batch):
    with pytest.raises(NotFoundError, match="has no rule 'none'; there are records_v1.http_status"):
        near(gateway, batch, "none")
    with pytest.raises(
        NotFoundError, match="has no rule 'records_v1'"
    ):  # a step's fault is no rule
        near(gateway, batch, "records_v1")
    with pytest.raises(UsageError, match="limit"):
        near(gateway, batch, "gopher_quality_v1.words_min", limit=0)


def test_only_the_nearest_are_held(gateway, batch, monkeypatch):
    """Of a pass over many chunks no more rows are kept than were asked for."""
    monkeypatch.setattr("services.gateway.stored.CHUNK_ROWS", 4)
    held = []
    add = around.Nearest.add

    def counted(self, *arguments):
        add(self, *arguments)
        held.append(max(len(self.distance), len(self.shard), len(self.row)))

    monkeypatch.setattr(around.Nearest, "add", counted)
    view = Catalog(gateway.store).view(batch["id"])
    told = around.tell(gateway.store, view, "gopher_quality_v1.words_min", 4, finished=False)
    assert max(held) == 4
    assert len(held) > 2 * len(view.batch.shards)
    whole = near(gateway, batch, "gopher_quality_v1.words_min", limit=4)
    assert [told[s] for s in around.SIDES] == [whole[s] for s in around.SIDES]
