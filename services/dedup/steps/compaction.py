"""The job handler of the dedup service; found by import, as steps are."""

from shared.step import job
from shared.store import Store


@job("dedup")
def advance(store: Store, index: str, slice_seconds: float) -> None:
    """Merge an index's runs for at most about `slice_seconds`; see `services.dedup.compaction`."""
    from services.dedup.compaction import advance as advance_here

    advance_here(store, index, slice_seconds)
