"""`/v1/batches/{id}/signals`: the measured columns of a batch and how their values lie.

Read from the stored columns of the shards that are committed so far, one pass, bounded memory. The
answer for a finished batch never changes and is kept.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter

from services.gateway.catalog import BatchView
from services.gateway.conductor import batch_state
from services.gateway.histogram import Int64Array, Numbers, Values
from services.gateway.models import GatewayDep
from services.gateway.stored import Outcomes, Stored, aligned, side_by_side
from shared.errors import UsageError
from shared.recipe import BoundStep, find_column
from shared.rules import Comparison, KeepRule
from shared.schema import ERROR, Column
from shared.shards import Shard
from shared.stages import Pipeline
from shared.store import Store

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["signals"])
#: Answers of finished batches that are kept, some kilobytes each.
CACHED_ANSWERS = 1024
#: What became of a document, as `?by=verdict` splits.
GROUPS = ("kept", "dropped_here", "dropped_elsewhere", "failed")


@dataclass(frozen=True)
class Signal:
    """A measured column of a batch."""

    bound: BoundStep
    column: Column

    @property
    def name(self) -> str:
        """`<step>.<column>`."""
        return f"{self.bound.step.short}.{self.column.name}"

    @property
    def is_number(self) -> bool:
        """Whether the values have an order that a histogram can show."""
        kind = self.column.type
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

    def describe(self, pipeline: Pipeline) -> dict[str, Any]:
        """Where it is from, what it means, and the rules that read it."""
        column = self.column
        return {
            "signal": self.name,
            "step": self.bound.step.name,
            "column": column.name,
            "type": str(column.type),
            "unit": column.unit,
            "meaning": column.meaning,
            "rules": list(_rules(pipeline, self)),
        }


def signals_of(pipeline: Pipeline) -> list[Signal]:
    """The columns of single numbers, words and truth values, in the recipe's order."""
    return [
        Signal(bound, column)
        for bound in aligned(pipeline)
        for column in bound.step.columns
        if not column.transient and column.name != "text" and _is_plain(column.type)
    ]


def _is_plain(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_string, pa.types.is_boolean)
    return any(test(kind) for test in tests)


def find_signal(pipeline: Pipeline, name: str) -> Signal:
    """A signal by plain or qualified column name; UsageError where none or several have it."""
    known = signals_of(pipeline)
    found = [s for s in known if find_column(name, s.bound.step) is s.column]
    if len(found) == 1:
        return found[0]
    among = ", ".join(s.name for s in found or known)
    problem = "is ambiguous: say which of" if found else "is no measured column; there are"
    raise UsageError(f"column: {name!r} {problem} {among}", field="column")


def _rules(pipeline: Pipeline, signal: Signal) -> list[dict[str, Any]]:
    """The rules that read a signal, with the thresholds that a plot can draw."""
    found = []
    for bound in pipeline.recipe.steps:
        for rule, name in zip(bound.rules, bound.rule_names, strict=True):
            for part in _parts(rule):
                if bound.inputs[part.column] != signal.bound.position:
                    continue
                if part.column.rpartition(".")[2] == signal.column.name:
                    where = "if" if part is rule.given else "keep"
                    found.append(
                        {"rule": name, "condition": rule.condition, "part": where}
                        | {"op": part.op, "value": part.value}
                    )
    return found


def _parts(rule: KeepRule) -> list[Comparison]:
    return [rule.test] if rule.given is None else [rule.test, rule.given]


@dataclass
class Distribution:
    """What the documents of some shards have in a column."""

    values: Numbers | Values
    documents: int = 0
    not_computed: int = 0
    nulls: int = 0
    errors: int = 0
    by_group: Int64Array = field(default_factory=lambda: np.zeros(len(GROUPS), np.int64))

    def describe(self, *, by_verdict: bool) -> dict[str, Any]:
        """As plain data; with the split by verdict where it is asked for."""
        told = {
            "documents": self.documents,
            "count": int(self.by_group.sum()),
            "nulls": self.nulls,
            "errors": self.errors,
            "not_computed": self.not_computed,
            **self.values.describe(),
        }
        split = np.array(told["histogram"]["counts"], np.int64).reshape(-1, len(GROUPS))
        told["histogram"]["counts"] = split.sum(axis=1).tolist()
        if by_verdict:
            told["by_verdict"] = {
                group: {"count": int(self.by_group[i]), "counts": split[:, i].tolist()}
                for i, group in enumerate(GROUPS)
            }
        return told


