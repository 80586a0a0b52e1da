"""What the gateway knows of batches: their records in the store, and funnels kept up to date.

Everything is read from the store; what is kept in memory are only immutable records and receipts
that were read before, so a restarted gateway, or a second one, says the same.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from shared.errors import ConflictError, NotFoundError
from shared.indexes.removal import drop_everywhere
from shared.plan import finished
from shared.progress import Funnel
from shared.shards import Batch
from shared.stages import Pipeline, compile_batch
from shared.store import Entry, Store

#: Batches whose funnels are kept in memory.
CACHED_BATCHES = 256


@dataclass
class BatchView:
    """A batch, compiled, with its accounts so far."""

    pipeline: Pipeline
    funnel: Funnel
    lock: threading.Lock = field(default_factory=threading.Lock)
    final: dict[str, Any] | None = None

    @property
    def batch(self) -> Batch:
        """What was submitted."""
        return self.pipeline.batch


class Catalog:
    """Batches in the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._views: OrderedDict[str, BatchView] = OrderedDict()
        self._lock = threading.Lock()

    def ids(self) -> list[str]:
        """Ids of all batches; they begin with their time, so newest last."""
        return self._with("batch.json", list(self.store.list("batches/")))

    @staticmethod
    def _with(name: str, entries: list[Entry]) -> list[str]:
        """The batches among the entries that have an object of this name."""
        return sorted(e.key.split("/")[1] for e in entries if e.key.split("/")[2:] == [name])

    def active(self) -> list[str]:
        """Ids of batches without an end."""
        return self.survey()[0]

    def survey(self) -> tuple[list[str], list[str]]:
        """Ids of the batches without an end, and of those with one."""
        entries = list(self.store.list("batches/"))
        ended = set(self._with("end.json", entries))
        batches = self._with("batch.json", entries)
        return [b for b in batches if b not in ended], [b for b in batches if b in ended]

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

    def refresh(self, view: BatchView) -> None:
        """Read receipts committed since the last look; an ended batch is read whole once."""
        with view.lock:
            if view.final is None:
                view.funnel.update(self.store, view.pipeline)

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
        return record


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
