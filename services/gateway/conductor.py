"""The conductor: looks at what is committed and feeds the queues, a bounded window at a time.

One gateway holds the lease and conducts; every other one stands by. The conductor remembers
nothing that it could not find out again: what waits stands in the queues, what runs has a lease,
what is done has a receipt. So it makes no difference when Redis is emptied, a worker dies, or the
conductor itself is restarted.
"""

import logging
import math
import os
import socket
import threading
import time
from datetime import timedelta

from redis.exceptions import RedisError

from services.gateway.backlog import BacklogMeter, Look, Snapshot
from services.gateway.catalog import BatchView, Catalog, Survey
from shared import worker
from shared.errors import CorpusmillError
from shared.indexes.compactions import has_failed, work_left
from shared.indexes.joining import complete_pending
from shared.indexes.log import names, read_log
from shared.indexes.members import rebuilding, waits
from shared.indexes.rebuilding import end_rebuild, missing_tasks
from shared.leases import Leases
from shared.plan import runnable
from shared.ref import IndexRef, JobRef, RunRef, TaskRef
from shared.run_cluster import HELD
from shared.settings import Settings
from shared.telemetry import log_context
from shared.training_run import ENDS

log = logging.getLogger(__name__)

LEASE_NAME = "conductor"
_RUN_ENDS = frozenset(f"{end}.json" for end in ENDS)
FINAL_STATES = ("finished", "failed", "cancelled")
#: A message that has left the queue and has no lease yet is on its way to a worker's process.
GRACE_SECONDS = 3.0
#: How often indexes are looked at: what they ask for is never urgent.
INDEX_LOOK_SECONDS = 2.0


