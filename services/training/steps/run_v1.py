"""The job handler of the training service; found by import, as steps are."""

from shared.step import job
from shared.store import Store


@job("training")
def advance(store: Store, run: str, slice_seconds: float) -> None:
    """Advance a training run by at most about `slice_seconds`; see `services.training.local`."""
    from services.training.local import advance as advance_locally

    advance_locally(store, run, slice_seconds)
