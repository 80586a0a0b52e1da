"""Last lines of the pods' logs: of pod 0 as long as it runs, of pods that failed for good."""

import time
from collections.abc import Mapping, Sequence

from services.training.kubernetes.client import Api
from shared.run_cluster import PodState

#: The log of a running pod is fetched this often, in seconds.
_EVERY_SECONDS = 10.0
#: Logs that are kept.
_PODS = 4


class Logs:
    """Fetches what is new."""

    def __init__(self, api: Api, lines: int) -> None:
        self._api, self._lines = api, lines
        self._due = 0.0
        self._complete: set[str] = set()

    def of(
        self, pods: Sequence[PodState], known: Mapping[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        """Lines by pod: those known before, and the pods' now."""
        logs = dict(known)
        now = time.monotonic()
        for pod in pods:
            over = pod.phase in ("Succeeded", "Failed")
            wanted = pod.index == 0 or pod.phase == "Failed"
            if not wanted or pod.phase == "Pending" or pod.name in self._complete:
                continue
            if over or now >= self._due:
                logs.pop(pod.name, None)  # the newest stand last
                logs[pod.name] = self._api.log(pod.name, self._lines)
            if over:
                self._complete.add(pod.name)
        if now >= self._due:
            self._due = now + _EVERY_SECONDS
        return dict(list(logs.items())[-_PODS:])
