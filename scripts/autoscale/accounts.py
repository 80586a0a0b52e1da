"""What a simulated day cost, and how long things waited."""

import math
from dataclasses import dataclass

from scripts.autoscale.day import Arrival
from scripts.autoscale.hpa import SYNC_SECONDS
from scripts.autoscale.simulation import Scaler, Simulation, World

HOUR = 3600.0


@dataclass(frozen=True)
class Accounts:
    """Core-hours (a worker is a core) and seconds."""

    paid: float
    needed: float
    starting: float
    idle: float
    starts: int
    overshoot: int
    task_wait: tuple[float, float]
    batch_wait: tuple[float, float]
    batch_time: tuple[float, float]
    killed: int
    paid_by_service: dict[str, float]
    needed_by_service: dict[str, float]

    @property
    def ratio(self) -> float:
        """Paid for needed."""
        return self.paid / self.needed


@dataclass
class Watched:
    """A scaler, and the most pods beyond need that it was ever seen with."""

    scaler: Scaler
    overshoot: int = 0

    def install(self, simulation: Simulation) -> None:
        """Install the scaler, and look as often as the HPA does."""
        self.scaler.install(simulation)

        def look() -> None:
            beyond = sum(
                max(0, len(s.pods) - s.in_flight - s.ready_tasks)
                for s in simulation.services.values()
            )
            self.overshoot = max(self.overshoot, beyond)

        simulation.every(SYNC_SECONDS, look)


def account(day: list[Arrival], world: World, scaler: Scaler, seed: int) -> Accounts:
    """Simulate a day and add it up."""
    watched = Watched(scaler)
    simulation = Simulation(day, world, watched, seed)
    simulation.run()
    services = simulation.services.values()
    needed_by = dict.fromkeys(simulation.services, 0.0)
    for arrival in day:
        for stage in arrival.stages:
            needed_by[stage.service] += sum(stage.seconds) / HOUR
    paid, starting = sum(s.paid for s in services), sum(s.starting for s in services)
    worked = sum(s.worked for s in services)
    batches = [b for b in simulation.batches if b.stages[0].service != "training"]
    return Accounts(
        paid=paid / HOUR,
        needed=sum(needed_by.values()),
        starting=starting / HOUR,
        idle=(paid - starting - worked) / HOUR,
        starts=sum(s.starts for s in services),
        overshoot=watched.overshoot,
        task_wait=percentiles(simulation.waits),
        batch_wait=percentiles([b.begun - b.submitted for b in batches]),
        batch_time=percentiles([b.ended - b.submitted for b in batches]),
        killed=sum(s.killed for s in services),
        paid_by_service={s.name: s.paid / HOUR for s in services},
        needed_by_service=needed_by,
    )


def percentiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99: the value that so many are not above."""
    ordered = sorted(values)
    return tuple(ordered[math.ceil(len(ordered) * q) - 1] for q in (0.5, 0.99))  # type: ignore[return-value]
