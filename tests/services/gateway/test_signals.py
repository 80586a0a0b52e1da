"""Signals over REST and from the command line, against the stored columns read plainly."""

import json

import numpy as np
import pyarrow as pa
import pytest

from services.gateway.signals import GROUPS
from shared.columns import read_columns
from shared.errors import NotFoundError, UsageError
from shared.schema import VERDICT_SCHEMA
from shared.stages import compile_batch
from tests.services.gateway.conftest import DOCUMENTS


def stored(gateway, batch, step, column) -> pa.Table:
    """A column, its errors and the final verdicts of all shards."""
    pipeline = compile_batch(gateway.read(batch["id"]))
    bound = next(b for b in pipeline.recipe.steps if b.step.short == step)
    folder, verdicts = pipeline.column_folder(bound), pipeline.last_rows.folder
    parts = []
    for shard in pipeline.batch.shards:
        table = read_columns(gateway.store, folder, shard.id, [column, "error"])
        told = read_columns(gateway.store, verdicts, shard.id, VERDICT_SCHEMA.names)
        parts.append(
            table.append_column("rule", told["rule"]).append_column("state", told["state"])
        )
    return pa.concat_tables(parts)


def signal(gateway, batch, column, **parameters):
    return gateway.client.get(f"/v1/batches/{batch['id']}/signals/{column}", **parameters)


def test_every_measured_column_is_listed(gateway, batch):
    items = gateway.client.get(f"/v1/batches/{batch['id']}/signals")["items"]
    by_name = {i["signal"]: i for i in items}
    words = by_name["gopher_quality_v1.words"]
    assert words["step"] == "quality.gopher_quality_v1"
    assert words["type"] == "int64"
    assert words["unit"] == "words"
    assert words["meaning"]
    assert [(r["rule"], r["op"], r["value"]) for r in words["rules"]] == [
        ("gopher_quality_v1.words_min", ">=", 60),
        ("gopher_quality_v1.words_max", "<=", 400),
    ]
    assert by_name["fasttext_v1.language"]["type"] == "string"
    assert "main_text_v1.text" not in by_name
    assert all(signal(gateway, batch, name)["documents"] == DOCUMENTS for name in by_name)


@pytest.mark.parametrize(
    ("step", "column"),
    [
        ("gopher_quality_v1", "words"),
        ("gopher_quality_v1", "mean_word_length"),
        ("fasttext_v1", "score"),
        ("main_text_v1", "characters"),
        ("records_v1", "http_status"),
    ],
)
def test_numbers_agree_with_the_stored_values(gateway, batch, step, column):
    told = signal(gateway, batch, f"{step}.{column}", by="verdict")
    table = stored(gateway, batch, step, column)
    values = table[column].drop_null().to_numpy().astype(float)
    assert told["final"]
    assert told["shards"]["read"] == told["shards"]["of"] > 3
    assert told["documents"] == table.num_rows
    assert told["count"] == len(values) > 0
    assert told["count"] + told["nulls"] + told["errors"] + told["not_computed"] == DOCUMENTS
    assert told["min"] == values.min()
    assert told["max"] == values.max()
    assert told["mean"] == pytest.approx(values.mean())
    for q, value in told["quantiles"].items():
        exact = np.quantile(values, float(q), method="inverted_cdf")
        assert value == pytest.approx(exact, rel=2**-13)
    found = told["histogram"]
    if found["scale"] == "values":
        assert found["counts"] == [int((values == v).sum()) for v in found["values"]]
    else:
        assert found["counts"] == np.histogram(values, found["edges"])[0].tolist()
        assert len(found["counts"]) <= 51
    split = np.array([told["by_verdict"][g]["counts"] for g in GROUPS])
    assert split.sum(axis=0).tolist() == found["counts"]


