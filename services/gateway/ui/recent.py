"""What pages show, kept for a moment: many viewers who look every two seconds cost one look."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from services.gateway import batches
from services.gateway.models import GatewayDep
from services.gateway.state import Gateway

#: How old a shown figure may be.
FRESH_SECONDS = 1.0
#: Answers that are kept.
MOST_ANSWERS = 512
#: Samples of a queue's sparkline, and the least time between two.
SAMPLES = 60
SAMPLE_SECONDS = 2.0


@dataclass
class _Answer:
    value: Any
    until: float


class Recent:
    """Answers by key, each made by one caller at a time."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Any, _Answer] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Any, threading.Lock] = {}

    def get(
        self,
        key: Any,
        make: Callable[[], Any],
        is_final: Callable[[Any], bool] = lambda _value: False,
    ) -> Any:
        """The answer of a key, made anew where it is no longer fresh; a final one stays."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        try:
            with making:
                known = self._answers.get(key)
                if known is not None and time.monotonic() < known.until:
                    return known.value
                value = make()
                fresh = float("inf") if is_final(value) else FRESH_SECONDS
                self._keep(key, _Answer(value, time.monotonic() + fresh))
                return value
        finally:
            with self._lock:
                if not making.locked():
                    self._making.pop(key, None)

    def forget(self, key: Any) -> None:
        """What changed just now must be looked at again."""
        with self._lock:
            self._answers.pop(key, None)

    def _keep(self, key: Any, answer: _Answer) -> None:
        with self._lock:
            self._answers[key] = answer
            self._answers.move_to_end(key)
            while len(self._answers) > MOST_ANSWERS:
                self._answers.popitem(last=False)


class Looks:
    """What a gateway's pages have looked at: descriptions, and the queues' last minutes."""

    def __init__(self, gw: Gateway) -> None:
        self._gw = gw
        self._recent = Recent()
        self._trail: list[tuple[float, dict[str, float]]] = []
        self._lock = threading.Lock()

    def batch(self, batch_id: str) -> dict[str, Any]:
        """A batch's description; NotFoundError where there is none."""
        view = self._gw.catalog.view(batch_id)
        found: dict[str, Any] = self._recent.get(
            batch_id,
            lambda: batches.describe(self._gw, view),
            # Cancelled and failed ones may be retried.
            lambda told: told["state"] == "finished",
        )
        return found

    def forget(self, batch_id: str) -> None:
        """A batch was changed from a page."""
        self._recent.forget(batch_id)

    def batch_ids(self) -> list[str]:
        """All batches, oldest first."""
        found: list[str] = self._recent.get("batch ids", self._gw.catalog.ids)
        return found

    def queues(self) -> list[dict[str, Any]]:
        """Every queue, with `trail`: tasks waiting or in flight at the last looks."""
        found: list[dict[str, Any]] = self._recent.get("queues", self._sample)
        return found

    def _sample(self) -> list[dict[str, Any]]:
        entries = self._gw.figures.queues()
        load = {e["queue"]: float(e["depth"] + e["in_flight"]) for e in entries}
        now = time.monotonic()
        with self._lock:
            if not self._trail or now - self._trail[-1][0] >= SAMPLE_SECONDS:
                self._trail = [*self._trail[1 - SAMPLES :], (now, load)]
            trail = list(self._trail)
        return [e | {"trail": [at[e["queue"]] for _, at in trail]} for e in entries]


def looks(request: Request, gw: GatewayDep) -> Looks:
    """The looks of the gateway that serves the request, made at the first."""
    with _LOCK:
        if not hasattr(request.app.state, "looks"):
            request.app.state.looks = Looks(gw)
    found = request.app.state.looks
    assert isinstance(found, Looks)
    return found


_LOCK = threading.Lock()
LooksDep = Annotated[Looks, Depends(looks)]
