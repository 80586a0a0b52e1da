"""How long tasks take: what workers have measured, by stage, kept in Redis.

A decaying mean for each stage (its steps and their service), of tasks that were computed and not
read from an earlier batch's columns. It is what a new batch's backlog is estimated by until its own
receipts say more. A hint, as all in Redis: losing it costs a worse estimate.

    corpusmill:seconds   <service>:<hash of the stage's name> to "<mean seconds> <tasks>"
"""

from collections.abc import Iterable
from typing import Any

import redis
from blake3 import blake3

KEY = "corpusmill:seconds"
#: A new measurement weighs this much once there are as many as its inverse.
DECAY = 0.1
#: Stages remembered; where there are more, all begin anew.
STAGES = 1000
_KEEP_SECONDS = 30 * 86_400


def _field(service: str, stage: str) -> str:
    return f"{service}:{blake3(stage.encode()).hexdigest(8)}"


class Estimates:
    """Mean seconds of a task by stage."""

    def __init__(self, connection: redis.Redis) -> None:
        self._redis = connection

    def note(self, service: str, stage: str, seconds: float) -> None:
        """A task of a stage has been computed. Of two at once, one may be lost."""
        field = _field(service, stage)
        raw: Any = self._redis.hget(KEY, field)
        mean, tasks = (float(part) for part in (raw or "0 0").split())
        mean += (seconds - mean) * max(DECAY, 1 / (tasks + 1))
        pipe = self._redis.pipeline(transaction=False)
        if raw is None and self._count() >= STAGES:
            pipe.delete(KEY)
        pipe.hset(KEY, field, f"{mean:.4g} {tasks + 1:.0f}")
        pipe.expire(KEY, _KEEP_SECONDS)
        pipe.execute()

    def _count(self) -> int:
        count: Any = self._redis.hlen(KEY)
        return int(count)

    def means(self, stages: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """The means of those (service, stage) that are known."""
        wanted = list(stages)
        if not wanted:
            return {}
        found: Any = self._redis.hmget(KEY, [_field(*stage) for stage in wanted])
        return {s: float(raw.split()[0]) for s, raw in zip(wanted, found, strict=True) if raw}
