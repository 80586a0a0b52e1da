"""The gateway's metrics that are read when Prometheus asks; `shared.metrics` names them all."""

import time
from collections.abc import Iterator
from typing import Any, cast

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.gateway.alarms import alarms
from services.gateway.catalog import RECENT_SECONDS, Catalog
from services.gateway.conductor import Conductor
from services.gateway.figures import Figures
from services.gateway.training_metrics import TrainingMetrics
from shared.errors import CorpusmillError
from shared.leases import Leases
from shared.metrics import FAMILIES, REGISTRY

#: Ended batches whose alarms are still told.
RECENT_BATCHES = 10
#: The accounts of batches that the conductor has looked at so lately are not read again.
_FRESH_SECONDS = 10.0
#: Metric of a queue to its name in `GET /v1/queues`.
_OF_QUEUES = {
    "corpusmill_queue_depth": "depth",
    "corpusmill_queue_oldest_age_seconds": "oldest_age_seconds",
    "corpusmill_queue_workers": "workers",
}
#: These are the conductor's; told while they are not stale.
_OF_SNAPSHOT = {
    "corpusmill_queue_in_flight": "in_flight",
    "corpusmill_backlog_seconds": "backlog_seconds",
    "corpusmill_task_seconds_estimate": "seconds_estimate",
}


class GatewayCollector(Collector):
    """Queues, batches, alarms, the conductor, Valkey, training; and what this process counts."""

    def __init__(
        self, catalog: Catalog, conductor: Conductor, figures: Figures, leases: Leases
    ) -> None:
        self._catalog, self._conductor, self._figures = catalog, conductor, figures
        self._leases = leases
        self._training = TrainingMetrics(catalog.store)

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        yield from self._queues()
        yield from self._looks()
        yield self._alarms()
        yield from self._valkey()
        yield from self._training.collect()
        yield from REGISTRY.collect()

    def _queues(self) -> Iterator[Metric]:
        entries = self._figures.queues()
        gauges = dict(_OF_QUEUES)
        tasks = FAMILIES["corpusmill_backlog_tasks"].collected()
        if not self._figures.snapshot().stale:
            gauges |= _OF_SNAPSHOT
            for entry in entries:
                for state in ("ready", "blocked"):
                    tasks.add_metric([entry["queue"], state], entry[state])
        for name, field in gauges.items():
            gauge = FAMILIES[name].collected()
            for entry in entries:
                gauge.add_metric([entry["queue"]], entry[field])
            yield gauge
        yield tasks
        outcomes = FAMILIES["corpusmill_tasks_total"].collected()
        for entry in entries:
            for outcome in ("done", "failed", "retried", "careful"):
                outcomes.add_metric([entry["queue"], outcome], entry[outcome])
        yield outcomes

    def _looks(self) -> Iterator[Metric]:
        snapshot = self._figures.snapshot()
        yield _one("corpusmill_conductor_last_look_timestamp_seconds", snapshot.time)
        yield _one("corpusmill_conductor_look_seconds", snapshot.look_seconds)
        batches = FAMILIES["corpusmill_batches"].collected()
        for state, count in snapshot.batches.items():
            batches.add_metric([state], count)
        yield batches

    def _alarms(self) -> Metric:
        """Alarms of the batches that go on, and of the newest."""
        gauge = FAMILIES["corpusmill_rule_alarm"].collected()
        catalog = self._catalog
        survey = catalog.survey(RECENT_SECONDS)
        active = set(survey.active)
        looked = self._conductor.last
        fresh = looked is not None and time.time() - looked.time < _FRESH_SECONDS
        for batch in sorted({*active, *list(survey.ended)[-RECENT_BATCHES:]}):
            try:
                view = catalog.view(batch)
                if batch not in active or not fresh:
                    catalog.refresh(view)
            except (CorpusmillError, ValueError):  # deleted now, or of steps that are gone
                continue
            with view.lock:
                found = alarms(view.pipeline, view.funnel.stages, ended=batch not in active)
            for alarm in found:
                gauge.add_metric([batch, alarm["rule"], alarm["kind"]], alarm["share"])
        return cast("Metric", gauge)

    def _valkey(self) -> Iterator[Metric]:
        told: Any = self._leases.redis.info("memory")
        yield _one("corpusmill_valkey_memory_bytes", told["used_memory"])
        yield _one("corpusmill_valkey_memory_limit_bytes", told["maxmemory"])


def _one(name: str, value: float) -> Metric:
    family = FAMILIES[name].collected()
    family.add_metric([], value)
    return cast("Metric", family)
