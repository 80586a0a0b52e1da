"""A batch's accounts, added up from the receipts of its tasks.

Receipts are immutable, so each is read once; whoever keeps a `Funnel` and updates it again reads
only what has been committed since.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from shared.chunk import Tally
from shared.columns import committed_units, read_receipt
from shared.stages import Pipeline, Stage
from shared.store import Store

#: Receipts that are read at once, since each is a round trip.
_SIDE_BY_SIDE = 16


@dataclass
class StageTotals:
    """What the committed tasks of a stage add up to."""

    tasks: int
    done: set[str] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    wall_seconds: float = 0.0
    reused: int = 0
    #: Of the tasks that computed something, and did not only read an earlier batch's columns.
    computed_seconds: float = 0.0
    #: What a phase of a group step counts.
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, unit: str, receipt: dict[str, Any]) -> None:
        """Count a receipt."""
        self.done.add(unit)
        self.wall_seconds += receipt["seconds"]
        self.counts.update(receipt.get("counts", {}))
        tally = receipt.get("tally")
        computed = tally is None or bool(tally["computed"])
        self.computed_seconds += receipt["seconds"] if computed else 0.0
        if tally is None:
            return
        self.reused += not computed
        for name, value in tally.items():
            if name == "seconds":
                for step, seconds in value.items():
                    self.tally.seconds[step] += seconds
            elif isinstance(value, dict):
                getattr(self.tally, name).update(value)
            elif isinstance(value, int):
                setattr(self.tally, name, getattr(self.tally, name) + value)


class Funnel:
    """Documents in, kept and dropped by stage and rule."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.stages = {s.index: StageTotals(pipeline.tasks(s)) for s in pipeline.stages}

    @classmethod
    def read(cls, store: Store, pipeline: Pipeline, before: int | None = None) -> "Funnel":
        """The funnel of the stages before one (all where None)."""
        funnel = cls(pipeline)
        funnel.update(store, pipeline, before)
        return funnel

    def update(
        self,
        store: Store,
        pipeline: Pipeline,
        before: int | None = None,
        committed: Callable[[Store, str], Set[str]] = committed_units,
    ) -> None:
        """Read what has been committed since the last look; stops at the first untouched stage.

        `committed` lists a folder's units; who looks often gives one that remembers.
        """
        for stage in pipeline.stages[:before]:
            totals = self.stages[stage.index]
            if len(totals.done) == totals.tasks:
                continue
            mine = pipeline.unit_set(stage)
            there = committed(store, stage.folder)
            new = sorted(unit for unit in there if unit in mine and unit not in totals.done)
            for unit, receipt in _receipts(store, stage.folder, new):
                if receipt is not None:
                    totals.add(unit, receipt)
            if not totals.done:
                break

    def committed(self) -> dict[int, set[str]]:
        """Stage index to units that have a receipt, as `plan` wants it."""
        return {index: totals.done for index, totals in self.stages.items()}

    def to_dict(self, pipeline: Pipeline) -> dict[str, Any]:
        """As plain data: totals, then stages with their rules, in % of raw and of what entered."""
        rows = [s for s in pipeline.stages if s.phase is None]
        first, last = self.stages[rows[0].index].tally, self.stages[rows[-1].index].tally
        dropped: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for stage in rows:
            dropped.update(self.stages[stage.index].tally.dropped)
            failed.update(self.stages[stage.index].tally.failed)
        return {
            "records": dict(sorted(first.records.items())),
            "documents": first.rows,
            "kept": last.kept,
            "dropped": sum(dropped.values()),
            "failed": sum(failed.values()),
            "failures": dict(sorted(failed.items())),
            "stages": [self._stage(s, first.rows) for s in pipeline.stages],
        }

    def _stage(self, stage: Stage, raw: int) -> dict[str, Any]:
        totals = self.stages[stage.index]
        tally = totals.tally
        entry: dict[str, Any] = {
            "stage": stage.name,
            "service": stage.service,
            "tasks": totals.tasks,
            "tasks_done": len(totals.done),
        }
        if stage.phase is not None:
            return entry | ({"counts": dict(totals.counts)} if totals.counts else {})
        rules = [
            {
                "rule": name,
                "documents": tally.dropped[name],
                "characters": tally.characters_dropped[name],
                "percent_of_raw": percent(tally.dropped[name], raw),
                "percent_of_entered": percent(tally.dropped[name], tally.entered),
            }
            for name in stage.rule_names
        ]
        return entry | {
            "entered": tally.entered,
            "kept": tally.kept,
            "kept_percent_of_raw": percent(tally.kept, raw),
            "kept_percent_of_entered": percent(tally.kept, tally.entered),
            "characters_kept": tally.characters_kept,
            "failed": dict(sorted(tally.failed.items())),
            "rules": rules,
        }


def _receipts(
    store: Store, folder: str, units: list[str]
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Receipts in the order of their units; of many, some are read side by side."""
    if len(units) < _SIDE_BY_SIDE:
        yield from ((unit, read_receipt(store, folder, unit)) for unit in units)
        return
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        read = pool.map(lambda unit: read_receipt(store, folder, unit), units)
        yield from zip(units, read, strict=True)


def percent(part: int, whole: int) -> float:
    """Two decimals; 0 of nothing."""
    return round(100 * part / whole, 2) if whole else 0.0


def tally_to_dict(tally: Tally) -> dict[str, Any]:
    """A tally as a receipt holds it."""
    raw = dict(vars(tally))
    raw["seconds"] = {k: round(v, 3) for k, v in tally.seconds.items()}
    return raw
