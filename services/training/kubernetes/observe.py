"""What the API server's answers mean: states of pods, the Job's end, what stands in the way. Pure.

Times are Unix seconds.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from shared.run_cluster import ClusterEvent, PodState

INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
#: Events that are shown, the newest.
_EVENTS = 20


class JobEnd(NamedTuple):
    """How a Job ended, in the words of its condition."""

    phase: Literal["succeeded", "failed"]
    reason: str
    message: str


def job_end(job: dict[str, Any]) -> JobEnd | None:
    """How the Job ended; None where it has not."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            phase: Literal["succeeded", "failed"] = (
                "succeeded" if condition["type"] == "Complete" else "failed"
            )
            return JobEnd(phase, condition.get("reason", ""), condition.get("message", ""))
    return None


def pod_state(pod: dict[str, Any]) -> PodState:
    """A pod, and the most telling reason for its state."""
    status, metadata = pod.get("status", {}), pod["metadata"]
    container: dict[str, Any] = next(iter(status.get("containerStatuses") or ()), {})
    ended = container.get("state", {}).get("terminated") or {}
    reason, message = _why(status, container.get("state", {}))
    leaving = "deletionTimestamp" in metadata and not _is_over(status)
    return PodState(
        name=metadata["name"],
        index=int(metadata.get("annotations", {}).get(INDEX_ANNOTATION, -1)),
        phase="Terminating" if leaving else status.get("phase", "Unknown"),
        node=pod.get("spec", {}).get("nodeName"),
        reason=reason,
        message=message,
        restarts=container.get("restartCount", 0),
        exit_code=ended.get("exitCode"),
    )


def _is_over(status: dict[str, Any]) -> bool:
    return status.get("phase") in ("Succeeded", "Failed")


def _why(status: dict[str, Any], state: dict[str, Any]) -> tuple[str | None, str | None]:
    """Reason and message: of an eviction, of the container, of the scheduler."""
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled", {})
    places = (
        status,
        conditions.get("DisruptionTarget", {}),
        state.get("terminated") or {},
        state.get("waiting") or {},
        scheduled if scheduled.get("status") == "False" else {},
    )
    for place in places:
        if place.get("reason") not in (None, "Completed"):
            return place["reason"], place.get("message")
    return None, None


def in_the_way(pods: Sequence[PodState], events: Sequence[ClusterEvent], nodes: int) -> str | None:
    """Why not all pods run; None where they do, or where none has a reason yet.

    Of pods that the Job may not even create (a quota of GPUs) only an event tells.
    """
    waiting = [p for p in pods if p.phase in ("Pending", "Unknown", "Terminating")]
    for pod in waiting:
        if pod.reason not in (None, "ContainerCreating", "PodInitializing"):
            rest = f" ({len(waiting)} of {nodes} pods wait)" if nodes > 1 else ""
            return f"pod {pod.index}: {pod.reason}: {pod.message or pod.phase}{rest}"
    refused = [e for e in events if e.reason == "FailedCreate"]
    missing = len({p.index for p in pods if p.phase != "Failed"}) < nodes
    return f"{refused[-1].reason}: {refused[-1].message}" if refused and missing else None


def lost(pods: Iterable[dict[str, Any]], now: float, limit: float) -> str | None:
    """The name of a pod that should be gone for longer than `limit` seconds, and is not.

    Its node is out of reach: the Job waits for word of it before it makes another.
    """
    for pod in pods:
        due = pod["metadata"].get("deletionTimestamp")
        if due is not None and not _is_over(pod["status"]) and now - _time(due) > limit:
            return str(pod["metadata"]["name"])
    return None


def cluster_events(found: Iterable[dict[str, Any]]) -> tuple[ClusterEvent, ...]:
    """Events in the order of their times, the newest ones."""
    events = [
        ClusterEvent(
            time=_event_time(event),
            object=f"{event['involvedObject']['kind']}/{event['involvedObject']['name']}",
            type=event.get("type", "Normal"),
            reason=event.get("reason", ""),
            message=event.get("message", ""),
            count=event.get("count") or event.get("series", {}).get("count") or 1,
        )
        for event in found
    ]
    return tuple(sorted(events, key=lambda e: (e.time, e.object, e.reason))[-_EVENTS:])


def _event_time(event: dict[str, Any]) -> str:
    """Old events tell when they were last seen, new ones when their series was."""
    series = (event.get("series") or {}).get("lastObservedTime")
    created = event["metadata"].get("creationTimestamp")
    return series or event.get("lastTimestamp") or event.get("eventTime") or created or ""


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
