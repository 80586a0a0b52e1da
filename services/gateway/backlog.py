"""What is left to do, by queue: tasks that are ready, blocked and in flight, and seconds of work.

The conductor counts while it looks, from what it has in its hands then, and leaves a `Snapshot` in
Redis (under a kilobyte). Every gateway answers from that, the standing-by ones too, so that a
scrape or a dashboard costs one read, whatever the number and size of the batches.

Seconds of work are ready tasks x seconds a task of their stage, which are, the first that is known:

1. the mean of the batch's own receipts of the stage: of the tasks that computed something, or,
   where all only read an earlier batch's columns, of those;
2. the decaying mean of the stage over all batches (`shared.estimates`);
3. the mean of the service's tasks;
4. a constant.

A task in flight counts as in flight, not as ready. What has failed for good counts nowhere.
"""

import json
import time
from collections import Counter
from collections.abc import Set
from dataclasses import asdict, dataclass, field
from typing import Any

from services.gateway.catalog import BatchView, Catalog
from shared import worker
from shared.errors import CorpusmillError
from shared.estimates import Estimates
from shared.leases import DAY_SECONDS, PREFIX, Leases
from shared.progress import StageTotals
from shared.ref import IndexRef, RunRef
from shared.stages import Stage

KEY = f"{PREFIX}look"
#: Seconds that a task takes of which nothing is known, of a shard of 32 MiB with 700 pages: at 50
#: ms a page (trafilatura), 2, 5, 5 and 5 ms (docs/benchmarks.md), the half of them English. A slice
#: of a training run is ten minutes (`run_slice`).
SECONDS_A_TASK = {
    "extraction": 35.0,
    "langid": 1.5,
    "quality": 2.0,
    "dedup": 2.0,
    "export": 2.0,
    "training": 600.0,
}
#: Older than this, a snapshot says nothing about now: no metrics, so that a fallback applies.
STALE_SECONDS = 120.0
#: How long means that workers have left in Redis are used before they are read again.
_MEANS_SECONDS = 5.0
#: Records of ended batches that are read in one look.
_READ_ENDS = 20
#: How ids of jobs begin, and whose they are.
JOBS = {"run": RunRef.service, "index": IndexRef.service}


@dataclass
class QueueWork:
    """A service's work."""

    in_flight: int = 0
    ready: int = 0
    blocked: int = 0
    #: Of the ready tasks, for one worker.
    seconds: float = 0.0
    #: Mean of a ready task; of none, of the service's tasks.
    seconds_estimate: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """What a look of the conductor saw."""

    time: float
    look_seconds: float
    queues: dict[str, QueueWork]
    #: Batches by state.
    batches: dict[str, int]

    @property
    def stale(self) -> bool:
        """Whether no conductor has looked for long."""
        return time.time() - self.time > STALE_SECONDS


def read_snapshot(leases: Leases) -> Snapshot:
    """The last look's; an empty one, of long ago, where there was none."""
    raw: Any = leases.redis.get(KEY)
    if raw is None:
        return Snapshot(0.0, 0.0, {s: QueueWork() for s in worker.SERVICES}, {})
    told = json.loads(raw)
    queues = {name: QueueWork(**values) for name, values in told.pop("queues").items()}
    return Snapshot(**told, queues=queues)


@dataclass
class _StageWork:
    """A batch's stage; ready tasks include those in flight."""

    key: tuple[str, int]
    service: str
    name: str
    ready: int
    blocked: int
    measured: float | None


@dataclass
class Look:
    """Collects what the conductor sees during one look."""

    started: float = field(default_factory=time.monotonic)
    stages: list[_StageWork] = field(default_factory=list)
    #: Training runs and indexes' jobs that can run: task id to service.
    jobs: dict[str, str] = field(default_factory=dict)
    batches: Counter[str] = field(default_factory=Counter)

    def add(self, view: BatchView, blocked: Set[int], failed: Set[str]) -> int:
        """Count a batch from its accounts so far; `blocked` stages wait for other batches.

        Returns how many of its tasks are ready or in flight: of none, nothing more will come.
        """
        some = 0
        stages = view.funnel.stages
        self.batches["running" if any(t.done for t in stages.values()) else "queued"] += 1
        lost: Counter[int] = Counter()
        for task in failed:
            _, index, unit = task.split("/", 2)
            lost[int(index)] += unit not in stages[int(index)].done
        previous: Stage | None = None  # the last before that has tasks
        for stage in view.pipeline.stages:
            totals = stages[stage.index]
            if totals.tasks == 0:
                continue
            left = totals.tasks - len(totals.done)
            if left:
                ready = 0 if stage.index in blocked else _ready(stage, previous, stages)
                key = (view.batch.id, stage.index)
                runnable = max(0, ready - lost[stage.index])
                some += runnable
                measured = measured_seconds(totals)
                self.stages.append(
                    _StageWork(key, stage.service, stage.name, runnable, left - ready, measured)
                )
            previous = stage
        return some


