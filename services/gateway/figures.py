"""The figures of the queues, read at most twice a second however many ask.

Half is the conductor's last snapshot (`services.gateway.backlog`), half is asked of Valkey here, in
one round trip and a scan for workers: messages that wait, their age, counters, rates.
"""

import threading
import time
from collections import Counter, deque
from typing import Any

from services.gateway.backlog import Snapshot, mean_seconds, read_snapshot
from shared import worker
from shared.leases import PREFIX, Leases

#: How long figures are used before they are read again.
_KEEP_SECONDS = 0.5
#: Rates are measured over at most this long.
RATE_WINDOW_SECONDS = 60.0
COUNTERS = ("done", "failed", "retried", "careful", "documents")


class Figures:
    """What is told of the queues."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._lock = threading.Lock()
        self._read_at = -_KEEP_SECONDS
        self._snapshot = Snapshot(0.0, 0.0, {}, {})
        self._queues: list[dict[str, Any]] = []
        self._samples: deque[tuple[float, dict[str, int]]] = deque()

    def snapshot(self) -> Snapshot:
        """The conductor's last."""
        self.queues()
        return self._snapshot

    def queues(self) -> list[dict[str, Any]]:
        """One entry a service."""
        with self._lock:
            if time.monotonic() - self._read_at >= _KEEP_SECONDS:
                self._snapshot = read_snapshot(self._leases)
                self._queues = self._read()
                self._read_at = time.monotonic()
            return [dict(entry) for entry in self._queues]

    def _read(self) -> list[dict[str, Any]]:
        now = time.time()
        alive = Counter(s for services in self._leases.workers().values() for s in services)
        pipe = self._leases.redis.pipeline(transaction=False)
        for service in worker.SERVICES:
            pipe.lrange(service, 0, -1)
            pipe.hgetall(f"{PREFIX}stats:{service}")
        answers = iter(pipe.execute())
        waiting, counts = {}, {}
        for service in worker.SERVICES:
            waiting[service] = worker.sent_times(next(answers))
            counts[service] = {name: int(value) for name, value in next(answers).items()}
        rates = self._rates({s: counts[s].get("done", 0) for s in worker.SERVICES})
        return [
            {
                "queue": service,
                "depth": len(waiting[service]),
                **self._work(service, alive[service]),
                "oldest_age_seconds": round(now - min(waiting[service].values(), default=now), 1),
                "workers": alive[service],
                "rate_per_second": rates[service],
                "seconds_per_task": _rounded(mean_seconds(counts[service])),
                **{name: counts[service].get(name, 0) for name in COUNTERS},
            }
            for service in worker.SERVICES
        ]

    def _work(self, service: str, workers: int) -> dict[str, Any]:
        work = self._snapshot.queues[service]
        return {
            "in_flight": work.in_flight,
            "ready": work.ready,
            "blocked": work.blocked,
            "backlog": work.ready + work.blocked + work.in_flight,
            "backlog_seconds": round(work.seconds, 3),
            "seconds_estimate": round(work.seconds_estimate, 3),
            "eta_seconds": round(work.seconds / workers, 1) if workers else None,
        }

    def _rates(self, done: dict[str, int]) -> dict[str, float]:
        """Tasks a second since the oldest sample that is kept."""
        now = time.monotonic()
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_WINDOW_SECONDS:
            self._samples.popleft()
        then, before = self._samples[0]
        if now == then:
            return dict.fromkeys(done, 0.0)
        return {s: round(max(0, done[s] - before[s]) / (now - then), 3) for s in done}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
