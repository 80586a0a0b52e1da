"""What a training backend that works elsewhere (Kubernetes) shows of a run, in the store.

    runs/<run>/cluster.json    a ClusterState, replaced while the backend follows the run
    runs/<run>/cluster.held    a mark: the backend holds something outside of the store for the run

The mark is put before anything is created, and removed when all is cleaned up: as long as it is
there the run is fed to the backend, even when it has ended (a cancelled run's Job must be deleted).
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from shared.errors import NotFoundError
from shared.store import Store
from shared.training_run import run_key

HELD = "cluster.held"

Phase = Literal["creating", "pending", "running", "succeeded", "failed", "stopping", "gone"]


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class PodState(_Shown):
    """A pod; `restarts` counts its container's, `exit_code` is there when that has ended."""

    name: str
    index: int
    phase: str
    node: str | None = None
    reason: str | None = None
    message: str | None = None
    restarts: int = 0
    exit_code: int | None = None


class ClusterEvent(_Shown):
    """An event of the Job or of a pod; `time` (ISO 8601) is when it was last seen."""

    time: str
    object: str
    type: str
    reason: str
    message: str
    count: int = 1


class ClusterState(_Shown):
    """Where a run's Job stands, as last seen.

    `attempt` numbers the Jobs of the run, from 1; `fruitless` counts those in a row that failed
    without a new checkpoint, and `attempt_step` is the last checkpoint before this one. `troubles`
    counts refusals in a row, and `retry_at` (Unix seconds) says when it is tried again. `stuck_at`
    (Unix seconds): since when it waits for what `message` says. `logs` are last lines by pod: of
    pod 0 and of pods that failed. `time` (Unix seconds) is when it was written.
    """

    backend: Literal["kubernetes"] = "kubernetes"
    namespace: str
    job: str
    uid: str | None = None
    phase: Phase = "creating"
    message: str | None = None
    attempt: int = 1
    attempt_step: int = 0
    fruitless: int = 0
    troubles: int = 0
    retry_at: float | None = None
    stuck_at: float | None = None
    pods: tuple[PodState, ...] = ()
    events: tuple[ClusterEvent, ...] = ()
    logs: dict[str, tuple[str, ...]] = {}
    time: float = 0.0


def read_cluster(store: Store, run: str) -> ClusterState | None:
    """What the backend last showed of a run; None where it has not begun or is a local one."""
    try:
        found: Any = store.get(run_key(run, "cluster.json"))
    except NotFoundError:
        return None
    return ClusterState.model_validate_json(found)


def write_cluster(store: Store, run: str, state: ClusterState) -> None:
    """Show it."""
    store.put_json(run_key(run, "cluster.json"), state.model_dump(mode="json"))


def hold(store: Store, run: str) -> None:
    """Say that the backend has something to clean up."""
    store.put_if_absent(run_key(run, HELD), b"")


def release(store: Store, run: str) -> None:
    """Say that it has nothing any more."""
    store.delete(run_key(run, HELD))


def is_held(store: Store, run: str) -> bool:
    """Whether it has."""
    return store.exists(run_key(run, HELD))
