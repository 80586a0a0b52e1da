"""Every query of the dashboards and of the rules, asked of a real Prometheus after a real run.

The run has batches from archives to a dataset, a rule that drops everything, and a training run.
What it cannot have is named below, with the reason.
"""

import math

import pytest

from shared.worker import SERVICES
from tests.deploy.rule_file import DASHBOARDS, expressions, metrics_in, records, rules

#: What Grafana would fill in, for a run of a few seconds.
VARIABLES = {
    "$__rate_interval": "10s",
    "$__range": "1m",
    "$namespace": ".*",
    "$queue": ".*",
    "$recipe": ".*",
    "$run": ".*",
    "$target_seconds": "60",
}
#: Words of queries that have no data in this run.
WITHOUT = {
    "kube_horizontalpodautoscaler": "no Kubernetes, so no kube-state-metrics",
    "corpusmill_autoscaler_headroom": "no Kubernetes, so no kube-state-metrics",
    "corpusmill_training_mfu": "no GPU whose peak is known",
    "corpusmill_store_errors_total": "no call to the store fails; counted from the first",
    "corpusmill_task_retries_total": "no task is tried again; counted from the first",
    "corpusmill_quarantined_documents_total": "no page kills its process; counted from the first",
    'verdict="failed"': "no page fails",
}


def filled_in(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def why_without(expression: str) -> str | None:
    return next((why for word, why in WITHOUT.items() if word in expression), None)


def test_everything_was_scraped(scraped):
    seen = scraped.course("up")
    assert len(seen) == 3
    for labels, values in seen:
        assert any(up == 1 for _, up in values), labels


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_queries_of_a_dashboard(scraped, path):
    for expression in expressions(path):
        found = scraped.course(filled_in(expression))
        values = [v for _, course in found for _, v in course if not math.isnan(v)]
        if why_without(expression) is None:
            assert values, expression


def test_rules_are_loaded_and_evaluated(scraped):
    loaded = scraped.prometheus.loaded_rules()
    assert len(loaded) == len(rules())
    assert {(rule["health"], rule.get("lastError", "")) for rule in loaded} == {("ok", "")}


def test_records_have_data(scraped):
    for name in records():
        if why_without(name) is None:
            assert scraped.course(name), name


def test_what_is_without_data_is_so(scraped):
    """The list above does not hide more than it says."""
    for word in WITHOUT:
        for metric in metrics_in(word):
            assert not scraped.course(metric), metric


def test_the_alert_of_the_rule_that_drops_all_is_on_its_way(scraped):
    alerts = scraped.course('ALERTS{alertname="CorpusmillRuleDropsMost"}')
    assert {labels["rule"] for labels, _ in alerts} == {"fasttext_v1.nothing"}


def test_no_other_alert_fires(scraped):
    firing = scraped.course('ALERTS{alertstate="firing",severity!="info"}')
    assert not firing


def test_figures_are_those_of_the_run(scraped):
    """Three archives of 48 pages, read once, although three batches asked for them."""
    documents = scraped.course('sum(corpusmill_documents_total{queue="extraction"})')
    assert documents[0][1][-1][1] == 144
    for service in SERVICES:
        (alive,) = scraped.course(f'max(corpusmill_queue_workers{{queue="{service}"}})')
        assert alive[1][-1][1] == 1
