"""A scope of tables in memory: runs group steps without a store, for tests and for warming."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared.index import IndexView
from shared.ranges import ObjectReader, rows_between
from shared.recipe import Recipe, ResolvedRecipe
from shared.schema import conform
from shared.shards import Batch, Source
from shared.step import GroupOutput, Params, Step, load_registry

#: Tables that a shard comes in.
PIECES = 3

_RECIPE = Recipe(
    name="web",
    source="none",
    steps=("extraction.records_v1",),
)


class TableScope:
    """`shared.scope.Scope` over tables, one a shard, and the outputs of phases so far.

    A table has `row` (int64, ascending) and the columns that the step reads. Each shard is a
    source of its own, named by `names` or s00000.jsonl and so on.
    """

    def __init__(
        self,
        shards: Sequence[pa.Table],
        *,
        memory: int = 2**26,
        names: Sequence[str] | None = None,
        recipe: Recipe = _RECIPE,
        indexes: dict[str, IndexView] | None = None,
    ) -> None:
        self.shards = list(shards)
        self.memory = memory
        self.output_id = f"{recipe.name}-0123456789abcdef"
        self.recipe = ResolvedRecipe(recipe, ())
        self.funnel: dict[str, Any] = {}
        self._step: Step | None = None
        self._indexes = indexes or {}
        self._outputs: dict[str, list[GroupOutput]] = {}
        names = names or [f"s{i:05d}.jsonl" for i in range(max(1, len(self.shards)))]
        sources = tuple(Source(uri=f"file:///{n}", name=n, size=1, etag="1") for n in names)
        created = datetime(2026, 1, 1, tzinfo=UTC)
        self.batch = Batch(id="b1", recipe=recipe, sources=sources, created=created)

    def rows(
        self, columns: tuple[str, ...], shards: range | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """The named columns of some shards, some rows at a time."""
        for shard in range(len(self.shards)) if shards is None else shards:
            table = self.shards[shard].select(["row", *columns])
            for piece in _pieces(table):
                yield shard, piece

    def units(self, phase: str) -> int:
        """Partitions that a phase has run."""
        return len(self._outputs[phase])

    def table(self, phase: str, partition: int = 0) -> pa.Table:
        """The table of an earlier phase."""
        return self._outputs[phase][partition].table

    def tables(self, phase: str) -> Iterator[pa.Table]:
        """The tables of all partitions."""
        return (output.table for output in self._outputs[phase])

    def keyed(self, phase: str, shards: range) -> Iterator[pa.Table]:
        """Of every partition the rows of some shards."""
        for table in self.tables(phase):
            shard = table.column("shard")
            inside = pc.and_(pc.greater_equal(shard, shards.start), pc.less(shard, shards.stop))
            yield table.filter(inside)

    def files(self, phase: str, partition: int = 0) -> list[str]:
        """Names of the files of a partition."""
        return sorted(self._outputs[phase][partition].files)

    def file(self, phase: str, name: str, partition: int = 0) -> bytes:
        """A file of a partition."""
        data = self._outputs[phase][partition].files[name]
        assert isinstance(data, bytes)
        return data

    def opened(self, phase: str, name: str, partition: int = 0) -> ObjectReader:
        """A file of a partition, by ranges."""
        data = self.file(phase, name, partition)
        return ObjectReader(len(data), lambda offset, length: data[offset : offset + length])

    def counts(self, phase: str, partition: int = 0) -> dict[str, int]:
        """What a partition counted."""
        return dict(self._outputs[phase][partition].counts)

    def index(self, name: str) -> IndexView:
        """The index that was given under a name."""
        return self._indexes[name]

    def describe(self) -> dict[str, Any]:
        """The funnel that the test has set."""
        return self.funnel

    def run(self, step: Step, params: Params, *, reverse: bool = False) -> None:
        """Run all phases; with `reverse` the partitions of each, last to first."""
        for phase in step.phases:
            order = list(range(phase.partitions(params, len(self.shards))))
            done = {
                p: _in_memory(phase.run(self, p, params))
                for p in (reversed(order) if reverse else order)
            }
            self._outputs[phase.name] = [done[p] for p in order]

    def written(self, step: Step) -> dict[str, bytes]:
        """The files of a sink whose phases have run, as they lie in its folder."""
        return {
            name: self.file(phase.name, name, partition)
            for phase in step.phases
            if not phase.scratch
            for partition in range(self.units(phase.name))
            for name in self.files(phase.name, partition)
        }

    def join(self, step: Step, params: Params) -> list[pa.Table]:
        """The step's columns of every shard, as the runner joins and checks them."""
        assert step.join is not None
        phases = [p.name for p in step.phases if p.joined(params)]
        joined = []
        for shard, rows in enumerate(self.shards):
            here = range(shard, shard + 1)
            keyed = pa.concat_tables([t for phase in phases for t in self.keyed(phase, here)])
            keyed = keyed.sort_by("row")
            parts = []
            for read in _pieces(rows.select(["row", *step.reads])):
                numbers = read.column("row").to_pylist() or [0]
                mine = rows_between(keyed, numbers[0], numbers[-1] + 1)
                result = step.join(read, mine, params)
                parts.append(conform(result, step.schema, read.num_rows, step.name))
            joined.append(pa.concat_tables(parts))
        return joined


def run_group_step(
    name: str, scope: TableScope, params: dict[str, Any], *, reverse: bool = False
) -> list[pa.Table]:
    """All phases and the join of a registered step; one table of its columns a shard."""
    step = load_registry()[name]
    bound = step.params.model_validate(params)
    scope.run(step, bound, reverse=reverse)
    return scope.join(step, bound)


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """Following rows; one empty table where there are none."""
    at_once = table.num_rows // PIECES + 1
    for start in range(0, max(1, table.num_rows), at_once):
        yield table.slice(start, at_once)


def _in_memory(output: GroupOutput) -> GroupOutput:
    """An output as it stands once it is committed."""
    table = output.table if isinstance(output.table, pa.Table) else output.table.read_all()
    files: dict[str, bytes | Path] = {}
    for name, data in output.files.items():
        files[name] = data if isinstance(data, bytes) else data.read_bytes()
        if isinstance(data, Path):
            data.unlink()
    return GroupOutput(table, files, output.counts)