def test_the_split_says_what_became_of_the_documents(gateway, batch):
    told = signal(gateway, batch, "gopher_quality_v1.words", by="verdict")
    table = stored(gateway, batch, "gopher_quality_v1", "words").to_pylist()
    reached = [r for r in table if r["words"] is not None]
    kept = sum(r["rule"] is None for r in reached)
    counts = {g: told["by_verdict"][g]["count"] for g in GROUPS}
    assert kept == batch["funnel"]["kept"] > 0
    assert counts == {
        "kept": kept,
        "dropped_here": len(reached) - kept,
        "dropped_elsewhere": 0,
        "failed": 0,
    }
    language = signal(gateway, batch, "language", by="verdict")["by_verdict"]
    assert language["dropped_here"]["count"] == 20
    assert language["dropped_elsewhere"]["count"] == len(reached) - kept
    assert "by_verdict" not in signal(gateway, batch, "gopher_quality_v1.words")


def test_not_computed_is_not_null(gateway, batch):
    told = signal(gateway, batch, "words")
    early = sum(r["documents"] for s in batch["funnel"]["stages"][:-1] for r in s["rules"])
    assert early > 20
    early += batch["funnel"]["failed"]
    assert (told["not_computed"], told["nulls"], told["errors"]) == (early, 0, 0)


def test_faults_are_told_apart(gateway, batch):
    told = signal(gateway, batch, "http_status")
    assert batch["funnel"]["failures"] == {"records_v1": 2}
    assert (told["errors"], told["not_computed"]) == (2, 0)
    assert told["count"] + told["nulls"] == DOCUMENTS - 2


def test_strings_are_counted(gateway, batch):
    told = signal(gateway, batch, "language")
    found = dict(zip(told["histogram"]["values"], told["histogram"]["counts"], strict=True))
    assert found["de"] == 20
    assert told["distinct"] == len(found)
    assert told["exact"]
    assert told["rules"][0] == {
        "rule": "fasttext_v1.language",
        "condition": "language == en",
        "part": "keep",
        "op": "==",
        "value": "en",
    }


def test_a_batch_that_has_not_run_has_no_values(gateway, pages):
    body = {"sources": [str(p) for p in pages], "recipe": _other_recipe()}
    batch = gateway.client.post("/v1/batches", body)
    told = signal(gateway, batch, "characters")
    assert told["shards"] == {"read": 0, "of": 2}
    assert told["count"] == 0
    assert told["histogram"]["counts"] == []
    assert not told["final"]
    gateway.client.post(f"/v1/batches/{batch['id']}/cancel")


def _other_recipe():
    steps = [{"extraction.records_v1": {}, "keep": {"some": "payload_bytes > 1"}}]
    return {"name": "other", "steps": [*steps, {"extraction.main_text_v1": {}}]}


def test_errors_name_the_field(gateway, batch):
    for column, reason in [
        ("nonsense", "no measured column"),
        ("gopher_quality_v1.language", "no measured column"),
        ("main_text_v1.text", "no measured column"),
    ]:
        with pytest.raises(UsageError, match=reason) as error:
            signal(gateway, batch, column)
        assert error.value.field == "column"
    with pytest.raises(UsageError) as error:
        signal(gateway, batch, "words", by="colour")
    assert error.value.field == "query.by"
    with pytest.raises(NotFoundError, match="no batch nothing"):
        gateway.client.get("/v1/batches/nothing/signals/words")


def test_the_command_line_draws_it(gateway, batch):
    plain = gateway.cli("signals", batch["id"], "words", "--json")
    assert json.loads(plain) == signal(gateway, batch, "words")
    drawn = gateway.cli("signals", batch["id"], "words", "--by", "verdict")
    assert "█" in drawn
    assert "rule gopher_quality_v1.words_min: words >= 60" in drawn
    assert "not computed" in drawn
    assert "dropped here" in drawn
    assert "en" in gateway.cli("signals", batch["id"], "fasttext_v1.language")
    assert "words" in gateway.cli("signals", batch["id"])
    assert len(json.loads(gateway.cli("signals", batch["id"], "--json"))["items"]) > 20
