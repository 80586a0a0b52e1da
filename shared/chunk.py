"""A chunk of a shard's rows on its way through a stage, and the stage's accounts."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.recipe import BoundStep
from shared.schema import DROPPED, FAILED, KEPT, SPANS_TYPE, VERDICT_SCHEMA
from shared.text.edits import apply_edits, move_spans

Mask = npt.NDArray[np.bool_]


@dataclass
class Tally:
    """A stage's accounts for one shard. Characters are of the main text before edits."""

    rows: int = 0
    entered: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    characters_entered: int = 0
    characters_kept: int = 0
    characters_dropped: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    records: Counter[str] = field(default_factory=Counter)
    computed: list[str] = field(default_factory=list)


class Chunk:
    """Some rows of a shard on their way through the stage."""

    def __init__(self, first: int, rows: int) -> None:
        self.first = first
        self.rows = rows
        self.columns: dict[tuple[int, str], pa.ChunkedArray] = {}
        self.state = np.full(rows, KEPT, np.int8)
        self.rule: list[str | None] = [None] * rows
        self.value: list[str | None] = [None] * rows
        self.threshold: list[str | None] = [None] * rows
        self._texts: dict[tuple[int, ...], pa.ChunkedArray] = {}

    @property
    def alive(self) -> Mask:
        """Rows that are still kept."""
        return np.asarray(self.state == KEPT)

    def add(self, position: int, table: pa.Table) -> None:
        """Make a step's columns known."""
        for name in table.column_names:
            self.columns[position, name] = table.column(name)

    def text(self, base: int, edits: tuple[int, ...]) -> pa.ChunkedArray:
        """The main text of step `base` after the given edit steps."""
        key = (base, *edits)
        if key not in self._texts:
            if edits:
                before = self.text(base, edits[:-1])
                self._texts[key] = apply_edits(before, self.columns[edits[-1], "edits"])
            else:
                self._texts[key] = self.columns[base, "text"]
        return self._texts[key]

    def input(self, bound: BoundStep, name: str) -> pa.ChunkedArray:
        """A column that a step reads, all rows; spans lie where edits have moved them."""
        provider = bound.inputs[name]
        if name == "text":
            return self.text(provider, bound.edits)
        column = self.columns[provider, name.rpartition(".")[2]]
        if column.type == SPANS_TYPE:
            for edit in bound.edits:
                if edit >= provider:
                    column = move_spans(column, self.columns[edit, "edits"])
        return column

    def inputs(self, bound: BoundStep) -> pa.Table:
        """The columns that a step reads, all rows."""
        names = bound.step.reads
        return pa.table([self.input(bound, name) for name in names], names=list(names))

    def drop(
        self, rows: npt.NDArray[np.intp], rule: str, values: list[Any], threshold: str
    ) -> None:
        """Give rows the verdict "dropped"."""
        self.state[rows] = DROPPED
        for row, value in zip(rows.tolist(), values, strict=True):
            self.rule[row] = rule
            self.value[row] = None if value is None else str(value)
            self.threshold[row] = threshold

    def fail(self, rows: npt.NDArray[np.intp], step: str, errors: list[str]) -> None:
        """Give rows the verdict "failed"."""
        self.state[rows] = FAILED
        for row, error in zip(rows.tolist(), errors, strict=True):
            self.rule[row], self.value[row] = step, error

    def load_verdicts(self, table: pa.Table) -> None:
        """Start from the verdicts of the stage before."""
        self.state = table.column("state").to_numpy().astype(np.int8, copy=True)
        self.rule = table.column("rule").to_pylist()
        self.value = table.column("value").to_pylist()
        self.threshold = table.column("threshold").to_pylist()

    def verdicts(self) -> pa.Table:
        """The cumulative verdicts."""
        return pa.table([self.state, self.rule, self.value, self.threshold], schema=VERDICT_SCHEMA)
