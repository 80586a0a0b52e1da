"""`/v1/batches/{id}/rules/{rule}/around`: the documents nearest a rule's threshold, on both sides.

Those that the rule dropped by the least, and those that it let pass by the least: what a person
wants to read before moving a threshold. One pass over two stored columns, in bounded memory;
addresses are looked up only for the few that are shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Query

from services.gateway.catalog import BatchView
from services.gateway.conductor import batch_state
from services.gateway.models import GatewayDep
from services.gateway.signals import Answers
from services.gateway.stored import Int64Array, Mask, Outcomes, Stored, side_by_side
from shared.columns import read_columns
from shared.errors import NotFoundError
from shared.recipe import BoundStep
from shared.rules import KeepRule
from shared.schema import STATE_NAMES, VERDICT_SCHEMA
from shared.shards import Shard
from shared.stages import Pipeline
from shared.store import Store

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["signals"])
#: Documents told of a side, unless asked for another number.
DEFAULT_LIMIT = 10
LARGEST_LIMIT = 100
SIDES = ("kept", "dropped")

FloatArray = npt.NDArray[np.float64]
_ANSWERS = Answers()


@dataclass(frozen=True)
class Wanted:
    """A rule of a batch."""

    bound: BoundStep
    rule: KeepRule
    name: str
    #: Its number among the outcomes of the batch.
    number: int

    @property
    def column(self) -> tuple[int, str]:
        """The step's position and the name of the column that the rule tests."""
        return self.bound.inputs[self.rule.column], self.rule.column.rpartition(".")[2]

    @property
    def threshold(self) -> float | None:
        """The number that values are near to or far from; None where there is no such."""
        value = self.rule.test.value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number else None  # type: ignore[arg-type]

    def columns(self) -> dict[int, set[str]]:
        """What to read of a shard."""
        needed: dict[int, set[str]] = {}
        for name in self.rule.columns:
            needed.setdefault(self.bound.inputs[name], set()).add(name.rpartition(".")[2])
        return needed


def find_rule(pipeline: Pipeline, name: str) -> Wanted:
    """A rule by the name that verdicts give it; NotFoundError where the recipe has none such."""
    outcomes = Outcomes(pipeline)
    for number, (known, position, rule) in enumerate(
        zip(outcomes.names, outcomes.positions, outcomes.rules, strict=True)
    ):
        if known == name and rule is not None:
            return Wanted(pipeline.recipe.steps[position], rule, name, number)
    rules = ", ".join(n for n, r in zip(outcomes.names, outcomes.rules, strict=True) if r)
    raise NotFoundError(f"batch {pipeline.batch.id} has no rule {name!r}; there are {rules}")


@dataclass
class Nearest:
    """The rows of one side that are nearest, the earlier of equally near ones."""

    limit: int
    distance: FloatArray = field(default_factory=lambda: np.zeros(0))
    shard: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    row: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, shard: int, first: int, rows: Mask, distances: FloatArray) -> None:
        """See the marked rows of a chunk that begins at a row of the shard."""
        at = np.flatnonzero(rows)
        distance = np.concatenate([self.distance, distances[at]])
        order = np.argsort(distance, kind="stable")[: self.limit]
        self.distance = distance[order]
        self.shard = np.concatenate([self.shard, np.full(len(at), shard)])[order]
        self.row = np.concatenate([self.row, at + first])[order]


def nearest(stored: Stored, wanted: Wanted, limit: int) -> tuple[dict[str, Nearest], int]:
    """The nearest rows of each side over all shards that have come to the rule, and how many."""
    shards = stored.committed_shards(wanted.bound)
    sides = {side: Nearest(limit) for side in SIDES}
    for shard, chunks in side_by_side(shards, lambda s: (s, list(_read(stored, wanted, s)))):
        first = 0
        for outcome, distances, tested in chunks:
            sides["kept"].add(shard.index, first, (outcome > wanted.number) & tested, distances)
            sides["dropped"].add(shard.index, first, outcome == wanted.number, distances)
            first += len(outcome)
    return sides, len(shards)