def distribution(stored: Stored, signal: Signal) -> tuple[Distribution, int]:
    """The distribution over all committed shards, and how many those are."""
    shards = stored.committed_shards(signal.bound)
    kind = signal.column.type
    numbers = Numbers(len(GROUPS), pa.types.is_integer(kind)) if signal.is_number else None
    total = Distribution(numbers or Values(len(GROUPS)))
    outcomes = Outcomes(stored.pipeline)
    for part in side_by_side(shards, lambda s: _read_shard(stored, signal, outcomes, s)):
        for column, errors, outcome in part:
            _count(total, column, errors, outcome, outcomes, signal)
    return total, len(shards)


def _read_shard(
    stored: Stored, signal: Signal, outcomes: Outcomes, shard: Shard
) -> list[tuple[pa.ChunkedArray, pa.ChunkedArray, Int64Array]]:
    """The shard's values, faults and outcomes."""
    latest = stored.latest(shard)
    assert latest is not None
    at, name = signal.bound.position, signal.column.name
    chunks = stored.chunks(shard, {at: {name, ERROR.name}}, latest)
    return [(c[at, name], c[at, ERROR.name], outcomes.read(v)) for v, c in chunks]


def _count(
    total: Distribution,
    column: pa.ChunkedArray,
    errors: pa.ChunkedArray,
    outcome: Int64Array,
    outcomes: Outcomes,
    signal: Signal,
) -> None:
    """Add a chunk. A document that never reached the step is "not computed", not null."""
    first = outcomes.first_of(signal.bound)
    reached = outcome >= first
    bad = reached & np.asarray(pc.is_valid(errors))
    valid = np.asarray(pc.is_valid(column))
    if pa.types.is_floating(column.type):
        valid = valid & np.asarray(pc.fill_null(pc.is_finite(column), False))
    valid = valid & reached & ~bad
    total.documents += len(outcome)
    total.not_computed += int((~reached).sum())
    total.errors += int(bad.sum())
    total.nulls += int((reached & ~bad & ~valid).sum())
    groups = _groups(outcomes, signal.bound)[outcome[valid]]
    total.by_group += np.bincount(groups, minlength=len(GROUPS))
    total.values.add(column.filter(pa.array(valid)), groups)


def _groups(outcomes: Outcomes, bound: BoundStep) -> Int64Array:
    """The group of each outcome."""
    kept, here, elsewhere, failed = range(len(GROUPS))
    table = [
        failed if rule is None else here if position == bound.position else elsewhere
        for rule, position in zip(outcomes.rules, outcomes.positions, strict=True)
    ]
    return np.array([*table, kept], np.int64)


class Answers:
    """Answers for finished batches, the latest used ones."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str]) -> dict[str, Any] | None:
        """A kept answer."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: tuple[str, str], answer: dict[str, Any]) -> None:
        """Keep an answer; the one unused for longest goes."""
        with self._lock:
            self._kept[key] = answer
            while len(self._kept) > CACHED_ANSWERS:
                self._kept.popitem(last=False)


_ANSWERS = Answers()


def tell(store: Store, view: BatchView, signal: Signal, *, finished: bool) -> dict[str, Any]:
    """The distribution of a signal, split by verdict."""
    key = (f"{store.url}/{view.batch.id}", signal.name)
    known = _ANSWERS.get(key) if finished else None
    if known is not None:
        return known
    found, shards = distribution(Stored(store, view.pipeline), signal)
    answer = {
        "batch": view.batch.id,
        **signal.describe(view.pipeline),
        "shards": {"read": shards, "of": len(view.batch.shards)},
        "final": finished,
        **found.describe(by_verdict=True),
    }
    if finished:
        _ANSWERS.keep(key, answer)
    return answer


@router.get("/signals")
def list_signals(batch_id: str, gw: GatewayDep) -> dict[str, Any]:
    """The measured columns: step, type, unit, meaning, and the rules that read them."""
    view = gw.catalog.view(batch_id)
    return {"items": [s.describe(view.pipeline) for s in signals_of(view.pipeline)]}


@router.get("/signals/{column}")
def read_signal(
    batch_id: str, column: str, gw: GatewayDep, by: Literal["verdict"] | None = None
) -> dict[str, Any]:
    """How a column's values lie over the documents committed so far.

    Numbers: least, greatest, mean, quantiles and about fifty bins; strings and truth values: the
    most frequent ones. `by=verdict` splits the counts by what became of the documents.
    """
    view = gw.catalog.view(batch_id)
    signal = find_signal(view.pipeline, column)
    finished = batch_state(gw.catalog, view) == "finished"
    answer = tell(gw.store, view, signal, finished=finished)
    if by is None:
        answer = {k: v for k, v in answer.items() if k != "by_verdict"}
    return answer
