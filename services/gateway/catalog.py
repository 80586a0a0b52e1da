"""What the gateway knows of batches: their records in the store, and funnels kept up to date.

Everything is read from the store; what is kept in memory are only immutable records and receipts
that were read before, so a restarted gateway, or a second one, says the same.
"""

import math
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from services.gateway.listings import Listings
from shared.columns import committed_units
from shared.errors import ConflictError, NotFoundError
from shared.indexes.removal import drop_everywhere
from shared.plan import finished
from shared.progress import Funnel
from shared.ref import TaskRef
from shared.shards import Batch
from shared.stages import Pipeline, compile_batch
from shared.store import Entry, Store

#: Batches whose funnels are kept in memory: more than go on at once, or each look reads all anew.
CACHED_BATCHES = 4096
#: How old a listing may be that answers a request (seconds); the conductor's are new at each look.
RECENT_SECONDS = 0.5
_BATCHES = "batches/"


@dataclass
class BatchView:
    """A batch, compiled, with its accounts so far."""

    pipeline: Pipeline
    funnel: Funnel
    lock: threading.Lock = field(default_factory=threading.Lock)
    final: dict[str, Any] | None = None
    #: When the oldest listing began that the funnel was brought up to date by (monotonic).
    seen: float = -math.inf

    @property
    def batch(self) -> Batch:
        """What was submitted."""
        return self.pipeline.batch


@dataclass(frozen=True)
class Survey:
    """What one listing of all batches says of them; ids begin with their time: newest last."""

    active: list[str]
    #: Batches with an end, and when that was written.
    ended: dict[str, datetime]
    cancelled: Set[str]
    #: Ids of the tasks that have failed, by batch.
    failed: Mapping[str, Set[str]]

    @property
    def ids(self) -> list[str]:
        """All of them."""
        return sorted([*self.active, *self.ended])