def _read(
    stored: Stored, wanted: Wanted, shard: Shard
) -> Iterator[tuple[Int64Array, FloatArray, Mask]]:
    """A shard's outcomes, distances to the threshold, and whether the rule says anything."""
    outcomes, rule = Outcomes(stored.pipeline), wanted.rule
    latest = stored.latest(shard)
    assert latest is not None
    for verdicts, columns in stored.chunks(shard, wanted.columns(), latest):
        outcome = outcomes.read(verdicts)
        tested = np.ones(len(outcome), np.bool_)
        if rule.given is not None:
            position, name = wanted.bound.inputs[rule.given.column], rule.given.column
            given = rule.given.holds(columns[position, name.rpartition(".")[2]])
            tested = np.asarray(given)
        yield outcome, _distances(columns[wanted.column], wanted.threshold), tested


def _distances(column: pa.ChunkedArray, threshold: float | None) -> FloatArray:
    """How far each value is from the threshold; a null is far from everything."""
    if threshold is None:
        return np.where(np.asarray(pc.is_valid(column)), 0.0, np.inf)
    values = np.asarray(pc.fill_null(column.cast(pa.float64()), np.inf))
    distances: FloatArray = np.abs(values - threshold)
    return distances


def tell(
    store: Store, view: BatchView, name: str, limit: int = DEFAULT_LIMIT, *, finished: bool
) -> dict[str, Any]:
    """The documents around a rule's threshold, nearest first."""
    wanted = find_rule(view.pipeline, name)
    key = (f"{store.url}/{view.batch.id}", f"{name} {limit}")
    known = _ANSWERS.get(key) if finished else None
    if known is not None:
        return known
    sides, shards = nearest(Stored(store, view.pipeline), wanted, limit)
    position, column = wanted.column
    answer: dict[str, Any] = {
        "batch": view.batch.id,
        "rule": name,
        "condition": wanted.rule.condition,
        "signal": f"{view.pipeline.recipe.steps[position].step.short}.{column}",
        "threshold": wanted.rule.test.value,
        "shards": {"read": shards, "of": len(view.batch.shards)},
        "final": finished,
        **{side: _documents(store, view.pipeline, wanted, found) for side, found in sides.items()},
    }
    if finished:
        _ANSWERS.keep(key, answer)
    return answer


def _documents(
    store: Store, pipeline: Pipeline, wanted: Wanted, found: Nearest
) -> list[dict[str, Any]]:
    """Id, address, value and verdict so far of the rows; each of their shards is read once."""
    told: dict[tuple[int, int], dict[str, Any]] = {}
    stored = Stored(store, pipeline)
    position, column = wanted.column
    for index in np.unique(found.shard).tolist():
        shard = pipeline.batch.shards[index]
        rows = found.row[found.shard == index]
        latest = stored.latest(shard)
        assert latest is not None
        folder = pipeline.column_folder(pipeline.recipe.steps[0])
        spine = read_columns(store, folder, shard.id, ["document", "url"]).take(rows)
        folder = pipeline.column_folder(pipeline.recipe.steps[position])
        values = read_columns(store, folder, shard.id, [column]).column(column).take(rows)
        verdicts = read_columns(store, latest.folder, shard.id, VERDICT_SCHEMA.names).take(rows)
        for row, place, value, verdict in zip(
            rows.tolist(), spine.to_pylist(), values.to_pylist(), verdicts.to_pylist(), strict=True
        ):
            state = {"state": STATE_NAMES[verdict["state"]], "dropped_by": verdict["rule"]}
            told[index, row] = {**place, "value": value, **state}
    return [told[place] for place in zip(found.shard.tolist(), found.row.tolist(), strict=True)]


@router.get("/rules/{rule}/around")
def read_around(
    batch_id: str,
    rule: str,
    gw: GatewayDep,
    limit: Annotated[int, Query(ge=1, le=LARGEST_LIMIT)] = DEFAULT_LIMIT,
) -> dict[str, Any]:
    """The documents nearest the rule's threshold: dropped by it, and let pass by it.

    `state` is a document's verdict so far; one that passed this rule may have been dropped by a
    later one, which `dropped_by` names. A rule on words or truth values has no near and far: the
    first documents of each side are told.
    """
    view = gw.catalog.view(batch_id)
    finished = batch_state(gw.catalog, view) == "finished"
    return tell(gw.store, view, rule, limit, finished=finished)
