"""Charts as pure functions of what the API tells."""

import json
from collections import Counter

import pytest

from services.gateway.ui import charts


def stage(name, entered, kept, rules, failed=None):
    told = [{"rule": f"{name}.{r}", "documents": n} for r, n in rules.items()]
    return {
        "stage": name,
        "service": name,
        "entered": entered,
        "kept": kept,
        "rules": told,
        "failed": failed or {},
    }


def funnel(documents, stages, kept=None):
    return {"documents": documents, "kept": kept or stages[-1].get("kept"), "stages": stages}


def flows(options):
    """What flows into each node, out of it, and its own value."""
    (series,) = options["series"]
    into, out = Counter(), Counter()
    for link in series["links"]:
        out[link["source"]] += link["value"]
        into[link["target"]] += link["value"]
    return into, out, {n["name"]: n["value"] for n in series["data"]}


def test_the_sankeys_flows_add_up_and_nothing_empty_is_drawn():
    told = funnel(
        100,
        [
            stage("extract", 100, 95, {"status": 3, "empty": 0}, {"records": 2}),
            {"stage": "sort", "service": "dedup", "tasks": 1},
            stage("idle", 95, 95, {"none": 0}),
            stage("quality", 95, 40, {f"r{i}": i for i in range(1, 11)}),
        ],
    )
    into, out, value = flows(charts.sankey(told))
    assert value["documents"] == 100
    for name, count in value.items():
        assert into[name] == count or name == "documents"
        assert out[name] in (0, count)
    leaves = {n: c for n, c in value.items() if not out[n]}
    assert sum(leaves.values()) == 100
    assert "after idle" not in value
    assert not any("empty" in n or "none" in n for n in value)
    # The five largest rules, and the other five as one.
    assert leaves["quality quality.r10"] == 10
    assert leaves["quality 5 other rules"] == 1 + 2 + 3 + 4 + 5
    assert leaves["after quality"] == 40
    assert leaves["extract failed"] == 2


def test_what_a_stage_has_not_seen_yet_waits():
    told = funnel(100, [stage("a", 100, 90, {"x": 10}), stage("b", 30, 20, {"y": 10})], kept=20)
    into, out, value = flows(charts.sankey(told))
    assert value["waiting b"] == 60
    assert out["after a"] == into["after a"] == 90
    untouched = funnel(100, [stage("a", 100, 90, {"x": 10}), stage("b", 0, 0, {"y": 0})], kept=0)
    _, _, value = flows(charts.sankey(untouched))
    assert value == {"documents": 100, "after a": 90, "a a.x": 10, "waiting b": 90}


def test_a_batch_that_drops_all_has_no_kept_node():
    told = funnel(7, [stage("a", 7, 0, {"x": 7}), stage("b", 0, 0, {"y": 0})], kept=0)
    assert flows(charts.sankey(told))[2] == {"documents": 7, "a a.x": 7}
    assert charts.sankey(funnel(0, [stage("a", 0, 0, {"x": 0})])) is None


def test_hostile_names_stay_text():
    told = funnel(3, [stage("a", 3, 1, {"</script><b>{b}": 2})])
    options = charts.sankey(told)
    assert any("</script>" in n["label"]["formatter"] for n in options["series"][0]["data"])
    json.dumps(options, allow_nan=False)


def signal(histogram, **more):
    bins = len(histogram["counts"])
    split = {
        "kept": {"count": 3, "counts": [3] + [0] * (bins - 1)},
        "dropped_here": {"count": 1, "counts": [0] * (bins - 1) + [1]},
        "dropped_elsewhere": {"count": 0, "counts": [0] * bins},
        "failed": {"count": 0, "counts": [0] * bins},
    }
    return {"column": "words", "unit": "words", "histogram": histogram, "by_verdict": split} | more


LINEAR = {"scale": "linear", "edges": [0, 10, 20, 40], "counts": [3, 0, 1]}
LOG = {"scale": "log", "edges": [0, 1, 10, 100], "counts": [1, 1, 1]}
VALUES = {"scale": "values", "values": [1, 2, 4], "counts": [1, 1, 1]}
WORDS = {"scale": "values", "values": ["en", "de"], "counts": [3, 1]}


@pytest.mark.parametrize(
    ("found", "op", "value", "at"),
    [
        (LINEAR, ">=", 15, 1.5),
        (LINEAR, ">=", 30, 2.5),
        (LINEAR, ">=", 10, 1.0),
        (LINEAR, ">=", -5, 0.0),
        (LINEAR, "<=", 99, 3.0),
        (LOG, ">=", 0.5, 0.5),
        (LOG, ">=", 10**0.5, 1.5),
        (VALUES, ">=", 2, 1.0),
        (VALUES, ">", 2, 2.0),
        (VALUES, "<=", 2, 2.0),
        (VALUES, "<", 2, 1.0),
        (VALUES, ">=", 3, 2.0),
        (LINEAR, "==", 15, None),
        (WORDS, "==", "en", None),
        (WORDS, ">=", 3, None),
    ],
)
def test_where_a_threshold_lies(found, op, value, at):
    shown = charts.threshold_position(found, op, value)
    assert shown is None if at is None else shown == pytest.approx(at)


def test_the_histogram_is_stacked_by_verdict_with_the_threshold():
    rule = {"op": ">=", "value": 15, "condition": "words >= 15"}
    options = charts.histogram(signal(LINEAR), rule)
    kept, dropped = options["series"]  # what nothing belongs to is not drawn
    assert [p["value"] for p in kept["data"]] == [[0.5, 3], [1.5, 0], [2.5, 0]]
    assert [p["value"] for p in dropped["data"]] == [[0.5, 0], [1.5, 0], [2.5, 1]]
    assert kept["stack"] == dropped["stack"]
    assert kept["markLine"]["data"] == [{"xAxis": 1.5}]
    assert kept["markLine"]["label"]["formatter"] == "keep if words >= 15"
    assert options["xAxis"]["ticks"] == {"0": "0", "1": "10", "2": "20", "3": "40"}
    assert options["xAxis"]["name"] == "words"
    assert charts.histogram(signal({"scale": "linear", "edges": [], "counts": []})) is None


def test_curves_are_thinned_and_leave_gaps_where_nothing_was_measured():
    metrics = [{"step": i + 1, "loss": 9.0 - i / 1000} for i in range(2001)]
    metrics[400]["loss"] = float("nan")
    options = charts.loss_curve(metrics)
    points = [p["value"] for p in options["series"][0]["data"]]
    assert len(points) <= charts.MOST_POINTS + 1
    assert points[0][0] == 1
    assert points[-1][0] == 2001
    assert [401, "-"] in points or all(p[0] != 401 for p in points)
    json.dumps(options, allow_nan=False)
    assert charts.loss_curve([]) is None
    assert charts.throughput_curve([{"step": 1, "loss": 2.0}]) is None


def test_sparklines_end_at_the_right_edge():
    assert charts.sparkline([1]) == ""
    assert charts.sparkline([0, 0]) == "0.0,23.0 100.0,23.0"
    assert charts.sparkline([0, 2, 1]) == "0.0,23.0 50.0,1.0 100.0,12.0"
