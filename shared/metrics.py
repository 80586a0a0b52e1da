"""All metrics: their names, types, labels and meaning, and the functions that count.

Names follow Prometheus's conventions (base units, `_total`). Labels are bounded: `queue` is a
service, `operation` one of the store's, `route` a template, and recipes and rules beyond the first
few hundred are told as "other". docs/metrics.md lists the same; a test compares.

A process that serves no metrics counts all the same: that costs a microsecond or two an event.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:  # that imports the store, which counts here
    from shared.chunk import Tally

Source = Literal["gateway", "worker", "both"]

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each
#: What was counted in this process by the functions below.
REGISTRY = CollectorRegistry(auto_describe=False)
OTHER = "other"
#: Label sets of `corpusmill_verdicts_total` in a process; what is more is counted as "other".
VERDICT_SERIES = 500

_TASK_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1800)
_STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True)
class Family:
    """A metric as it is documented and exposed."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    source: Source
    help: str
    buckets: tuple[float, ...] = ()

    def collected(self) -> Any:
        """An empty family for a collector that reads its values when it is asked."""
        if self.kind == "counter":
            return CounterMetricFamily(self.name, self.help, labels=self.labels)
        return GaugeMetricFamily(self.name, self.help, labels=self.labels)


_QUEUE = ("queue",)
_RUN = ("run",)
FAMILIES: dict[str, Family] = {
    f.name: f
    for f in (
        Family(
            "corpusmill_queue_depth", "gauge", _QUEUE, "gateway", "Messages that wait in the queue"
        ),
        Family("corpusmill_queue_in_flight", "gauge", _QUEUE, "gateway", "Tasks workers are at"),
        Family(
            "corpusmill_queue_oldest_age_seconds",
            "gauge",
            _QUEUE,
            "gateway",
            "Age of the oldest message in the queue; 0 where it is empty",
        ),
        Family("corpusmill_queue_workers", "gauge", _QUEUE, "gateway", "Workers alive"),
        Family(
            "corpusmill_backlog_tasks",
            "gauge",
            ("queue", "state"),
            "gateway",
            "Tasks not done and not in flight: ready (could run now, sent or not) or blocked "
            "(wait for an earlier stage or batch)",
        ),
        Family(
            "corpusmill_backlog_seconds",
            "gauge",
            _QUEUE,
            "gateway",
            "Seconds of work in the ready tasks, for one worker",
        ),
        Family(
            "corpusmill_task_seconds_estimate",
            "gauge",
            _QUEUE,
            "gateway",
            "Mean seconds that a ready task is expected to take; of none ready, the service's",
        ),
        Family(
            "corpusmill_tasks_total",
            "counter",
            ("queue", "outcome"),
            "gateway",
            "Tasks by outcome: done, failed, retried; careful: done in careful mode",
        ),
        Family("corpusmill_batches", "gauge", ("state",), "gateway", "Batches by state"),
        Family(
            "corpusmill_conductor_last_look_timestamp_seconds",
            "gauge",
            (),
            "gateway",
            "When the conductor, of this gateway or another, last ended a look",
        ),
        Family(
            "corpusmill_conductor_look_seconds",
            "gauge",
            (),
            "gateway",
            "How long the conductor's last look took",
        ),
        Family(
            "corpusmill_rule_alarm",
            "gauge",
            ("batch", "rule", "kind"),
            "gateway",
            "Share that a rule drops of the documents that enter it: nothing, or most",
        ),
        Family("corpusmill_valkey_memory_bytes", "gauge", (), "gateway", "Memory that Valkey uses"),
        Family(
            "corpusmill_valkey_memory_limit_bytes",
            "gauge",
            (),
            "gateway",
            "Valkey's maxmemory; 0: none",
        ),
        Family(
            "corpusmill_http_request_seconds",
            "histogram",
            ("method", "route", "status"),
            "gateway",
            "Seconds that a request took",
            _HTTP_BUCKETS,
        ),
        Family("corpusmill_training_step", "gauge", _RUN, "gateway", "Steps done by active runs"),
        Family("corpusmill_training_steps", "gauge", _RUN, "gateway", "Steps that the run has"),
        Family("corpusmill_training_loss", "gauge", _RUN, "gateway", "Loss of the last step, nats"),
        Family(
            "corpusmill_training_tokens_per_second",
            "gauge",
            _RUN,
            "gateway",
            "Tokens a second in the last step",
        ),
        Family(
            "corpusmill_training_mfu",
            "gauge",
            _RUN,
            "gateway",
            "Share of the GPUs' peak that the model's operations take; only where it is known",
        ),
        Family(
            "corpusmill_training_last_progress_timestamp_seconds",
            "gauge",
            _RUN,
            "gateway",
            "When the run last told metrics; when it was submitted, before the first",
        ),
        Family(
            "corpusmill_task_seconds",
            "histogram",
            ("queue", "outcome"),
            "worker",
            "Seconds that a task took: committed, repeated (was done before, or another was "
            "faster), failed (with an error, tried again or not)",
            _TASK_BUCKETS,
        ),
        Family(
            "corpusmill_documents_total",
            "counter",
            _QUEUE,
            "worker",
            "Documents that entered committed tasks of rows",
        ),
        Family(
            "corpusmill_bytes_total",
            "counter",
            ("queue", "direction"),
            "worker",
            "Bytes that tasks read from the store and sources, and written to the store",
        ),
        Family(
            "corpusmill_verdicts_total",
            "counter",
            ("recipe", "rule", "verdict"),
            "worker",
            "Documents dropped by a rule, failed in a step (its name is the rule), or kept to the "
            "end (empty rule); together all documents of the recipe's finished shards",
        ),
        Family(
            "corpusmill_quarantined_documents_total",
            "counter",
            _QUEUE,
            "worker",
            "Documents that killed or hung the process that read them",
        ),
        Family(
            "corpusmill_task_retries_total",
            "counter",
            _QUEUE,
            "worker",
            "Tasks that are tried again after a transient error",
        ),
        Family(
            "corpusmill_worker_start_timestamp_seconds",
            "gauge",
            _QUEUE,
            "worker",
            "When the worker started, a sample for each queue that it serves",
        ),
        Family(
            "corpusmill_store_seconds",
            "histogram",
            ("operation",),
            "both",
            "Seconds of an operation on the store or a source, retries of its client included",
            _STORE_BUCKETS,
        ),
        Family(
            "corpusmill_store_errors_total",
            "counter",
            ("operation", "kind"),
            "both",
            "Operations on the store that failed: transient, other (absent objects do not count)",
        ),
    )
}


