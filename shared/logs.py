"""The log lines of a batch, kept for some days in a capped Redis stream, for `corpusmill logs`.

    corpusmill:logs:<batch>   a stream; each entry one field, `line`: the line as on standard error

Writing never blocks a task and never fails one: a thread takes the lines from a queue of bounded
length. While Redis is away lines are dropped here; on standard error they stand all the same.
"""

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import redis
from redis.exceptions import RedisError

from shared.settings import Settings
from shared.telemetry import JsonFormatter, context

PREFIX = "corpusmill:logs:"
KEEP_SECONDS = 3 * 86_400
#: Lines that wait for the thread; what is more is dropped, the oldest first.
_WAITING = 1000
#: After an outage, Redis is left alone for so long.
_PAUSE_SECONDS = 5.0
#: Lines read from Redis at a time.
_PAGE = 500


class StreamHandler(logging.Handler):
    """Puts lines that belong to a batch into its stream."""

    def __init__(self, conf: Settings) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self._url, self._lines = conf.redis.get_secret_value(), conf.log_lines
        self._waiting: deque[tuple[str, str]] = deque(maxlen=_WAITING)
        self._some = threading.Event()
        self._process = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line to the thread; lines without a batch are not kept."""
        batch = context().get("batch")
        if batch is None or self._lines == 0:
            return
        self._waiting.append((str(batch), self.format(record)))
        if self._process != os.getpid():  # the thread of before a fork is not here
            self._process = os.getpid()
            threading.Thread(target=self._write, name="logs", daemon=True).start()
        self._some.set()

    def _write(self) -> None:
        """The thread: everything that waits, in one go."""
        connection = redis.Redis.from_url(self._url, socket_timeout=5, socket_connect_timeout=5)
        while True:
            self._some.wait()
            self._some.clear()
            try:
                self._send(connection)
            except RedisError:
                self._waiting.clear()
                time.sleep(_PAUSE_SECONDS)

    def _send(self, connection: redis.Redis) -> None:
        pipe = connection.pipeline(transaction=False)
        batches = set()
        while self._waiting:
            batch, line = self._waiting.popleft()
            batches.add(batch)
            pipe.xadd(PREFIX + batch, {"line": line}, maxlen=self._lines, approximate=True)
        for batch in batches:
            pipe.expire(PREFIX + batch, KEEP_SECONDS)
        pipe.execute()


def read_lines(
    connection: redis.Redis, batch: str, after: str | None, level: int
) -> Iterator[dict[str, Any]]:
    """A batch's lines of at least a level, oldest first, each with its `id`, after a given one."""
    start = "-" if after is None else f"({after}"
    while True:
        entries: Any = connection.xrange(PREFIX + batch, start, "+", _PAGE)
        for name, fields in entries:
            line = json.loads(fields["line"])
            if logging.getLevelNamesMapping().get(line["level"].upper(), 0) >= level:
                yield {"id": name, **line}
        if len(entries) < _PAGE:
            return
        start = f"({entries[-1][0]}"
