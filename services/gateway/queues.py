"""`/v1/queues`, health and metrics: what waits, what runs, who works, how fast."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from services.gateway.alarms import alarms
from services.gateway.conductor import FINAL_STATES, batch_state
from services.gateway.models import GatewayDep
from services.gateway.problems import problem
from services.gateway.state import Gateway
from shared import worker
from shared.errors import CorpusmillError, TransientError
from shared.ref import IndexRef, RunRef

router = APIRouter(tags=["cluster"])
#: Ended batches whose alarms are still told.
RECENT_BATCHES = 10
#: How ids of jobs begin, and whose they are.
_JOBS = {"run": RunRef.service, "index": IndexRef.service}
COUNTERS = ("done", "failed", "retried", "careful", "documents", "milliseconds")


@router.get("/v1/queues")
def queues(gw: GatewayDep) -> dict[str, Any]:
    """Every service's queue: depth, backlog, in flight, oldest age, workers, rate."""
    return {"items": describe_queues(gw)}


def describe_queues(gw: Gateway) -> list[dict[str, Any]]:
    """One entry a service."""
    now = time.time()
    running = _running(gw)
    alive = Counter(s for services in gw.leases.workers().values() for s in services)
    rates = gw.rates.sample()
    backlog = _backlog(gw)
    entries = []
    for service in worker.SERVICES:
        waiting = worker.waiting(service)
        counts = gw.leases.counts(service)
        done = counts.get("done", 0)
        seconds = counts.get("milliseconds", 0) / done / 1000 if done else None
        entries.append(
            {
                "queue": service,
                "depth": len(waiting),
                "in_flight": running[service],
                "backlog": backlog[service],
                "oldest_age_seconds": round(now - min(waiting.values()), 1) if waiting else 0.0,
                "workers": alive[service],
                "rate_per_second": rates[service],
                "seconds_per_task": None if seconds is None else round(seconds, 3),
                **{name: counts.get(name, 0) for name in COUNTERS[:-1]},
            }
        )
    return entries


def _running(gw: Gateway) -> Counter[str]:
    """Tasks that workers are at, by service."""
    counter: Counter[str] = Counter()
    for task in gw.leases.running():
        first, _, rest = task.partition("/")
        if first in _JOBS:
            counter[_JOBS[first]] += 1
            continue
        try:
            stages = gw.catalog.view(first).pipeline.stages
        except CorpusmillError:  # the batch was deleted while a task was still at it
            continue
        counter[stages[int(rest.partition("/")[0])].service] += 1
    return counter


def _backlog(gw: Gateway) -> Counter[str]:
    """Tasks that are not committed yet, sent or not, by service: of all active batches."""
    counter: Counter[str] = Counter()
    for batch in gw.catalog.active():
        view = gw.catalog.view(batch)
        gw.catalog.refresh(view)
        for stage in view.pipeline.stages:
            totals = view.funnel.stages[stage.index]
            counter[stage.service] += totals.tasks - len(totals.done)
    return counter


class GatewayCollector(Collector):
    """The same figures for Prometheus, read when they are asked for."""

    def __init__(self, gw: Gateway) -> None:
        self._gw = gw

    def collect(self) -> Iterator[Metric]:
        """Queue gauges and task counters, labelled by queue; the conductor's lag."""
        entries = describe_queues(self._gw)
        gauges = {
            "depth": "Messages that wait in the queue",
            "in_flight": "Tasks that workers are at",
            "backlog": "Tasks not committed yet, sent or not",
            "oldest_age_seconds": "Age of the oldest message",
            "workers": "Workers alive",
        }
        for name, text in gauges.items():
            gauge = GaugeMetricFamily(f"corpusmill_queue_{name}", text, labels=["queue"])
            for entry in entries:
                gauge.add_metric([entry["queue"]], entry[name])
            yield gauge
        for name in COUNTERS:
            counter = CounterMetricFamily(
                f"corpusmill_tasks_{name}", f"Tasks: {name}", labels=["queue"]
            )
            for service in worker.SERVICES:
                counter.add_metric([service], self._gw.leases.counts(service).get(name, 0))
            yield counter
        yield self._alarms()
        lag = GaugeMetricFamily(
            "corpusmill_conductor_last_look_timestamp_seconds", "When this conductor last looked"
        )
        lag.add_metric([], self._gw.conductor.last_look)
        yield lag

    def _alarms(self) -> Metric:
        """Alarms of the batches that go on, and of the newest."""
        gauge = GaugeMetricFamily(
            "corpusmill_rule_alarm",
            "Share that a rule drops of the documents that enter it: nothing, or most",
            labels=["batch", "rule", "kind"],
        )
        catalog = self._gw.catalog
        for batch in sorted({*catalog.active(), *catalog.ids()[-RECENT_BATCHES:]}):
            try:
                view = catalog.view(batch)
            except (CorpusmillError, ValueError):  # deleted now, or of steps that are gone
                continue
            catalog.refresh(view)
            ended = batch_state(catalog, view) in FINAL_STATES
            for alarm in alarms(view.pipeline, view.funnel.stages, ended=ended):
                gauge.add_metric([batch, alarm["rule"], alarm["kind"]], alarm["share"])
        return gauge


@router.get("/metrics", include_in_schema=False)
def metrics(gw: GatewayDep) -> Response:
    """Prometheus metrics."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(gw))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=None)
def readyz(gw: GatewayDep) -> Any:
    """Queue and store answer."""
    try:
        gw.leases.redis.ping()
        gw.store.exists("readyz")
    except (TransientError, OSError) as error:
        return problem(503, "Not ready", str(error))
    return {"status": "ready"}
