"""Grafana's dashboards: the committed files are the generated ones, and Grafana can show them.

No Grafana runs here: what it needs of a dashboard is checked by its structure, and every query by a
real Prometheus in test_queries.py.
"""

import json
import re
from itertools import combinations

import pytest

from scripts.dashboards import main
from tests.deploy.rule_file import DASHBOARDS, KUBERNETES, exposed, expressions, metrics_in, panels

#: Units of Grafana; `docs/s` and `tokens/s` are shown as they are.
UNITS = {"short", "s", "ops", "reqps", "Bps", "bytes", "percentunit", "docs/s", "tokens/s"}
#: Variables that Grafana itself fills in.
GLOBALS = {"__rate_interval", "__range"}

each = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def test_the_committed_files_are_the_generated_ones(tmp_path):
    main(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in DASHBOARDS}


def test_there_are_three_with_names_of_their_own():
    read = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len({d["uid"] for d in read}) == len({d["title"] for d in read}) == 3
    assert all(len(d["uid"]) <= 40 for d in read)


@each
def test_structure(path):
    dashboard = json.loads(path.read_text())
    assert dashboard["schemaVersion"] >= 36
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels(path):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
        for target in panel["targets"]:
            assert target["expr"]
            assert target["legendFormat"]
            assert target["instant"] != target["range"]


@each
def test_panels_lie_in_the_grid_and_do_not_overlap(path):
    places = [p["gridPos"] for p in json.loads(path.read_text())["panels"]]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
    for a, b in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (a, b)


@each
def test_variables_that_queries_use_are_those_that_there_are(path):
    listed = {v["name"] for v in json.loads(path.read_text())["templating"]["list"]}
    used = {n for e in expressions(path) for n in re.findall(r"\$(\w+)", e)} - GLOBALS
    assert used | {"datasource"} == listed


@each
def test_a_legend_names_labels_that_the_query_keeps(path):
    for panel in panels(path):
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                kept = re.findall(r"by \(([^)]*)\)", target["expr"])
                assert any(label in re.split(r", *", names) for names in kept), target["expr"]


@each
def test_queries_name_metrics_that_exist(path):
    for expression in expressions(path):
        assert not metrics_in(expression) - exposed() - KUBERNETES, expression


def test_every_metric_is_to_be_seen():
    used = {m for path in DASHBOARDS for e in expressions(path) for m in metrics_in(e)}
    families = {re.sub("_(bucket|count|sum)$", "", name) for name in used - KUBERNETES}
    defined = {re.sub("_(bucket|count|sum)$", "", name) for name in exposed()}
    assert defined == families