class Catalog:
    """Batches in the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._views: OrderedDict[str, BatchView] = OrderedDict()
        self._lock = threading.Lock()
        self._folders = Listings(partial(committed_units, store))
        self._batches = Listings(lambda folder: _survey(store.list(folder)))
        self._summaries: dict[str, dict[str, Any]] = {}
        self._ends: dict[str, tuple[datetime, str]] = {}

    def ids(self) -> list[str]:
        """Ids of all batches; they begin with their time, so newest last."""
        return self.survey(RECENT_SECONDS).ids

    def active(self) -> list[str]:
        """Ids of batches without an end."""
        return self.survey().active

    def survey(self, age: float = 0.0) -> Survey:
        """All batches, as of at most `age` seconds ago; see `services.gateway.listings`."""
        return self._batches.get(_BATCHES, time.monotonic() - age).value

    def changed(self) -> None:
        """This process has written or removed a batch's record, end or mark."""
        self._batches.forget(_BATCHES)

    def view(self, batch: str) -> BatchView:
        """A batch; NotFoundError where there is none."""
        with self._lock:
            if batch in self._views:
                self._views.move_to_end(batch)
                return self._views[batch]
        record = _record(self.store, batch)
        pipeline = compile_batch(Batch.model_validate(record))
        view = BatchView(pipeline, Funnel(pipeline))
        with self._lock:
            view = self._views.setdefault(batch, view)
            while len(self._views) > CACHED_BATCHES:
                self._views.popitem(last=False)
        return view

    def refresh(self, view: BatchView, since: float | None = None) -> None:
        """Read receipts committed since the last look; an ended batch is read whole once.

        Folders are listed anew where their listings are older than `since` (monotonic seconds; by
        default, now); long ones are used for some time.
        """
        wanted = time.monotonic() if since is None else since
        oldest = math.inf

        def committed(_store: Store, folder: str) -> Set[str]:
            nonlocal oldest
            found = self._folders.get(folder, wanted)
            oldest = min(oldest, found.begun)
            return found.value

        with view.lock:
            if view.final is None:
                view.funnel.update(self.store, view.pipeline, committed=committed)
                view.seen = oldest

    def summary(self, batch: str) -> dict[str, Any]:
        """What a list says of a batch; of the record alone, which never changes."""
        known = self._summaries.get(batch)
        if known is None:
            told = self.view(batch).batch
            known = {
                "id": told.id,
                "recipe": told.recipe.name,
                "sources": len(told.sources),
                "shards": len(told.shards),
                "created": told.created.isoformat(),
            }
            self._summaries[batch] = known
        return known

    def state(self, batch: str, survey: Survey) -> str:
        """One word, as of a survey; what has begun is as of the last `refresh`."""
        if (written := survey.ended.get(batch)) is not None:
            return self._end_state(batch, written)
        if batch in survey.cancelled:
            return "cancelling"
        stages = self.view(batch).funnel.stages
        return "running" if any(t.done for t in stages.values()) else "queued"

    def _end_state(self, batch: str, written: datetime) -> str:
        """How a batch ended whose end was written at a time: read once."""
        known = self._ends.get(batch)
        if known is None or known[0] != written:
            end = self.end(batch)
            known = written, "running" if end is None else str(end["state"])
            self._ends[batch] = known
        return known[1]

    def end(self, batch: str) -> dict[str, Any] | None:
        """The record of a batch's end, None while it goes on."""
        try:
            record: dict[str, Any] = self.store.get_json(f"batches/{batch}/end.json")
        except NotFoundError:
            return None
        return record

    def failures(self, batch: str) -> list[dict[str, Any]]:
        """Marks of failed tasks."""
        return [self.store.get_json(e.key) for e in self.store.list(f"batches/{batch}/failed/")]

    def is_cancelled(self, batch: str) -> bool:
        """Whether someone asked for the batch to stop."""
        return self.store.exists(f"batches/{batch}/cancelled.json")

    def cancel(self, batch: str) -> None:
        """Ask for the batch to stop: tasks that run end, nothing more is sent."""
        self.view(batch)
        if self.end(batch) is not None:
            raise ConflictError(f"batch {batch} has already ended")
        self.store.put_json(f"batches/{batch}/cancelled.json", {"time": time.time()})
        self.changed()

    def retry(self, batch: str) -> int:
        """Let a failed or cancelled batch go on; returns the number of failure marks removed."""
        view = self.view(batch)
        end = self.end(batch)
        if end is not None and end["state"] == "finished":
            raise ConflictError(f"batch {batch} is finished; there is nothing to retry")
        marks = [e.key for e in self.store.list(f"batches/{batch}/failed/")]
        for key in (*marks, f"batches/{batch}/cancelled.json", f"batches/{batch}/end.json"):
            self.store.delete(key)
        view.final = None
        self.changed()
        return len(marks)

    def delete(self, batch: str) -> int:
        """Remove an ended batch and all columns that no other batch shares; returns objects."""
        view = self.view(batch)
        if self.end(batch) is None:
            raise ConflictError(f"batch {batch} has not ended; cancel it first")
        drop_everywhere(self.store, batch)
        shared: set[str] = set()
        for other in self.ids():
            if other != batch:
                shared |= _outputs(self.view(other).pipeline)
        removed = 0
        for output in sorted(_outputs(view.pipeline) - shared):
            folder, unit = output.rsplit("/", 1)
            for entry in list(self.store.list(folder + "/")):
                name = entry.key.rsplit("/", 1)[-1]
                if not unit or name == f"{unit}.json" or name.startswith(f"{unit}-"):
                    self.store.delete(entry.key)
                    removed += 1
        for entry in list(self.store.list(f"batches/{batch}/")):
            self.store.delete(entry.key)
            removed += 1
        with self._lock:
            self._views.pop(batch, None)
            self._summaries.pop(batch, None)
        self.changed()
        return removed

    def settle(self, view: BatchView) -> dict[str, Any] | None:
        """Write the record of the batch's end once there is nothing left to wait for."""
        batch = view.batch.id
        failures = self.failures(batch)
        if self.is_cancelled(batch):
            state = "cancelled"
        elif finished(view.pipeline, view.funnel.committed()):
            state = "finished"
        elif failures:
            state = "failed"
        else:
            return None
        record = {"state": state, "time": time.time(), "failures": len(failures)}
        self.store.put_json(f"batches/{batch}/end.json", record)
        view.final = record
        self.changed()
        return record


def _survey(entries: Iterable[Entry]) -> Survey:
    """Of the objects below `batches/`."""
    there: list[str] = []
    ended: dict[str, datetime] = {}
    cancelled: set[str] = set()
    failed: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        batch, _, name = entry.key.removeprefix(_BATCHES).partition("/")
        if name == "batch.json":
            there.append(batch)
        elif name == "end.json":
            ended[batch] = entry.modified
        elif name == "cancelled.json":
            cancelled.add(batch)
        elif name.startswith("failed/"):
            stage, _, unit = name.removeprefix("failed/").removesuffix(".json").partition("-")
            failed[batch].add(TaskRef(batch=batch, stage=int(stage), unit=unit).id)
    active = [b for b in there if b not in ended]
    return Survey(active, {b: ended[b] for b in there if b in ended}, cancelled, failed)


def _record(store: Store, batch: str) -> Any:
    try:
        return store.get_json(f"batches/{batch}/batch.json")
    except NotFoundError as error:
        raise NotFoundError(f"no batch {batch}") from error


def _outputs(pipeline: Pipeline) -> set[str]:
    """All that a batch's tasks write: folder and unit; a sink's folder whole."""
    outputs = {f"{s.folder}{unit}" for s in pipeline.stages for unit in pipeline.units(s)}
    for bound in pipeline.recipe.steps:
        if bound.step.schema.names and (bound.step.row or bound.step.source or bound.step.join):
            folder = pipeline.column_folder(bound)
            outputs |= {f"{folder}{shard.id}" for shard in pipeline.batch.shards}
        if bound.step.sink:
            outputs.add(f"{bound.step.sink}/{pipeline.sink_id(bound)}/")
    return outputs
