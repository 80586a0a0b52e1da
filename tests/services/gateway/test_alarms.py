"""Alarms at their thresholds, in the status, in the metrics and on the command line."""

import json
from typing import Any

import httpx
import pytest

from services.gateway.alarms import ENOUGH_FOR_MOST, ENOUGH_FOR_NOTHING, alarms
from shared.progress import Funnel
from shared.stages import compile_batch
from shared.testing import make_batch, warc_gz, warc_record

RECIPE: dict[str, Any] = {
    "name": "alarms",
    "steps": [
        {
            "extraction.records_v1": {},
            "keep": {
                "not_empty": "payload_bytes > 0",
                "long": "payload_bytes > 20",
                "html": "media_type == text/html",
            },
        }
    ],
}


def told(tmp_path, *, entered, failed=0, ended=True, **dropped) -> dict[str, dict[str, Any]]:
    """Alarms by rule of a batch with these accounts."""
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"x")
    pipeline = compile_batch(make_batch([path], RECIPE))
    stages = Funnel(pipeline).stages
    tally = stages[0].tally
    tally.entered = entered
    tally.failed["records_v1"] = failed
    for rule, documents in dropped.items():
        tally.dropped[f"records_v1.{rule}"] = documents
    found = alarms(pipeline, stages, ended=ended)
    return {a["rule"].removeprefix("records_v1."): a for a in found}


def test_a_rule_that_drops_most(tmp_path):
    """More than 95 % of what enters it, not of the batch."""
    assert told(tmp_path, entered=900, not_empty=855, long=1, html=1) == {}
    found = told(tmp_path, entered=900, not_empty=856, long=1, html=1)
    assert found["not_empty"] == {
        "rule": "records_v1.not_empty",
        "kind": "drops_most",
        "entered": 900,
        "dropped": 856,
        "share": 0.9511,
        "final": True,
    }
    later = told(tmp_path, entered=900, failed=100, not_empty=600, long=191, html=1, ended=False)
    assert later["long"]["entered"] == 200
    assert later["long"]["share"] == 0.955
    assert not later["long"]["final"]


def test_a_rule_that_drops_nothing_is_told_at_the_end(tmp_path):
    entered = ENOUGH_FOR_NOTHING + 2
    found = told(tmp_path, entered=entered, not_empty=1, long=0, html=0)
    assert {r: (a["kind"], a["share"]) for r, a in found.items()} == {
        "long": ("drops_nothing", 0.0),
        "html": ("drops_nothing", 0.0),
    }
    assert told(tmp_path, entered=entered, not_empty=1, ended=False) == {}
    assert told(tmp_path, entered=entered, not_empty=1, long=1, html=1) == {}


def test_few_documents_raise_no_alarm(tmp_path):
    few = ENOUGH_FOR_MOST - 1
    assert told(tmp_path, entered=few, not_empty=few) == {}
    assert "not_empty" in told(tmp_path, entered=ENOUGH_FOR_MOST, not_empty=few + 1)
    assert told(tmp_path, entered=ENOUGH_FOR_NOTHING - 1) == {}
    assert len(told(tmp_path, entered=ENOUGH_FOR_NOTHING)) == 3


@pytest.fixture(scope="module")
def alarming(gateway, tmp_path_factory) -> dict[str, Any]:
    """1,030 documents; a rule that drops none, one that drops 97 %, one that drops some."""
    path = tmp_path_factory.mktemp("many") / "many.warc.gz"
    records = [
        warc_record(f"http://x.example/{i}", b"<p>short" if i % 40 else b"<p>" + b"long" * 9, n=i)
        for i in range(1030)
    ]
    path.write_bytes(warc_gz(records))
    return gateway.run([path], RECIPE)


def test_status_metrics_and_command_line_tell_it(gateway, alarming):
    kinds = {a["rule"]: (a["kind"], a["share"], a["final"]) for a in alarming["alarms"]}
    assert kinds == {
        "records_v1.not_empty": ("drops_nothing", 0.0, True),
        "records_v1.long": ("drops_most", 0.9748, True),
    }
    metrics = httpx.get(f"{gateway.client.url}/metrics").text
    label = f'corpusmill_rule_alarm{{batch="{alarming["id"]}",kind="%s",rule="records_v1.%s"}} %s'
    assert label % ("drops_nothing", "not_empty", "0.0") in metrics
    assert label % ("drops_most", "long", "0.9748") in metrics
    shown = " ".join(gateway.cli("status", alarming["id"]).split())
    assert "alarm: rule records_v1.long drops 97.48 % of the 1,030 documents" in shown
    assert "alarm: rule records_v1.not_empty drops 0 % of" in shown
    assert (
        json.loads(gateway.cli("status", alarming["id"], "--json"))["alarms"] == alarming["alarms"]
    )


def test_a_batch_without_alarms(batch):
    assert batch["alarms"] == []
