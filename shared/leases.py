"""What Redis holds besides messages: leases, tries, back-off and counters of tasks.

All of it may vanish at any moment. Losing a lease or a counter costs a repeated task at most.

    corpusmill:lease:<task>     a worker is at it (expires)
    corpusmill:tries:<task>     how often it was begun and not ended (expires after a day)
    corpusmill:faults:<task>    how often it ended with an error (expires after a day)
    corpusmill:pause:<task>     not to be sent again yet (expires)
    corpusmill:alive:<worker>   JSON: its service(s), since when (expires)
    corpusmill:stats:<queue>    counters: done, failed, retried, careful, ...
    corpusmill:conductor        the one conductor's lease (expires)
    corpusmill:look             JSON: what the conductor's last look saw (services.gateway.backlog)
    corpusmill:seconds          how long tasks take (shared.estimates)
    corpusmill:logs:<batch>     its last log lines (shared.logs; expires)
"""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

PREFIX = "corpusmill:"
DAY_SECONDS = 86_400


class Leases:
    """Leases, tries and counters in Redis."""

    def __init__(self, url: str) -> None:
        self.redis: redis.Redis = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=10, socket_connect_timeout=5
        )

    @contextmanager
    def hold(self, name: str, seconds: timedelta) -> Iterator[None]:
        """Keep a lease alive from a thread for as long as the block runs."""
        ended = threading.Event()

        def renew() -> None:
            while True:
                with _ignore_outage():
                    self.redis.set(PREFIX + name, "1", px=_milliseconds(seconds))
                if ended.wait(seconds.total_seconds() / 3):
                    return

        thread = threading.Thread(target=renew, name=f"lease {name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with _ignore_outage():
                self.redis.delete(PREFIX + name)

    def acquire(self, name: str, owner: str, seconds: timedelta) -> bool:
        """Take or renew an exclusive lease; False where another owner has it."""
        key, ttl = PREFIX + name, _milliseconds(seconds)
        if self.redis.set(key, owner, nx=True, px=ttl):
            return True
        if self.redis.get(key) == owner:
            return bool(self.redis.pexpire(key, ttl))
        return False

    def held(self, task: str) -> bool:
        """Whether a worker is at the task, or the task has to wait."""
        return bool(self.redis.exists(f"{PREFIX}lease:{task}", f"{PREFIX}pause:{task}"))

    def held_many(self, tasks: list[str]) -> set[str]:
        """Those of the tasks that are held."""
        pipe = self.redis.pipeline(transaction=False)
        for task in tasks:
            pipe.exists(f"{PREFIX}lease:{task}", f"{PREFIX}pause:{task}")
        return {task for task, held in zip(tasks, pipe.execute(), strict=True) if held}

    def begin(self, task: str) -> int:
        """Count a try that has not ended; more than 1 where an earlier one died."""
        return self._increment(f"{PREFIX}tries:{task}")

    def fault(self, task: str) -> int:
        """End a try with an error; returns how many errors there were."""
        self.redis.delete(f"{PREFIX}tries:{task}")
        return self._increment(f"{PREFIX}faults:{task}")

    def _increment(self, key: str) -> int:
        tries = int(self.redis.incr(key))
        self.redis.expire(key, DAY_SECONDS)
        return tries

    def end(self, task: str) -> None:
        """The task ended well, or as well as it ever will."""
        self.redis.delete(*(f"{PREFIX}{kind}:{task}" for kind in ("tries", "faults", "pause")))

    def uncount(self, task: str) -> None:
        """Take back a `begin`: its process was asked to end before the task could."""
        key = f"{PREFIX}tries:{task}"
        if self.redis.exists(key) and int(self.redis.decr(key)) <= 0:
            self.redis.delete(key)

    def release(self, task: str) -> None:
        """Nobody is at the task any more; its holder cannot say so itself."""
        self.redis.delete(f"{PREFIX}lease:{task}")

    def pause(self, task: str, seconds: float) -> None:
        """Do not send the task again before this has passed."""
        self.redis.set(f"{PREFIX}pause:{task}", "1", px=max(1, int(seconds * 1000)))

    def count(self, queue: str, **amounts: int) -> None:
        """Add to a queue's counters."""
        pipe = self.redis.pipeline(transaction=False)
        for name, amount in amounts.items():
            pipe.hincrby(f"{PREFIX}stats:{queue}", name, amount)
        pipe.execute()

    def counts(self, queue: str) -> dict[str, int]:
        """A queue's counters since Redis was last emptied."""
        raw: Any = self.redis.hgetall(f"{PREFIX}stats:{queue}")
        return {name: int(value) for name, value in raw.items()}

    def announce(self, worker: str, services: list[str], seconds: timedelta) -> None:
        """A worker's sign of life."""
        value = json.dumps({"services": services, "seen": time.time()})
        self.redis.set(f"{PREFIX}alive:{worker}", value, px=_milliseconds(seconds))

    def server(self) -> str:
        """Changes whenever Redis is started."""
        info: Any = self.redis.info("server")
        return str(info["run_id"])

    def workers(self) -> dict[str, list[str]]:
        """Workers that are alive, with their services."""
        keys = sorted(self.redis.scan_iter(f"{PREFIX}alive:*", count=1000))
        values: Any = self.redis.mget(keys) if keys else []
        return {
            key.removeprefix(f"{PREFIX}alive:"): json.loads(value)["services"]
            for key, value in zip(keys, values, strict=True)
            if value
        }

    def running(self) -> list[str]:
        """Ids of the tasks that workers are at."""
        prefix = f"{PREFIX}lease:"
        found = self.redis.scan_iter(prefix + "*", count=1000)
        return sorted(key.removeprefix(prefix) for key in found)


def _milliseconds(seconds: timedelta) -> int:
    return int(seconds.total_seconds() * 1000)


def sign_of_life(leases: Leases, worker: str, services: list[str]) -> None:
    """Tell every few seconds that a worker is there; end it where it cannot go on.

    That is with the parent, where that is wanted, and after an outage of Redis: a Celery consumer
    that loses its connection while a task is acknowledged takes no message any more, and says
    nothing of it. A worker that ends finishes its task first; whatever keeps it starts it anew.
    """
    parent = os.getppid()
    server, away = None, False
    while True:
        try:
            leases.announce(worker, services, timedelta(seconds=10))
            found = leases.server()
            away = away or found != (server or found)
            server = found
        except RedisError:
            away = server is not None  # it may start after this worker
        else:
            if away:
                log.warning("Redis was away: this worker ends, to be started anew")
                os.kill(os.getpid(), signal.SIGTERM)
                return
        if os.environ.get("CORPUSMILL_DIE_WITH_PARENT") and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(2)


@contextmanager
def _ignore_outage() -> Iterator[None]:
    """A lease that cannot be renewed expires; that costs a repeated task, never a result."""
    try:
        yield
    except RedisError:
        return
