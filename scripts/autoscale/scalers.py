"""The three ways to decide on numbers of workers: our chart's, a list's length, CPU."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scripts.autoscale.chart import Scaled
from scripts.autoscale.hpa import (
    DOWN,
    SYNC_SECONDS,
    UP,
    Autoscaler,
    Keda,
    average_value,
    utilization,
)
from scripts.autoscale.promql import Sample, evaluate, single
from scripts.autoscale.simulation import Service, Simulation

#: How often Prometheus asks the gateway, and so how old a value may be.
SCRAPE_SECONDS = 15.0


@dataclass
class ScaledService:
    """A service under KEDA: its ScaledObject, KEDA's loop and the HPA that KEDA makes."""

    simulation: Simulation
    service: Service
    scaled: Scaled
    metric: "Metric"
    keda: Keda = field(init=False)
    hpa: Autoscaler = field(init=False)

    def __post_init__(self) -> None:
        s = self.scaled
        self.keda = Keda(s.cooldown, s.least, s.activation, s.fallback)
        self.hpa = Autoscaler(max(1, s.least), s.most, s.up, s.down)
        self.simulation.scale(self.service, s.least)
        self.simulation.every(s.polling, self._poll)
        self.simulation.every(SYNC_SECONDS, self._sync)

    def _poll(self) -> None:
        value = self.metric(self.service)
        self._set(self.keda.poll(self.simulation.now, self.service.replicas, value))

    def _sync(self) -> None:
        replicas, threshold = self.service.replicas, self.scaled.threshold
        value = self.keda.metric_for_hpa(self.metric(self.service), threshold, replicas)
        if not replicas or value is None:
            return  # from zero is KEDA's; without a metric the HPA leaves things as they are
        wish = average_value(value, threshold, replicas)
        self._set(self.hpa.step(self.simulation.now, replicas, wish))

    def _set(self, replicas: int) -> None:
        if replicas != self.service.replicas:
            self.simulation.scale(self.service, replicas)


class Metric:
    """A service's metric at this moment; None where the question is not answered."""

    def __call__(self, service: Service) -> float | None:
        """The value."""
        raise NotImplementedError


class Scraped(Metric):
    """The chart's query, over the gateway's metrics as Prometheus last saw them."""

    def __init__(self, simulation: Simulation, queries: Mapping[str, str]) -> None:
        self._simulation, self._queries = simulation, queries
        self._values: dict[str, float | None] = {}
        self._seen: dict[str, list[Sample]] = {}
        self._scrape()
        simulation.every(SCRAPE_SECONDS, self._scrape)

    def _scrape(self) -> None:
        for name, query in self._queries.items():
            known = gateway_metrics(self._simulation, self._simulation.services[name])
            if known != self._seen.get(name):
                self._seen[name] = known
                self._values[name] = single(evaluate(query, known))

    def __call__(self, service: Service) -> float | None:
        """As of the last scrape."""
        first, last = self._simulation.world.outage
        if first <= self._simulation.now < last:
            return None
        return self._values[service.name]


def gateway_metrics(simulation: Simulation, service: Service) -> list[Sample]:
    """What the gateway says of a queue, by the names of shared/metrics.py."""
    queue = (("queue", service.name),)
    backlog = simulation.estimates.backlog_seconds(service) * simulation.world.misestimate
    return [
        Sample("corpusmill_queue_depth", queue, float(len(service.waiting))),
        Sample("corpusmill_queue_in_flight", queue, float(service.in_flight)),
        Sample("corpusmill_backlog_seconds", queue, backlog),
    ]


class ListLength(Metric):
    """Length of the Redis list: what KEDA's own Redis trigger looks at."""

    def __call__(self, service: Service) -> float | None:
        """As of now."""
        return float(len(service.waiting))


@dataclass
class Ours:
    """The chart's ScaledObjects."""

    objects: dict[str, Scaled]

    def install(self, simulation: Simulation) -> None:
        """One ScaledObject a service, one Prometheus."""
        metric = Scraped(simulation, {name: s.query for name, s in self.objects.items()})
        for name, scaled in self.objects.items():
            ScaledService(simulation, simulation.services[name], scaled, metric)


@dataclass
class BareList:
    """KEDA's Redis trigger with its defaults, and the same limits of replicas."""

    most: dict[str, int]
    list_length: float = 5.0

    def install(self, simulation: Simulation) -> None:
        """One ScaledObject a service."""
        for name, most in self.most.items():
            scaled = Scaled(name, "", self.list_length, 0, 30, 300, 0, most, UP, DOWN, None)
            ScaledService(simulation, simulation.services[name], scaled, ListLength())


@dataclass
class Cpu:
    """A plain HPA on CPU with Kubernetes' defaults. It cannot go to zero.

    A working pod uses its whole core, which is the most that this policy can wish for.
    """

    most: dict[str, int]
    target: float = 0.7

    def install(self, simulation: Simulation) -> None:
        """One HPA a service."""
        for name, most in self.most.items():
            service, hpa = simulation.services[name], Autoscaler(1, most)
            simulation.scale(service, 1)

            def sync(service: Service = service, hpa: Autoscaler = hpa) -> None:
                now, usages = simulation.now, []
                for pod in service.pods:
                    if not pod.doomed and pod.ready <= now:
                        busy = pod.busy_until(now)
                        usages.append((busy - pod.busy_at_sync) / SYNC_SECONDS)
                        pod.busy_at_sync = busy
                wish = utilization(usages, self.target, service.unready())
                replicas = hpa.step(now, service.replicas, wish)
                if replicas != service.replicas:
                    simulation.scale(service, replicas)

            simulation.every(SYNC_SECONDS, sync)