class Conductor:
    """A thread that keeps the queues fed."""

    def __init__(self, catalog: Catalog, leases: Leases, conf: Settings) -> None:
        self._catalog, self._leases, self._conf = catalog, leases, conf
        self._me = f"{socket.gethostname()}-{os.getpid()}-{id(self)}"
        self._sent: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="conductor", daemon=True)
        self._indexes_seen = -INDEX_LOOK_SECONDS
        #: When the oldest listing of this look began.
        self._oldest_seen = 0.0
        self._backlog = BacklogMeter(catalog, leases)
        #: Jobs that indexes ask for, as of the last look at them: task id to service.
        self._index_jobs: dict[str, str] = {}
        self.last: Snapshot | None = None

    def start(self) -> None:
        """Begin to conduct, or to stand by."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present look."""
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        took = 0.0  # a pause is as long as the look before it: requests get half of the time
        while not self._stop.wait(max(self._conf.tick.total_seconds(), took)):
            started = time.monotonic()
            try:
                lease = 20 * self._conf.tick + timedelta(seconds=4 * took)
                if self._leases.acquire(LEASE_NAME, self._me, lease):
                    self.look()
            except (RedisError, CorpusmillError, OSError) as error:
                log.warning("conductor: %s; looking again", error)
            except Exception:
                log.exception("conductor: defect; looking again")
            took = time.monotonic() - started

    def look(self) -> None:
        """One look at everything: settle what has ended, send what can run."""
        seen = Look()
        complete_pending(self._catalog.store)
        queues = {service: worker.waiting(service) for service in worker.SERVICES}
        present = {ref for waiting in queues.values() for ref in waiting}
        # The grace of a message begins when it leaves the queue, however long it waited there.
        self._sent |= dict.fromkeys(present, time.monotonic())
        room = {s: self._conf.window - len(waiting) for s, waiting in queues.items()}
        survey = self._catalog.survey()
        self._oldest_seen = time.monotonic()
        for batch in survey.active:
            try:
                view = self._catalog.view(batch)
            except (CorpusmillError, ValueError) as error:
                with log_context(batch=batch):
                    log.error("batch %s cannot be planned: %s", batch, error)  # noqa: TRY400
                continue
            self._feed_batch(view, survey, present, room, seen)
        self._feed_runs(present, room, seen)
        self._feed_indexes(present, room)
        seen.jobs |= self._index_jobs
        self._forget_old()
        self.last = self._backlog.publish(seen, list(survey.ended))

    def _feed_batch(
        self,
        view: BatchView,
        survey: Survey,
        present: set[str],
        room: dict[str, int],
        seen: Look,
    ) -> None:
        """Send the batch's runnable tasks, as many as the window has room for."""
        view.final = None  # another gateway may have let it go on
        self._catalog.refresh(view, seen.started)
        self._oldest_seen = min(self._oldest_seen, view.seen)
        failed = survey.failed.get(view.batch.id, frozenset())
        if view.batch.id in survey.cancelled:
            self._catalog.settle(view)
            seen.batches["cancelling"] += 1
            return
        candidates: list[TaskRef] = []
        done = view.funnel.committed()
        blocked = {w.stage for w in waits(self._catalog.store, view.pipeline, done)}
        ready = seen.add(view, blocked, failed)
        full = {service for service, left in room.items() if left <= 0}
        for ref in runnable(view.pipeline, done, blocked, full):
            if ref.id in failed or ref.id in present or not self._is_late(ref.id, view.seen):
                continue
            service = view.pipeline.stages[ref.stage].service
            candidates.append(ref)
            room[service] -= 1
            if room[service] <= 0:
                full.add(service)
        if not (blocked or candidates or ready):
            self._catalog.settle(view)
            return
        held = self._leases.held_many([ref.id for ref in candidates])
        for ref in candidates:
            if ref.id not in held:
                self._send(view.pipeline.stages[ref.stage].service, ref)

    def _feed_runs(self, present: set[str], room: dict[str, int], seen: Look) -> None:
        """Send every training run that has not ended, or whose backend still has to clean up."""
        keys = [e.key for e in self._catalog.store.list("runs/")]
        ended = {
            k.split("/")[1] for k in keys if k.rsplit("/", 1)[-1] in _RUN_ENDS and k.count("/") == 2
        } - {k.split("/")[1] for k in keys if k.endswith(f"/{HELD}")}
        for key in keys:
            run = key.split("/")[1]
            if key != f"runs/{run}/run.json" or run in ended:
                continue
            ref = RunRef(run=run)
            seen.jobs[ref.id] = ref.service
            if room["training"] <= 0:
                continue
            if ref.id not in present and self._is_late(ref.id) and not self._leases.held(ref.id):
                self._send("training", ref)
                room["training"] -= 1

    def _feed_indexes(self, present: set[str], room: dict[str, int]) -> None:
        """Send what is missing of an index that is rebuilt, and indexes with runs to merge."""
        store = self._catalog.store
        if time.monotonic() - self._indexes_seen < INDEX_LOOK_SECONDS:
            return
        self._indexes_seen = time.monotonic()
        self._index_jobs = {}
        for index in names(read_log(store)):
            wanted: list[tuple[str, TaskRef | IndexRef]] = []
            if rebuilding(store, index):
                missing = missing_tasks(store, index)
                wanted = [(s, ref) for s, ref in missing if not store.exists(ref.failed_key)]
                if not missing:
                    end_rebuild(store, index)
            elif not has_failed(store, index) and work_left(store, index, self._conf):
                ref = IndexRef(index=index)
                wanted = [(ref.service, ref)]
            self._index_jobs |= {task.id: service for service, task in wanted}
            for service, task in wanted:
                sendable = task.id not in present and self._is_late(task.id)
                if sendable and room[service] > 0 and not self._leases.held(task.id):
                    self._send(service, task)
                    room[service] -= 1

    def _send(self, service: str, ref: TaskRef | JobRef) -> None:
        worker.send(service, ref)
        self._sent[ref.id] = time.monotonic()

    def _is_late(self, ref: str, seen: float | None = None) -> bool:
        """Whether the task was not sent just before what is known was `seen` (by default, now)."""
        seen = time.monotonic() if seen is None else seen
        return seen - self._sent.get(ref, -math.inf) >= GRACE_SECONDS

    def _forget_old(self) -> None:
        oldest = min(time.monotonic(), self._oldest_seen) - GRACE_SECONDS
        self._sent = {r: t for r, t in self._sent.items() if t > oldest}


def batch_state(catalog: Catalog, view: BatchView) -> str:
    """One word for people: queued, running, cancelling, finished, failed or cancelled."""
    end = view.final or catalog.end(view.batch.id)
    if end is not None:
        return str(end["state"])
    if catalog.is_cancelled(view.batch.id):
        return "cancelling"
    return "running" if any(t.done for t in view.funnel.stages.values()) else "queued"