@cache
def _metric(name: str) -> Any:
    """The counter or histogram, made when it is first counted (a worker's, after its fork)."""
    family = FAMILIES[name]
    if family.kind == "histogram":
        return Histogram(
            name, family.help, family.labels, registry=REGISTRY, buckets=family.buckets
        )
    return Counter(name, family.help, family.labels, registry=REGISTRY)


@cache
def _child(name: str, *labels: str) -> Any:
    return _metric(name).labels(*labels)


@dataclass
class _Task:
    """Whose task this process is at; a worker's process is at one at a time."""

    queue: str | None = None


_TASK = _Task()
TaskOutcome = Literal["committed", "repeated", "failed"]


@contextmanager
def task_of(queue: str) -> Iterator[None]:
    """Count bytes and quarantined documents of the block for a queue."""
    _TASK.queue = queue
    try:
        yield
    finally:
        _TASK.queue = None


def observe_task(queue: str, outcome: TaskOutcome, seconds: float, documents: int = 0) -> None:
    """A task has ended."""
    _child("corpusmill_task_seconds", queue, outcome).observe(seconds)
    if documents and outcome == "committed":
        _child("corpusmill_documents_total", queue).inc(documents)


def count_retry(queue: str) -> None:
    """A task will be tried again after a transient error."""
    _child("corpusmill_task_retries_total", queue).inc()


def count_quarantined() -> None:
    """A document of the present task lies in quarantine now."""
    if _TASK.queue is not None:
        _child("corpusmill_quarantined_documents_total", _TASK.queue).inc()


def count_bytes(direction: Literal["read", "written"], amount: int) -> None:
    """Bytes that the present task has moved; of no task, nothing is counted."""
    if _TASK.queue is not None and amount:
        _child("corpusmill_bytes_total", _TASK.queue, direction).inc(amount)


_verdict_series: set[tuple[str, str, str]] = set()


def bounded(series: set[tuple[str, str, str]], labels: tuple[str, str, str]) -> tuple[str, ...]:
    """The labels, or "other" where the set is full of other ones."""
    if labels not in series:
        if len(series) >= VERDICT_SERIES:
            return (OTHER, OTHER, labels[2])
        series.add(labels)
    return labels


def count_verdicts(recipe: str, tally: "Tally", *, last: bool) -> None:
    """The verdicts of a committed task of rows; what the last stage keeps is kept to the end."""
    found = [(rule, "dropped", n) for rule, n in tally.dropped.items()]
    found += [(step, "failed", n) for step, n in tally.failed.items()]
    found += [("", "kept", tally.kept)] if last else []
    for rule, verdict, documents in found:
        labels = bounded(_verdict_series, (recipe, rule, verdict))
        _metric("corpusmill_verdicts_total").labels(*labels).inc(documents)


def store_operation(operation: str, seconds: float) -> None:
    """An operation on the store has ended, well or not."""
    _child("corpusmill_store_seconds", operation).observe(seconds)


def store_error(operation: str, kind: Literal["transient", "other"]) -> None:
    """An operation on the store has failed."""
    _child("corpusmill_store_errors_total", operation, kind).inc()


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """The gateway has answered a request; `route` is its template."""
    _child("corpusmill_http_request_seconds", method, route, str(status)).observe(seconds)


class Started(Collector):
    """When a worker started; of the process that its tasks' processes are forked by."""

    def __init__(self, queues: Iterable[str], when: float) -> None:
        self._queues, self._when = tuple(queues), when

    def collect(self) -> Iterator[Metric]:
        """A sample a queue."""
        family = FAMILIES["corpusmill_worker_start_timestamp_seconds"].collected()
        for queue in self._queues:
            family.add_metric([queue], self._when)
        yield family
