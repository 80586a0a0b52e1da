"""The simulation of autoscaling: PromQL, the HPA at its edges, accounts that balance, seeds."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from scripts.autoscale.accounts import account
from scripts.autoscale.chart import Scaled
from scripts.autoscale.day import Arrival, StagePlan, arrivals
from scripts.autoscale.hpa import (
    Autoscaler,
    Fallback,
    Keda,
    Policy,
    Rules,
    average_value,
    utilization,
)
from scripts.autoscale.promql import Sample, evaluate, samples, single
from scripts.autoscale.scalers import BareList, Cpu, Ours
from scripts.autoscale.simulation import Simulation, World

SERVICES = ("extraction", "langid", "quality", "dedup", "export", "training")
MOST = dict.fromkeys(SERVICES, 8)
WORLD = World(
    window=4,
    start_seconds=dict.fromkeys(SERVICES, 5.0),
    grace_seconds=dict.fromkeys(SERVICES, 60.0),
    node_seconds=30.0,
)
QUERY = 'max(corpusmill_queue_in_flight{{queue="{0}"}}) + max(corpusmill_backlog_seconds{{queue="{0}"}}) / 30'
DAY = [
    Arrival(
        60.0 * i,
        n,
        (
            StagePlan("extraction", phase=False, seconds=tuple(10.0 + j for j in range(n))),
            StagePlan("langid", phase=False, seconds=(0.5,) * n),
            StagePlan("dedup", phase=True, seconds=(3.0, 4.0, 5.0)),
            StagePlan("dedup", phase=False, seconds=(1.0,) * n),
            StagePlan("export", phase=True, seconds=(20.0,)),
        ),
    )
    for i, n in enumerate((3, 40, 1, 7))
]


def ours() -> Ours:
    down = Rules(0, (Policy("Percent", 100, 15),))
    up = Rules(0, (Policy("Pods", 50, 15),))
    return Ours({n: Scaled(n, QUERY.format(n), 1, 0, 10, 60, 0, 8, up, down, None) for n in MOST})


KNOWN = [
    *samples("a", {"x": 3.0, "y": 5.0}),
    *samples("b", {"x": 60.0}),
    Sample("a", (("instance", "2"), ("queue", "x")), 4.0),
]


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ('a{queue="y"}', 5.0),
        ('max(a{queue="x"}) + max(b{queue="x"}) / 30', 6.0),
        ("max(a) - min(a)", 2.0),
        ("sum(a) / 2 * 3", 18.0),
        ("2 + 3 * (4 - 1) / 2", 6.5),
        ("b / 0", math.inf),
        ('a{queue="none"} + 1', None),
        ('a{queue="x",instance="2"} * b', None),  # no element with the same labels
        ("max(a) * 1e2", 500.0),
    ],
)
def test_queries(query, value):
    assert single(evaluate(query, KNOWN)) == value


@pytest.mark.parametrize("query", ["rate(a[5m])", "a > 1", 'a{queue=~"x"}', "max(1)", "a b", "(a"])
def test_other_queries_are_refused(query):
    with pytest.raises(ValueError):  # noqa: PT011
        evaluate(query, KNOWN)


def test_a_trigger_needs_one_element():
    with pytest.raises(ValueError, match="3 elements"):
        single(evaluate("a", KNOWN))


@pytest.mark.parametrize(
    ("metric", "replicas", "wish"),
    [(10.99, 10, 10), (11.01, 10, 12), (9.0, 10, 10), (8.99, 10, 9), (0, 3, 0), (0.2, 1, 1)],
)
def test_nothing_changes_within_the_tolerance(metric, replicas, wish):
    assert average_value(metric, 1.0, replicas) == wish


def test_utilization_takes_unready_pods_as_idle_on_the_way_up():
    assert utilization([1.0, 1.0], 0.7, unready=0) == 3
    assert utilization([1.0, 1.0], 0.7, unready=1) == 3  # 2/3 of the target: no change
    assert utilization([0.1, 0.1, 0.1, 0.1], 0.7, unready=0) == 1
    assert utilization([], 0.7, unready=2) == 2


def test_stabilization_takes_the_highest_wish_on_the_way_down():
    hpa = Autoscaler(1, 100, down=Rules(60, (Policy("Percent", 100, 15),)))
    replicas = hpa.step(0, 10, 10)
    assert (replicas := hpa.step(15, replicas, 2)) == 10
    assert (replicas := hpa.step(45, replicas, 3)) == 10
    assert hpa.step(60, replicas, 2) == 3  # the wish for 10 is a minute old


def test_policies_limit_what_a_period_changes():
    hpa = Autoscaler(1, 100, up=Rules(0, (Policy("Pods", 4, 30), Policy("Percent", 50, 30))))
    assert hpa.step(0, 2, 50) == 6
    assert hpa.step(15, 6, 50) == 6  # all of the period is used
    assert hpa.step(30, 6, 50) == 10
    assert Autoscaler(1, 8).step(0, 6, 50) == 8
    slow = Rules(0, (Policy("Pods", 1, 15), Policy("Percent", 50, 15)), select="Min")
    assert Autoscaler(1, 100, down=slow).step(0, 10, 2) == 9
    off = Rules(0, (Policy("Pods", 1, 15),), select="Disabled")
    assert Autoscaler(1, 100, down=off).step(0, 10, 2) == 10
    assert Autoscaler(1, 100, down=Rules(0, slow.policies)).step(0, 10, 0) == 5


def test_keda_wakes_at_once_and_sleeps_after_the_cool_down():
    keda = Keda(cooldown=60, least=0)
    assert keda.poll(0, 0, 0.0) == 0
    assert keda.poll(10, 0, 0.01) == 1
    assert keda.poll(20, 5, 3.0) == 5  # the rest is the HPA's
    assert keda.poll(80, 5, 0.0) == 5
    assert keda.poll(81, 5, 0.0) == 0
    assert keda.poll(90, 0, 0.0) == 0


def test_keda_falls_back_after_so_many_failures():
    keda = Keda(cooldown=60, least=0, fallback=Fallback(2, 3, keeps=True))
    assert keda.poll(0, 0, None) == 0
    assert keda.metric_for_hpa(None, 1.0, 5) is None
    assert keda.poll(10, 0, None) == 3
    assert keda.poll(20, 7, None) == 7
    assert keda.metric_for_hpa(None, 1.0, 7) == 7
    assert keda.poll(30, 7, 0.0) == 0


@pytest.mark.parametrize(
    "scaler",
    [ours, lambda: BareList(MOST), lambda: Cpu(MOST)],
    ids=["ours", "list", "cpu"],
)
def test_every_task_is_done_once_and_paid_for(scaler):
    simulation = Simulation(DAY, WORLD, scaler(), seed=3)
    simulation.run()
    needed = sum(a.needed for a in DAY)
    assert simulation.left == 0
    assert [b.done for b in simulation.batches] == [[len(s.seconds) for s in a.stages] for a in DAY]
    assert all(b.submitted <= b.begun < b.ended for b in simulation.batches)
    assert sum(s.worked for s in simulation.services.values()) == pytest.approx(needed)
    assert all(s.paid >= s.worked + s.starting - 1e-6 for s in simulation.services.values())
    assert all(
        not s.pods and not s.ready and s.in_flight == 0 for s in simulation.services.values()
    )


class ThereAndBack:
    """Six workers, one, six: five tasks are at work when their pods are taken away."""

    def install(self, simulation):
        service = simulation.services["extraction"]
        simulation.scale(service, 6)
        simulation.at(100.0, simulation.scale, service, 1)
        simulation.at(110.0, simulation.scale, service, 6)


def test_a_killed_task_is_done_again_and_paid_twice():
    short = replace(WORLD, grace_seconds=dict.fromkeys(SERVICES, 30.0))
    many = (StagePlan("extraction", phase=False, seconds=(80.0, *(400.0,) * 5)),)
    simulation = Simulation([Arrival(0, 6, many)], short, ThereAndBack(), seed=1)
    simulation.run()
    extraction = simulation.services["extraction"]
    assert simulation.left == 0
    assert 4 <= extraction.killed <= 5  # the sixth was done, or its pod was the one to stay
    assert extraction.worked == pytest.approx(2080)
    # A killed task ran from 7 s (the pods' start) to the end of its pod's grace period.
    assert extraction.paid > 2080 + extraction.killed * (130 - 7)


def test_ours_keeps_the_workers_that_work():
    result = account(DAY, WORLD, ours(), 3)
    assert result.killed == 0
    assert result.paid == pytest.approx(result.idle + result.starting + result.needed)


def test_the_same_seed_gives_the_same_day():
    day = arrivals(5)
    assert day == arrivals(5)
    assert all(a.time <= b.time for a, b in pairwise(day))
    assert sum(a.shards > 1000 for a in day) == 4
    first, again = (account(DAY, WORLD, ours(), 3) for _ in range(2))
    assert first == again
    assert account(DAY, WORLD, ours(), 4) != first
