"""Reads a batch's stored columns, shard by shard: only the columns asked for, bounded memory.

Parquet objects are read by byte ranges, so that a look at one number of a step does not fetch the
page texts beside it. Some shards are read side by side, since each read is a round trip to an
object store.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.columns import RowCursor
from shared.errors import NotFoundError, PermanentError
from shared.ranges import open_table
from shared.recipe import BoundStep
from shared.rules import KeepRule
from shared.shards import Shard
from shared.stages import Pipeline, Stage
from shared.store import Store

#: Shards that are read at a time.
SIDE_BY_SIDE = 8
#: Rows of a shard that are looked at together.
CHUNK_ROWS = 8192

Int64Array = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Result = TypeVar("Result")


class Outcomes:
    """All ways in which a document can leave the batch, in order.

    At each step its own fault, then each of its rules. The number after them all is "still kept".
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.steps = aligned(pipeline)
        self.names: list[str] = []
        self.positions: list[int] = []
        self.rules: list[KeepRule | None] = []
        for bound in self.steps:
            faults: list[KeepRule | None] = [None, *bound.rules]
            for rule, name in zip(faults, [bound.step.short, *bound.rule_names], strict=True):
                self.names.append(name)
                self.positions.append(bound.position)
                self.rules.append(rule)
        self.kept = len(self.names)
        self._number = {name: i for i, name in enumerate(self.names)}

    def first_of(self, bound: BoundStep) -> int:
        """The number of a step's fault: who has this number or a later one reached the step."""
        return self._number[bound.step.short]

    def read(self, verdicts: pa.Table) -> Int64Array:
        """The number of each document's outcome, from its verdict."""
        rules = verdicts.column("rule").combine_chunks().dictionary_encode()
        known = [self._number[name] for name in rules.dictionary.to_pylist()]
        table = np.array([*known, self.kept], np.int64)
        found: Int64Array = table[np.asarray(pc.fill_null(rules.indices, len(known)))]
        return found


def aligned(pipeline: Pipeline) -> list[BoundStep]:
    """Steps whose columns are row-aligned."""
    return [b for b in pipeline.recipe.steps if b.step.row or b.step.source or b.step.join]


class Stored:
    """What a batch has committed, as of one look."""

    def __init__(self, store: Store, pipeline: Pipeline) -> None:
        self._store, self.pipeline = store, pipeline
        self.row_stages = [s for s in pipeline.stages if s.phase is None]

    @cached_property
    def committed(self) -> dict[int, dict[str, int]]:
        """By index of a stage of rows: the objects of its folder, and their sizes."""
        return {s.index: self._sizes(s.folder) for s in self.row_stages}

    def _sizes(self, folder: str) -> dict[str, int]:
        return {e.key.removeprefix(folder): e.size for e in self._store.list(folder)}

    def latest(self, shard: Shard) -> Stage | None:
        """The last stage of rows that is committed for a shard."""
        for stage in reversed(self.row_stages):
            if f"{shard.id}.json" in self.committed[stage.index]:
                return stage
        return None

    def stage_of(self, bound: BoundStep) -> Stage:
        """The stage of rows that a row-aligned step belongs to."""
        return next(s for s in self.row_stages if bound in s.steps)

    def committed_shards(self, bound: BoundStep) -> list[Shard]:
        """The shards that have come through a row-aligned step."""
        done = self.committed[self.stage_of(bound).index]
        return [s for s in self.pipeline.batch.shards if f"{s.id}.json" in done]

    def open(self, folder: str, shard: Shard) -> pq.ParquetFile:
        """A committed object; PermanentError where its receipt is gone."""
        try:
            return open_table(self._store, folder, shard.id, pre_buffer=True)
        except NotFoundError as error:
            raise PermanentError(
                f"{folder}{shard.id} is not committed, though its stage is"
            ) from error

    def chunks(
        self, shard: Shard, columns: dict[int, set[str]], verdicts: Stage
    ) -> Iterator[tuple[pa.Table, dict[tuple[int, str], pa.ChunkedArray]]]:
        """A shard's rows in turn: verdicts after a stage, and columns by step and name."""
        cursor = RowCursor(self.open(verdicts.folder, shard), ["rule"])
        cursors = {}
        for position, names in sorted(columns.items()):
            folder = self.pipeline.column_folder(self.pipeline.recipe.steps[position])
            cursors[position] = RowCursor(self.open(folder, shard), sorted(names))
        if any(c.rows != cursor.rows for c in cursors.values()):
            raise PermanentError(f"{shard.id}: stored columns differ in rows")
        for _ in range(0, cursor.rows, CHUNK_ROWS):
            tables = {p: c.take(CHUNK_ROWS) for p, c in cursors.items()}
            yield (
                cursor.take(CHUNK_ROWS),
                {(p, n): t.column(n) for p, t in tables.items() for n in t.column_names},
            )


def side_by_side(items: Iterable[Any], work: Callable[[Any], Result]) -> Iterator[Result]:
    """`work` of each item in order, a few at a time; results never wait in numbers."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        waiting: list[Future[Result]] = []
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == SIDE_BY_SIDE:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
