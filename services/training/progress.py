"""What a run shows of itself while it runs, and when it is to stop."""

import json
import signal
import time
from typing import Any

from shared.store import Store
from shared.training_run import run_key

#: Metrics are shown this often, in seconds, where showing them takes a tenth of it at most.
SHOW_SECONDS = 1.0


class Progress:
    """The metrics of the run so far, shown in the store while it runs; of one process only."""

    def __init__(self, store: Store, run: str, lines: bytes) -> None:
        self._store, self._run, self.lines = store, run, bytearray(lines)
        #: Of the last step; empty before the first.
        self.last: dict[str, Any] = json.loads(lines.splitlines()[-1]) if lines else {}
        self._due = 0.0
        self.cancelled = False

    def add(self, line: dict[str, Any]) -> None:
        """Record a step; show the metrics and look for a cancellation where that is due."""
        self.last = line
        self.lines += json.dumps(line).encode() + b"\n"
        if time.monotonic() >= self._due:
            self.show()

    def show(self) -> None:
        """Put the metrics where the gateway reads them."""
        started = time.monotonic()
        self._store.put(run_key(self._run, "metrics.jsonl"), bytes(self.lines))
        self.cancelled = self._store.exists(run_key(self._run, "cancelled.json"))
        ended = time.monotonic()
        self._due = ended + max(SHOW_SECONDS, 10 * (ended - started))


class Stop:
    """Whether to leave after this step: SIGTERM came, or the time is up."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, _signal: int, _frame: object) -> None:
        self._asked = True

    @property
    def wanted(self) -> bool:
        """Whether this process is to leave."""
        return self._asked or time.monotonic() >= self._deadline
