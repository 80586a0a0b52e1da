"""The job handler of the training service; found by import, as steps are."""

from shared.settings import settings
from shared.step import job
from shared.store import Store


@job("training")
def advance(store: Store, run: str, slice_seconds: float) -> None:
    """Advance a training run by at most about `slice_seconds`, by the backend of the settings."""
    if settings().training_backend == "kubernetes":
        from services.training.kubernetes.backend import advance as advance_by
    else:
        from services.training.local import advance as advance_by

    advance_by(store, run, slice_seconds)
