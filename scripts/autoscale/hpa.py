"""What the HorizontalPodAutoscaler and KEDA do with a number, as their documentation says it.

The HPA syncs every 15 s. From a metric it computes how many replicas it would like (nothing
changes within a tolerance of 10 %), takes the highest of the stabilisation window's wishes on the
way down (the lowest on the way up), and moves at most as far as the policies allow. KEDA polls by
itself and does no more than 0 -> 1 when a trigger is active and 1 -> 0 after the cool-down; what
is between is the HPA's, whose lower limit is then 1.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SYNC_SECONDS = 15.0
TOLERANCE = 0.1


@dataclass(frozen=True)
class Policy:
    """At most so many pods, or so many percent, within a period (seconds)."""

    kind: str
    value: float
    period: float


@dataclass(frozen=True)
class Rules:
    """One direction of `behavior`."""

    stabilization: float
    policies: tuple[Policy, ...]
    select: str = "Max"


#: What Kubernetes takes where a manifest says nothing.
UP = Rules(0.0, (Policy("Percent", 100, 15), Policy("Pods", 4, 15)))
DOWN = Rules(300.0, (Policy("Percent", 100, 15),))


def rules_of(manifest: dict[str, Any] | None, default: Rules) -> Rules:
    """`scaleUp` or `scaleDown` of a manifest's `behavior`."""
    if manifest is None:
        return default
    policies = tuple(
        Policy(p["type"], float(p["value"]), float(p["periodSeconds"]))
        for p in manifest.get("policies", ())
    )
    return Rules(
        float(manifest.get("stabilizationWindowSeconds", default.stabilization)),
        policies or default.policies,
        manifest.get("selectPolicy", default.select),
    )


def average_value(metric: float, threshold: float, replicas: int) -> int:
    """Replicas for an external metric with a target of type AverageValue."""
    ratio = metric / (threshold * replicas)
    return replicas if abs(1 - ratio) <= TOLERANCE else math.ceil(metric / threshold)


def utilization(usages: list[float], target: float, unready: int) -> int:
    """Replicas for a share of the CPU request; `usages` are of the ready pods.

    On the way up pods that are not ready count as idle, and never turn the direction around.
    """
    replicas = len(usages) + unready
    if not usages:
        return replicas
    ratio = sum(usages) / len(usages) / target
    if ratio > 1 and unready:
        ratio_of_all = sum(usages) / replicas / target
        if ratio_of_all <= 1 + TOLERANCE:
            return replicas
        return math.ceil(ratio_of_all * replicas)
    return replicas if abs(1 - ratio) <= TOLERANCE else math.ceil(ratio * len(usages))


@dataclass
class Autoscaler:
    """The HPA's memory: earlier wishes, and what it did."""

    least: int
    most: int
    up: Rules = UP
    down: Rules = DOWN
    _wishes: deque[tuple[float, int]] = field(default_factory=deque)
    _changes: deque[tuple[float, int]] = field(default_factory=deque)

    def step(self, now: float, replicas: int, wish: int) -> int:
        """The number of replicas after a sync."""
        allowed = self._limited(now, replicas, self._stabilized(now, replicas, wish))
        if allowed != replicas:
            self._changes.append((now, allowed - replicas))
        return allowed

    def _stabilized(self, now: float, replicas: int, wish: int) -> int:
        longest = max(self.up.stabilization, self.down.stabilization)
        while self._wishes and self._wishes[0][0] <= now - longest:
            self._wishes.popleft()
        up = min([wish, *_within(self._wishes, now - self.up.stabilization)])
        down = max([wish, *_within(self._wishes, now - self.down.stabilization)])
        self._wishes.append((now, wish))
        return min(max(replicas, up), down)

    def _limited(self, now: float, replicas: int, wish: int) -> int:
        longest = max(p.period for p in (*self.up.policies, *self.down.policies))
        while self._changes and self._changes[0][0] <= now - longest:
            self._changes.popleft()
        if wish > replicas:
            limit = self._limit(now, replicas, self.up, up=True)
            return min(wish, max(replicas, limit), max(self.most, self.least))
        if wish < replicas:
            limit = self._limit(now, replicas, self.down, up=False)
            return max(wish, min(replicas, limit), self.least)
        return min(max(wish, self.least), self.most)

    def _limit(self, now: float, replicas: int, rules: Rules, *, up: bool) -> int:
        if rules.select == "Disabled":
            return replicas
        reached = []
        for policy in rules.policies:
            before = replicas - sum(_within(self._changes, now - policy.period))
            change = policy.value if policy.kind == "Pods" else before * policy.value / 100
            reached.append(math.ceil(before + change) if up else math.floor(before - change))
        furthest = (rules.select == "Max") == up
        return max(reached) if furthest else min(reached)


def _within(events: Iterable[tuple[float, int]], since: float) -> list[int]:
    return [value for time, value in events if time > since]


@dataclass(frozen=True)
class Fallback:
    """So many replicas after so many failed polls; `keeps`: not less than there are."""

    failures: int
    replicas: int
    keeps: bool = False

    def wish(self, replicas: int) -> int:
        """Instead of a metric's."""
        return max(replicas, self.replicas) if self.keeps else self.replicas


@dataclass
class Keda:
    """The part of a ScaledObject's life that is KEDA's own: to zero and from zero."""

    cooldown: float
    least: int
    activation: float = 0.0
    fallback: Fallback | None = None
    failures: int = 0
    _last_active: float = -math.inf

    def poll(self, now: float, replicas: int, metric: float | None) -> int:
        """The number of replicas after a poll; `metric` is None where the query fails."""
        self.failures = self.failures + 1 if metric is None else 0
        if metric is None:
            return self.fallback.wish(replicas) if self.fallback and self.falls_back else replicas
        if metric > self.activation:
            self._last_active = now
            return replicas or max(1, self.least)
        if replicas and not self.least and now - self._last_active > self.cooldown:
            return 0
        return max(replicas, self.least)

    @property
    def falls_back(self) -> bool:
        """Whether the query has failed often enough."""
        return self.fallback is not None and self.failures >= self.fallback.failures

    def metric_for_hpa(self, metric: float | None, threshold: float, replicas: int) -> float | None:
        """What the HPA is told: after enough failures what keeps it at the fallback."""
        if metric is None and self.fallback and self.falls_back:
            return self.fallback.wish(replicas) * threshold
        return metric
