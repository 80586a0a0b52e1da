"""The chart's scaling queries on a real Prometheus: the number that the gateway gives by REST.

KEDA may ask either; both must say the same, and so must the evaluator of the simulation.
"""

import pytest

from scripts.autoscale import chart
from scripts.autoscale.promql import Sample, evaluate, single
from tests.deploy.chart import KEDA_QUERY, LEAST, WORKERS, merged, render
from tests.deploy.conftest import TARGET_SECONDS

#: Prometheus scrapes every second; figures are of the last look, half a second before or after.
NEAR_SECONDS = 1.6


@pytest.fixture(scope="module")
def objects():
    target = {"autoscaling": {"targetSeconds": TARGET_SECONDS}}
    values = {"autoscaling": KEDA_QUERY, "services": dict.fromkeys(WORKERS, target)}
    return chart.scaled_objects(render(merged(LEAST, values)))


def test_each_service_has_a_query(objects):
    assert len(objects) == 6
    assert all(scaled.threshold == 1 for scaled in objects.values())


def test_queries_give_what_the_gateway_says(scraped, objects):
    compared, busy = 0, 0
    for service, scaled in objects.items():
        told = [answer for answer in scraped.asked if answer["queue"] == service]
        wanted = [(answer["at"], answer["workers_wanted"]) for answer in told]
        ((_, course),) = scraped.course(scaled.query)
        for time, value in course:
            near = [w for at, w in wanted if abs(at - time) < NEAR_SECONDS]
            if not near:
                continue
            compared += 1
            busy += value > 0
            assert any(value == pytest.approx(w, abs=2e-3) for w in near), (service, time)
    assert compared > 20
    assert busy > 5


def test_the_simulation_evaluates_queries_as_prometheus_does(scraped, objects):
    names = ("corpusmill_queue_in_flight", "corpusmill_backlog_seconds")
    known: dict[float, list[Sample]] = {}
    for name in names:
        for labels, course in scraped.course(name):
            kept = tuple(sorted((k, v) for k, v in labels.items() if k != "__name__"))
            for time, value in course:
                known.setdefault(time, []).append(Sample(name, kept, value))
    compared = 0
    for scaled in objects.values():
        ((_, course),) = scraped.course(scaled.query)
        for time, value in course:
            assert single(evaluate(scaled.query, known[time])) == pytest.approx(value)
            compared += value > 0
    assert compared > 5
