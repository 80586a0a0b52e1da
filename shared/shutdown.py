"""The end of a worker: it finishes the task that it has begun, or hands it back.

SIGTERM (and the first SIGINT) begins the end: no new task is taken, and the process that runs a
task is told by SIGTERM too. A task that can pause does so (`asked_to_pause`), another one goes on.
What has not ended shortly before `stop_grace` is over is handed back: its process is killed and
the task is as if it had never begun, so that the next worker does it in the normal way. A second
SIGINT, or SIGQUIT, hands back at once; a second SIGTERM changes nothing.

Nothing is lost or doubled by it, as by no other way to die: a task's receipt is written last.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

log = logging.getLogger(__name__)

#: Handing back takes milliseconds; the rest of this is for a machine that is busy.
_HAND_BACK_SECONDS = 5.0
#: How often it is looked whether the tasks have ended.
_LOOK_SECONDS = 0.1
#: Set in the process that runs a task, once that should pause.
_asked = threading.Event()


def asked_to_pause() -> bool:
    """Whether this process's task should pause, if it can without losing work."""
    return _asked.is_set()


@contextmanager
def noticing_the_end() -> Iterator[None]:
    """While a task runs in this process, SIGTERM asks it to pause, and does not kill it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: _asked.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Begun(Protocol):
    """A task in one of a worker's processes, as the main process knows it."""

    task: str
    process: int

    def take(self) -> None:
        """From now on only `acknowledge` or `hand_back` say what becomes of its message."""

    def acknowledge(self) -> None:
        """It has ended; does nothing where its message is settled already."""

    def hand_back(self) -> None:
        """Its process is gone and it has not ended: as if it had never begun."""


class Ending:
    """The end of a worker's main process, which begins once. `running` gives what it has begun."""

    def __init__(self, running: Callable[[], Sequence[Begun]]) -> None:
        self._running = running
        self._begun, self._at_once = threading.Event(), threading.Event()
        self._seen: dict[str, Begun] = {}

    def begin(self, grace_seconds: float) -> None:
        """The tasks have so long from now, the time to hand them back included."""
        if self._begun.is_set():
            return
        self._begun.set()
        self.at_once_on(signal.SIGINT, signal.SIGQUIT)
        seconds = grace_seconds - min(_HAND_BACK_SECONDS, grace_seconds / 4)
        threading.Thread(target=self._wait, args=(seconds,), name="ending", daemon=True).start()

    def settle(self) -> None:
        """At the very end, where all tasks have ended: Celery may not have said so to Redis."""
        for begun in self._seen.values():
            begun.acknowledge()

    def at_once_on(self, *signals: signal.Signals) -> None:
        """Hand back without waiting at these signals."""
        for number in signals:
            signal.signal(number, lambda *_: self._now())

    def _now(self) -> None:
        self._at_once.set()
        self.begin(0)

    def _wait(self, seconds: float) -> None:
        """Until the deadline; the process ends by itself where all tasks end before."""
        deadline = time.monotonic() + seconds
        told: set[int] = set()
        while time.monotonic() < deadline and not self._at_once.is_set():
            for begun in self._running():
                self._seen.setdefault(begun.task, begun)
                if begun.process not in told:
                    told.add(begun.process)
                    with suppress(ProcessLookupError):
                        os.kill(begun.process, signal.SIGTERM)
            self._at_once.wait(_LOOK_SECONDS)
        for begun in self._running():
            begun.take()
            if _killed(begun.process):
                begun.hand_back()
                log.warning("handed back %s", begun.task)
        self.settle()
        # Celery would wait for the dead; what it has to say to Redis is said.
        os._exit(0)


def _killed(process: int) -> bool:
    """Kill a child and wait for its end; False where it had ended, and its task with it."""
    try:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return False
        os.kill(process, signal.SIGKILL)
    except (ChildProcessError, ProcessLookupError):
        return False
    with suppress(ChildProcessError):  # the main thread was faster to collect it
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    return True