def _ready(stage: Stage, previous: Stage | None, stages: dict[int, StageTotals]) -> int:
    """How many tasks `shared.plan.runnable` would name; counted, not listed."""
    totals = stages[stage.index]
    left = totals.tasks - len(totals.done)
    if previous is None:
        return left
    before = stages[previous.index]
    if len(before.done) == before.tasks:
        return left
    if previous.phase is None and stage.phase is None:
        return max(0, len(before.done) - len(totals.done))
    return 0


def measured_seconds(totals: StageTotals) -> float | None:
    """Mean seconds of a batch's own tasks of a stage, None before the first."""
    computed = len(totals.done) - totals.reused
    if computed:
        return totals.computed_seconds / computed
    return totals.wall_seconds / totals.reused if totals.reused else None


def mean_seconds(counts: dict[str, int]) -> float | None:
    """Mean seconds of a service's tasks, from its counters; None before the first."""
    done = counts.get("done", 0)
    return counts.get("milliseconds", 0) / done / 1000 if done else None


class BacklogMeter:
    """Makes a snapshot of a look, and leaves it in Redis."""

    def __init__(self, catalog: Catalog, leases: Leases) -> None:
        self._catalog, self._leases = catalog, leases
        self._means: dict[tuple[str, str], float] = {}
        self._services: dict[str, float] = {}
        self._means_read = -_MEANS_SECONDS
        self._ended: dict[str, str] = {}

    def publish(self, look: Look, ended: list[str]) -> Snapshot:
        """End a look; `ended` are the batches that have ended."""
        look.batches.update(self._end_states(ended))
        snapshot = Snapshot(
            time.time(), time.monotonic() - look.started, self._queues(look), dict(look.batches)
        )
        self._leases.redis.set(KEY, json.dumps(asdict(snapshot)), ex=DAY_SECONDS)
        return snapshot

    def _queues(self, look: Look) -> dict[str, QueueWork]:
        self._read_means(look)
        queues = {service: QueueWork() for service in worker.SERVICES}
        running = self._leases.running()
        at: Counter[tuple[str, int]] = Counter()
        for task in running:
            first, _, rest = task.partition("/")
            if first in JOBS:
                queues[JOBS[first]].in_flight += 1
            else:
                at[first, int(rest.partition("/")[0])] += 1
        for batch, stage in at:
            if (service := self._service(batch, stage)) is not None:
                queues[service].in_flight += at[batch, stage]
        for work in look.stages:
            ready = max(0, work.ready - at[work.key])
            queue = queues[work.service]
            queue.ready += ready
            queue.blocked += work.blocked
            if ready:
                queue.seconds += ready * self._seconds(work)
        for task in look.jobs.keys() - set(running):
            service = look.jobs[task]
            queues[service].ready += 1
            queues[service].seconds += self._services[service]
        for name, queue in queues.items():
            queue.seconds_estimate = (
                queue.seconds / queue.ready if queue.ready else self._services[name]
            )
        return queues

    def _service(self, batch: str, stage: int) -> str | None:
        try:
            return self._catalog.view(batch).pipeline.stages[stage].service
        except CorpusmillError:  # the batch was deleted while a task was still at it
            return None

    def _seconds(self, work: _StageWork) -> float:
        if work.measured is not None:
            return work.measured
        return self._means.get((work.service, work.name), self._services[work.service])

    def _read_means(self, look: Look) -> None:
        """What workers have measured; read again every few seconds, and for new stages."""
        wanted = {(w.service, w.name) for w in look.stages if w.measured is None and w.ready}
        now = time.monotonic()
        if now - self._means_read > _MEANS_SECONDS:
            self._means_read = now
            self._means = {}
            self._services = {s: self._service_mean(s) for s in worker.SERVICES}
        new = wanted - self._means.keys()
        found = Estimates(self._leases.redis).means(new)
        self._means |= {stage: found.get(stage, self._services[stage[0]]) for stage in new}

    def _service_mean(self, service: str) -> float:
        mean = mean_seconds(self._leases.counts(service))
        return SECONDS_A_TASK[service] if mean is None else mean

    def _end_states(self, ended: list[str]) -> Counter[str]:
        """Ended batches by state: each record is read once, a few a look; the rest is "ended"."""
        self._ended = {b: state for b in ended if (state := self._ended.get(b))}
        unknown = [b for b in reversed(ended) if b not in self._ended]
        for batch in unknown[:_READ_ENDS]:
            if (end := self._catalog.end(batch)) is not None:
                self._ended[batch] = str(end["state"])
        states = Counter(self._ended.values())
        states.update({"ended": max(0, len(unknown) - _READ_ENDS)})
        return +states
