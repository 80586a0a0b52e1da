"""Structured logs: one JSON object a line on standard error, with the task it belongs to.

Bound to every line of a task: `batch`, `stage` (its name), `shard` or, for a phase of a group step,
`partition`, and `task`; of a training run `run`, of an index's job `index`. A line of its own adds
`extra={"fields": {...}}`.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_CONTEXT: ContextVar[dict[str, Any] | None] = ContextVar("log_context", default=None)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with the context that was bound when it was made."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **context(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


@contextmanager
def log_context(**values: Any) -> Iterator[None]:
    """Bind values to every log line of the block."""
    token = _CONTEXT.set({**context(), **values})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def add_context(**values: Any) -> None:
    """Bind more values, until the present `log_context` ends."""
    _CONTEXT.set({**context(), **values})


def context() -> dict[str, Any]:
    """What is bound at present."""
    return _CONTEXT.get() or {}


def configure_logging(level: str = "INFO", *more: logging.Handler) -> None:
    """Log as JSON lines on standard error, and to other handlers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler, *more], force=True)
