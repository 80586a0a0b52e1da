"""Alerts: the file is valid, every alert has cases that hold, a text to read and a runbook."""

import re
import subprocess

import pytest
import typer
import yaml

from services.gateway.cli import app
from tests.deploy.rule_file import (
    CASES,
    KUBERNETES,
    ROOT,
    RULES,
    alerts,
    exposed,
    metrics_in,
    records,
    rules,
)
from tests.tools import program

#: What issue 5 asks for, and what a cluster needs besides.
WANTED = {
    "queue stuck": ("CorpusmillQueueStuck", "CorpusmillTasksHang"),
    "backlog grows at the maximum": ("CorpusmillBacklogGrowsAtMaximum", "CorpusmillBacklogGrows"),
    "no workers": ("CorpusmillNoWorkers",),
    "crash loop": ("CorpusmillWorkerCrashLoop",),
    "quarantine rate": ("CorpusmillQuarantineRate",),
    "rule drops nothing or everything": ("CorpusmillRuleDropsNothing", "CorpusmillRuleDropsMost"),
    "store": ("CorpusmillStoreErrors", "CorpusmillStoreRefuses", "CorpusmillStoreSlow"),
    "Valkey near its limit": ("CorpusmillValkeyMemory",),
    "conductor and gateway": (
        "CorpusmillConductorLag",
        "CorpusmillGatewayDown",
        "CorpusmillGatewayErrors",
    ),
    "tasks": ("CorpusmillTasksFailed", "CorpusmillTasksCareful"),
    "workers unseen": ("CorpusmillWorkersNotScraped",),
    "training": ("CorpusmillTrainingLossNaN", "CorpusmillTrainingStalled"),
}
SEVERITIES = {"critical", "warning", "info"}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, timeout=60
    )


def anchors(markdown: str) -> set[str]:
    """The anchors that headings get where the documentation is shown."""
    headings = re.findall(r"^#+ +(.+?) *$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_promtool_accepts_the_rules():
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_case_holds():
    done = promtool("test", "rules", str(CASES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_a_case_and_not_in_a_near_miss():
    cases = {t["name"].partition(",")[0]: t for t in yaml.safe_load(CASES.read_text())["tests"]}
    assert set(cases) == set(alerts())
    for name, case in cases.items():
        series = " ".join(s["series"] for s in case["input_series"])
        expected = [
            sample["labels"]
            for test in case["promql_expr_test"]
            for sample in test.get("exp_samples", [])
            if sample["labels"].startswith(f'ALERTS{{alertname="{name}"')
        ]
        fired = [labels for labels in expected if 'alertstate="firing"' in labels]
        assert fired, name
        if "namespace=" in series:  # the case of a gateway that was never seen has no series
            assert 'namespace="near' in series, name
            assert all('namespace="bad"' in labels for labels in fired), name


def test_the_alerts_are_those_that_were_asked_for():
    assert {name for names in WANTED.values() for name in names} == set(alerts())


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_bad_it_is_and_what_to_do(name):
    alert = alerts()[name]
    assert alert["labels"]["severity"] in SEVERITIES
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "runbook"}
    page, _, anchor = notes["runbook"].partition("#")
    assert page == "docs/operations.md"
    assert anchor in anchors((ROOT / page).read_text())


def test_texts_of_firing_alerts_are_filled_in(tmp_path):
    """promtool prints what it got where it expected none: those are the texts that people get."""
    content = yaml.safe_load(CASES.read_text()) | {"rule_files": [str(RULES)]}
    for case in content["tests"]:
        name = case["name"].partition(",")[0]
        checks = [t for t in case.pop("promql_expr_test") if t.get("exp_samples")]
        times = {t["eval_time"] for t in checks if name in t["expr"]}
        case["alert_rule_test"] = [
            {"alertname": name, "eval_time": time, "exp_alerts": []} for time in times
        ]
    path = tmp_path / "texts.yaml"
    path.write_text(yaml.safe_dump(content))
    told = promtool("test", "rules", str(path))
    output = told.stdout + told.stderr
    for name in alerts():
        found = re.search(rf"name: {name}.*?(?=\n    name: |\Z)", output, re.DOTALL)
        assert found, f"{name}: {output[:500]}"
        texts = re.findall(r'(?:summary|description)="([^"]*)"', found[0])
        assert texts, found[0]
        for text in texts:
            assert not re.search(r"<error|<no value>|%!|\{\{| {2}|NaN%", text), text


def test_rules_name_metrics_that_exist():
    for rule in rules():
        unknown = metrics_in(rule["expr"]) - exposed() - KUBERNETES
        assert not unknown, f"{rule.get('alert') or rule['record']}: {unknown}"


def test_records_are_used():
    used = " ".join(rule["expr"] for rule in alerts().values())
    assert all(record in used for record in records())


def runbooks() -> str:
    """The section on alerts of the operations page."""
    return (
        (ROOT / "docs" / "operations.md").read_text().partition("## Alerts\n")[2].split("\n## ")[0]
    )


def test_runbooks_name_commands_that_exist():
    commands = set(typer.main.get_command(app).commands)
    named = set(re.findall(r"`corpusmill (\w+)", runbooks()))
    assert {"status", "logs", "retry", "documents"} <= named <= commands


def test_runbooks_name_metrics_and_alerts_that_exist():
    known = exposed() | KUBERNETES
    assert metrics_in(re.sub("|".join(records()), "", runbooks())) <= known
    assert set(re.findall(r"Corpusmill[A-Z]\w+", runbooks())) == set(alerts())
