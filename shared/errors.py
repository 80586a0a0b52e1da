"""The three kinds of fault, and nothing else. The retry policy lives in `shared.worker`.

A fault of a single row is none of these: it is a value in the row's `error` column.
"""


class CorpusmillError(Exception):
    """Base of every error that the project raises on purpose."""


class UsageError(CorpusmillError):
    """The user's input is wrong. Never retried; the message names the field, file or record.

    `field` is a path into the input ("steps[2].keep.words") or None where there is no single field.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFoundError(UsageError):
    """What the user names does not exist."""


class ConflictError(UsageError):
    """What the user asks contradicts the present state."""


class TransientError(CorpusmillError):
    """May go away by itself (store or queue out of reach). Retried with back-off."""


class PermanentError(CorpusmillError):
    """A defect or damaged stored state. Not retried; the task is marked failed."""
