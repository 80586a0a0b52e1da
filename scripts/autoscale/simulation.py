"""A discrete-event simulation of queues, workers and whoever decides how many workers there are.

Modelled: the bounded window, oldest batch first and later stages first (`shared.plan`), a shard
handed on after its commit, barriers around phases, one task a worker at a time; pods that wait for
a node, start, work, and are paid from their node to their end; scale-in that picks pods as the
ReplicaSet controller does (not ready before ready, young before old, by powers of two of their
age) and lets a running task end within the grace period.
"""

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from scripts.autoscale.day import DAY_SECONDS, Arrival, StagePlan
from services.gateway.backlog import SECONDS_A_TASK
from shared.estimates import DECAY

#: A pod is bound and its container created this long after it may be (seconds), image on the node.
SCHEDULE_SECONDS = 2.0
#: A killed task's lease expires before it is sent again.
LEASE_SECONDS = 15.0
NODE_PODS = 8
FIRST_NODES = 2
#: An empty node is given back after this long: the cluster autoscaler's default.
NODE_KEPT_SECONDS = 600.0


@dataclass(frozen=True)
class World:
    """What is the same for all policies."""

    window: int
    start_seconds: dict[str, float]
    grace_seconds: dict[str, float]
    node_seconds: float = 90.0
    #: The gateway believes a task to take this many times what it takes.
    misestimate: float = 1.0
    #: From when to when Prometheus does not answer.
    outage: tuple[float, float] = (0.0, 0.0)


@dataclass(slots=True)
class Task:
    """A task that can run."""

    batch: "BatchRun"
    stage: int
    unit: int
    ready: float

    @property
    def seconds(self) -> float:
        """What it takes on a core."""
        return self.batch.stages[self.stage].seconds[self.unit]


@dataclass(slots=True)
class BatchRun:
    """A batch under way."""

    index: int
    submitted: float
    stages: Sequence[StagePlan]
    done: list[int]
    begun: float = math.nan
    ended: float = math.nan


@dataclass(slots=True, eq=False)
class Pod:
    """A worker."""

    created: float
    bound: float = math.nan
    ready: float = math.nan
    task: Task | None = None
    task_started: float = 0.0
    busy: float = 0.0
    busy_at_sync: float = 0.0
    doomed: bool = False
    gone: bool = False

    def busy_until(self, now: float) -> float:
        """Seconds of work so far."""
        return self.busy + (now - self.task_started if self.task else 0.0)


@dataclass
class Service:
    """A service's queue, its pods and its accounts."""

    name: str
    start_seconds: float
    waiting: deque[Task] = field(default_factory=deque)
    pool: list[tuple[int, int, int, Task]] = field(default_factory=list)
    pods: dict[Pod, None] = field(default_factory=dict)
    idle: deque[Pod] = field(default_factory=deque)
    replicas: int = 0
    in_flight: int = 0
    paid: float = 0.0
    starting: float = 0.0
    worked: float = 0.0
    starts: int = 0
    overshoot: int = 0
    killed: int = 0
    #: Tasks that can run and do not, by batch and stage.
    ready: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def ready_tasks(self) -> int:
        """Tasks that can run and do not."""
        return len(self.waiting) + len(self.pool)

    def unready(self) -> int:
        """Live pods that do not work yet."""
        return sum(math.isnan(p.ready) for p in self.pods if not p.doomed)


class Estimates:
    """Seconds a task, as services/gateway/backlog.py has them.

    The first that is known of: the mean of the batch's own tasks of the stage, a decaying mean of
    the stage, a constant.
    """

    def __init__(self) -> None:
        self._own: dict[tuple[int, int], tuple[float, int]] = {}
        self._stages: dict[tuple[str, int], tuple[float, int]] = {}

    def note(self, task: Task) -> None:
        """A task is done."""
        plan = task.batch.stages[task.stage]
        own = task.batch.index, task.stage
        total, tasks = self._own.get(own, (0.0, 0))
        self._own[own] = total + task.seconds, tasks + 1
        stage = plan.service, task.stage
        mean, tasks = self._stages.get(stage, (0.0, 0))
        mean += (task.seconds - mean) * max(DECAY, 1 / (tasks + 1))
        self._stages[stage] = mean, tasks + 1

    def backlog_seconds(self, service: Service) -> float:
        """Ready tasks times seconds a task."""
        return sum(
            count * self._seconds(service.name, batch, stage)
            for (batch, stage), count in service.ready.items()
        )

    def _seconds(self, service: str, batch: int, stage: int) -> float:
        if (batch, stage) in self._own:
            total, tasks = self._own[batch, stage]
            return total / tasks
        if (service, stage) in self._stages:
            return self._stages[service, stage][0]
        return SECONDS_A_TASK[service]


