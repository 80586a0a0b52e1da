"""Marks of tasks that have failed for good: they keep the conductor from sending them again."""

import traceback
from datetime import UTC, datetime

from shared.ref import JobRef, TaskRef
from shared.store import Store


def mark_failed(where: Store, ref: TaskRef | JobRef, error: Exception, tries: int) -> None:
    """Leave a mark; a retry of the batch removes it."""
    mark = {
        "task": ref.id,
        "error": f"{type(error).__name__}: {error}",
        "field": getattr(error, "field", None),
        "tries": tries,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "trace": "".join(traceback.format_exception(error))[-4000:],
    }
    where.put_json(ref.failed_key, mark)
