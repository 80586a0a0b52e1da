"""A day of batches: when they come, how large they are, how long each of their tasks takes.

Times of tasks are drawn from those measured on this machine (measured.json): a shard is as many
measured pieces of one archive as it has bytes for, the same pieces in every stage of rows; a phase
of a group step takes its measured share of seconds a piece, split over the partitions that the
step itself says it has for so many shards.
"""

import json
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from scripts.autoscale.measure import MEASURED, PIECES
from shared.recipe import load_recipe
from shared.shards import Batch, Source
from shared.stages import Pipeline, compile_batch

DAY_SECONDS = 86_400.0
HOUR = 3600.0
#: Small batches an hour by the hour of the day: a quiet night, a burst at 9.
SMALL_AN_HOUR = (0.5, 0, 0, 0, 0, 0.5, 1, 3, 6, 30, 8, 8, 6, 6, 8, 8, 8, 6, 4, 3, 2, 2, 1, 1)
SMALL_SHARDS = (1, 20)
#: Hours at which a large batch comes, and its shards.
LARGE_HOURS = (6.5, 11.0, 16.0, 21.0)
LARGE_SHARDS = (1000, 4000)
#: A training run after a large batch: slices one after another, each the setting `run_slice`.
RUN_SLICES, SLICE_SECONDS = 6, 600.0


@dataclass(frozen=True)
class StagePlan:
    """A stage of a simulated batch: seconds of each of its tasks."""

    service: str
    phase: bool
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Arrival:
    """A batch, and when it is submitted (seconds after midnight)."""

    time: float
    shards: int
    stages: tuple[StagePlan, ...]

    @property
    def needed(self) -> float:
        """Seconds of all its tasks."""
        return sum(sum(s.seconds) for s in self.stages)


@cache
def measured() -> dict[str, Any]:
    """What `--measure` has written."""
    found: dict[str, Any] = json.loads(MEASURED.read_text())
    return found


@cache
def _pipeline() -> Pipeline:
    """The measured recipe over one shard: its stages say how many partitions more shards have."""
    source = Source(uri="/day.warc.gz", name="day.warc.gz", size=1, etag="1")
    recipe = load_recipe(measured()["recipe"])
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return compile_batch(Batch(id="day", recipe=recipe, sources=(source,), created=created))


def batch_stages(shards: int, rng: random.Random) -> tuple[StagePlan, ...]:
    """Tasks of a batch of the measured recipe."""
    stages = measured()["stages"]
    rows = [stage["seconds"] for stage in stages if not stage["phase"]]
    archives = list(rows[0])
    weights = [len(rows[0][archive]) for archive in archives]
    drawn = [
        (archive, rng.choices(range(len(rows[0][archive])), k=PIECES))
        for archive in rng.choices(archives, weights, k=shards)
    ]
    pieces = sum(weights)
    plans = []
    for stage, compiled in zip(stages, _pipeline().stages, strict=True):
        if stage["phase"]:
            assert compiled.phase is not None
            count = compiled.phase.partitions(compiled.steps[0].params, shards)
            if not (count and stage["seconds"]):
                continue  # without an index some phases have nothing to do
            growth = shards * PIECES / pieces
            seconds = _partitions(stage["seconds"][""], count, growth, rng)
        else:
            times = stage["seconds"]
            seconds = tuple(sum(times[a][i] for i in chosen) for a, chosen in drawn)
        plans.append(StagePlan(stage["service"], stage["phase"], seconds))
    return tuple(plans)


def _partitions(
    times: list[float], count: int, growth: float, rng: random.Random
) -> tuple[float, ...]:
    """Seconds of a phase's tasks in a batch `growth` times the measured one.

    The quickest measured task stands for what any task costs; the rest grows with the documents.
    """
    fixed = min(times)
    variable = [t - fixed for t in times]
    share = sum(variable) * growth / count
    mean = sum(variable) / len(variable)
    spread = [v / mean for v in variable] if mean else [1.0]
    return tuple(fixed + share * rng.choice(spread) for _ in range(count))


def arrivals(seed: int) -> list[Arrival]:
    """The day's batches in order of time; the same for the same seed."""
    rng = random.Random(seed)
    found = []
    for hour, rate in enumerate(SMALL_AN_HOUR):
        # A burst is short: half of an hour's batches come within its first ten minutes.
        for _ in range(_poisson(rate, rng)):
            within = HOUR / 6 if rate >= 20 and rng.random() < 0.5 else HOUR
            time = hour * HOUR + rng.random() * within
            shards = rng.randint(*SMALL_SHARDS)
            found.append(Arrival(time, shards, batch_stages(shards, rng)))
    for hour in LARGE_HOURS:
        time = (hour + rng.uniform(-0.5, 0.5)) * HOUR
        shards = rng.randint(*LARGE_SHARDS)
        found.append(Arrival(time, shards, batch_stages(shards, rng)))
        slices = StagePlan("training", phase=True, seconds=(SLICE_SECONDS,))
        found.append(Arrival(time + 2 * HOUR, 0, (slices,) * RUN_SLICES))
    return sorted(found, key=lambda a: a.time)


def _poisson(mean: float, rng: random.Random) -> int:
    """A number of events of a Poisson process (Knuth)."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