class Scaler(Protocol):
    """Whoever sets the numbers of replicas."""

    def install(self, simulation: "Simulation") -> None:
        """Set first numbers and plan when to look."""


class Simulation:
    """Runs a day; `run` once."""

    def __init__(self, day: list[Arrival], world: World, scaler: Scaler, seed: int = 0) -> None:
        self.world, self.now = world, 0.0
        self.rng = random.Random(seed)
        names = ["extraction", "langid", "quality", "dedup", "export", "training"]
        self.services = {n: Service(n, world.start_seconds[n]) for n in names}
        self.batches = [
            BatchRun(i, a.time, a.stages, [0] * len(a.stages)) for i, a in enumerate(day)
        ]
        self.waits: list[float] = []
        self.estimates = Estimates()
        self.left = sum(len(s.seconds) for a in day for s in a.stages)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()
        self._nodes, self._unbound = FIRST_NODES, deque[tuple[Service, Pod]]()
        self._bound, self._nodes_coming, self._spare_since = 0, 0, math.inf
        for batch in self.batches:
            self.at(batch.submitted, self._arrive, batch)
        scaler.install(self)

    def at(self, time: float, what: Callable[..., None], *arguments: Any) -> None:
        """Plan an event."""
        heapq.heappush(self._events, (time, next(self._order), what, arguments))

    def every(self, seconds: float, what: Callable[[], None]) -> None:
        """Plan an event again and again, from a random moment of its first period on."""

        def again() -> None:
            what()
            self.at(self.now + seconds, again)

        self.at(self.rng.random() * seconds, again)

    def run(self) -> None:
        """Until the day is over, everything is done, and an hour for the pods to go."""
        end = math.inf
        while self._events and self._events[0][0] <= end:
            self.now, _, what, arguments = heapq.heappop(self._events)
            what(*arguments)
            if self.left == 0 and end == math.inf:
                end = max(DAY_SECONDS, self.now + 3600.0)
            if self.left == 0 and self.now >= DAY_SECONDS and self._at_rest():
                break
        for service in self.services.values():
            for pod in list(service.pods):
                self._remove(service, pod)

    def _at_rest(self) -> bool:
        return all(len(s.pods) <= 1 for s in self.services.values())

    # --- batches

    def _arrive(self, batch: BatchRun) -> None:
        self._open(batch, 0)

    def _open(self, batch: BatchRun, stage: int) -> None:
        """All tasks of a stage can run."""
        for unit in range(len(batch.stages[stage].seconds)):
            self._pool(Task(batch, stage, unit, self.now))
        self._feed(self.services[batch.stages[stage].service])

    def _pool(self, task: Task) -> None:
        service = self.services[task.batch.stages[task.stage].service]
        service.ready[task.batch.index, task.stage] += 1
        self._push(service, task)

    def _push(self, service: Service, task: Task) -> None:
        heapq.heappush(service.pool, (task.batch.index, -task.stage, task.unit, task))

    def _feed(self, service: Service) -> None:
        """The conductor fills the window; idle workers take from it in the order they waited."""
        while True:
            while service.pool and len(service.waiting) < self.world.window:
                service.waiting.append(heapq.heappop(service.pool)[-1])
            if not (service.waiting and service.idle):
                return
            pod = service.idle.popleft()
            if not (pod.gone or pod.doomed):
                self._begin(service, pod, service.waiting.popleft())

    def _begin(self, service: Service, pod: Pod, task: Task) -> None:
        pod.task, pod.task_started = task, self.now
        key = task.batch.index, task.stage
        service.ready[key] -= 1
        if not service.ready[key]:
            del service.ready[key]
        service.in_flight += 1
        self.waits.append(self.now - task.ready)
        if math.isnan(task.batch.begun):
            task.batch.begun = self.now
        self.at(self.now + task.seconds, self._end, service, pod, task)

    def _end(self, service: Service, pod: Pod, task: Task) -> None:
        if pod.task is not task:
            return  # it was killed
        pod.busy, pod.task = pod.busy_until(self.now), None
        service.in_flight -= 1
        service.worked += task.seconds
        self.estimates.note(task)
        self.left -= 1
        if pod.doomed:
            self._remove(service, pod)
        else:
            service.idle.append(pod)
        self._commit(task)
        self._feed(service)

    def _commit(self, task: Task) -> None:
        """What a commit makes runnable: the shard's next stage, or all of the stage after."""
        batch, stage = task.batch, task.stage
        batch.done[stage] += 1
        complete = batch.done[stage] == len(batch.stages[stage].seconds)
        following = stage + 1
        if following == len(batch.stages):
            if complete:
                batch.ended = self.now
            return
        if batch.stages[stage].phase or batch.stages[following].phase:
            if complete:
                self._open(batch, following)
            return
        service = self.services[batch.stages[following].service]
        handed = Task(batch, following, task.unit, self.now)
        service.ready[batch.index, following] += 1
        if len(service.waiting) < self.world.window:
            service.waiting.append(handed)
        else:
            self._push(service, handed)
        self._feed(service)

    # --- pods

    def scale(self, service: Service, replicas: int) -> None:
        """Set a Deployment's replicas."""
        service.replicas = replicas
        live = [p for p in service.pods if not p.doomed]
        for _ in range(replicas - len(live)):
            pod = Pod(self.now)
            service.pods[pod] = None
            self._unbound.append((service, pod))
        if replicas < len(live):
            live.sort(key=self._rank)
            for pod in live[: len(live) - replicas]:
                self._stop(service, pod)
        self._bind()

    def _rank(self, pod: Pod) -> tuple[int, float, float]:
        if math.isnan(pod.bound):
            return 0, 0, 0
        if math.isnan(pod.ready):
            return 1, 0, 0
        return 2, math.floor(math.log2(1 + self.now - pod.ready)), self.rng.random()

    def _stop(self, service: Service, pod: Pod) -> None:
        pod.doomed = True
        if pod.task is None:
            self._remove(service, pod)
        else:
            self.at(self.now + self.world.grace_seconds[service.name], self._kill, service, pod)

    def _kill(self, service: Service, pod: Pod) -> None:
        """The grace period is over: the task is lost, and is sent again after its lease."""
        if pod.gone:
            return
        task, pod.task = pod.task, None
        assert task is not None
        service.in_flight -= 1
        service.killed += 1
        self._remove(service, pod)
        self.at(self.now + LEASE_SECONDS, self._again, service, task)

    def _again(self, service: Service, task: Task) -> None:
        self._pool(Task(task.batch, task.stage, task.unit, self.now))
        self._feed(service)

    def _remove(self, service: Service, pod: Pod) -> None:
        pod.gone = True
        service.pods.pop(pod)
        if math.isnan(pod.bound):
            return
        self._bound -= 1
        service.paid += self.now - pod.bound
        ready = self.now if math.isnan(pod.ready) else pod.ready
        service.starting += ready - pod.bound
        self._bind()

    def _bind(self) -> None:
        """Give pods their nodes, and ask for nodes where there are too few."""
        while self._unbound and (self._unbound[0][1].gone or self._bound < self._nodes * NODE_PODS):
            service, pod = self._unbound.popleft()
            if pod.gone:
                continue
            self._bound += 1
            pod.bound = self.now
            service.starts += 1
            self.at(
                self.now + SCHEDULE_SECONDS + service.start_seconds, self._started, service, pod
            )
        missing = math.ceil(len(self._unbound) / NODE_PODS) - self._nodes_coming
        for _ in range(missing):
            self._nodes_coming += 1
            self.at(self.now + self.world.node_seconds, self._node)
        spare = self._nodes > FIRST_NODES and self._bound <= (self._nodes - 1) * NODE_PODS
        if not spare:
            self._spare_since = math.inf
        elif self._spare_since == math.inf:
            self._spare_since = self.now
            self.at(self.now + NODE_KEPT_SECONDS, self._give_back, self.now)

    def _node(self) -> None:
        self._nodes += 1
        self._nodes_coming -= 1
        self._bind()

    def _give_back(self, since: float) -> None:
        if self._spare_since == since:
            self._nodes -= 1
            self._spare_since = math.inf
            self._bind()

    def _started(self, service: Service, pod: Pod) -> None:
        if not pod.gone:
            pod.ready = self.now
            service.idle.append(pod)
            self._feed(service)
