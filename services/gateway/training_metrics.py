"""What Prometheus is told of training runs: of those that go on, and of those just failed.

Read from the store when it is asked for: one listing, and of each run that has told more since, the
end of its metrics. A run that ended with a loss that is no number is told of for an hour, so that
an alert sees it; it makes no progress any more, so that is not told.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

from shared.errors import CorpusmillError
from shared.metrics import FAMILIES
from shared.store import Entry, Store
from shared.training_run import read_spec, run_key

#: Bytes of the end of a run's metrics; a line has about 200.
_TAIL_BYTES = 4096
FAILED_SECONDS = 3600.0
#: Metric to the name in the run's lines of metrics.
_VALUES = {
    "corpusmill_training_step": "step",
    "corpusmill_training_loss": "loss",
    "corpusmill_training_tokens_per_second": "tokens_per_second",
    "corpusmill_training_mfu": "mfu",
}
_STEPS = "corpusmill_training_steps"
_PROGRESS = "corpusmill_training_last_progress_timestamp_seconds"


class TrainingMetrics:
    """Remembers what it has read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: Run to its number of steps, and to its last line as of an object's time and size.
        self._steps: dict[str, int] = {}
        self._lines: dict[str, tuple[Entry, dict[str, Any]]] = {}

    def collect(self) -> Iterator[Any]:
        """The families of `corpusmill_training_*`."""
        families = {name: FAMILIES[name].collected() for name in (*_VALUES, _STEPS, _PROGRESS)}
        told = self._told()
        self._lines = {run: self._lines[run] for run in told if run in self._lines}
        self._steps = {run: self._steps[run] for run in told if run in self._steps}
        for run, objects in told.items():
            try:
                steps, line = self._read(run, objects.get("metrics.jsonl"))
            except CorpusmillError:  # deleted, or being written
                continue
            families[_STEPS].add_metric([run], steps)
            for name, field in _VALUES.items():
                if (value := line.get(field)) is not None:
                    families[name].add_metric([run], value)
            if "failed.json" not in objects:
                shown = objects.get("metrics.jsonl", objects["run.json"])
                families[_PROGRESS].add_metric([run], shown.modified.timestamp())
        yield from families.values()

    def _told(self) -> dict[str, dict[str, Entry]]:
        """Runs that go on or have failed just now, with the objects of their folders."""
        runs: dict[str, dict[str, Entry]] = {}
        for entry in self._store.list("runs/"):
            if entry.key.count("/") == 2:
                _, run, name = entry.key.split("/")
                runs.setdefault(run, {})[name] = entry
        since = time.time() - FAILED_SECONDS
        return {
            run: objects
            for run, objects in runs.items()
            if "run.json" in objects
            and not objects.keys() & {"finished.json", "cancelled.json"}
            and (
                "failed.json" not in objects or objects["failed.json"].modified.timestamp() > since
            )
        }

    def _read(self, run: str, shown: Entry | None) -> tuple[int, dict[str, Any]]:
        """The run's steps, and its last line; empty before the first."""
        if run not in self._steps:
            self._steps[run] = read_spec(self._store, run).steps
        if shown is None:
            return self._steps[run], {"step": 0}
        if run not in self._lines or self._lines[run][0] != shown:
            self._lines[run] = shown, last_line(self._store, run)
        return self._steps[run], self._lines[run][1]


def last_line(store: Store, run: str) -> dict[str, Any]:
    """The last line of a run's metrics; a loss that is no number is NaN or infinite."""
    key = run_key(run, "metrics.jsonl")
    size = store.stat(key).size
    start = max(0, size - _TAIL_BYTES)
    lines = store.range_reader(key, size)(start, _TAIL_BYTES).splitlines()
    try:
        line: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    except ValueError:  # it was replaced between the two reads; the next one sees it
        line = {}
    return line
