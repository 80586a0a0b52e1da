"""Real articles, and a batch in memory for the phases of group steps."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shared.schema import conform
from shared.step import GroupOutput, Step, load_registry


@pytest.fixture
def articles(data_path: Path) -> list[dict[str, Any]]:
    """Articles with planted near-duplicates: id, set and text."""
    with gzip.open(data_path / "text/open/neardup_en_minhash_articles.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


class MemoryScope:
    """All shards of a batch as tables in memory; each has `row` and the columns of its steps."""

    def __init__(self, shards: list[pa.Table]) -> None:
        self.shards = shards
        self.outputs: dict[str, list[GroupOutput]] = {}

    def rows(self, columns: tuple[str, ...]) -> Iterator[tuple[int, pa.Table]]:
        for shard, table in enumerate(self.shards):
            yield shard, table.select(["row", *columns])

    def table(self, phase: str, partition: int = 0) -> pa.Table:
        return self.outputs[phase][partition].table

    def tables(self, phase: str) -> Iterator[pa.Table]:
        return (output.table for output in self.outputs[phase])


@pytest.fixture(scope="session")
def run_group() -> Callable[..., pa.Table]:
    """Run a duplicate step over shards: `(step name, shards, params, reverse)` to all joined rows.

    With `reverse` the partitions of every phase are computed last to first.
    """

    def run(
        name: str, shards: list[pa.Table], params: dict[str, Any], *, reverse: bool = False
    ) -> pa.Table:
        step: Step = load_registry()[name]
        bound = step.params.model_validate(params)
        scope = MemoryScope(shards)
        for phase in step.phases:
            order = range(phase.partitions(bound))
            done = {p: phase.run(scope, p, bound) for p in (reversed(order) if reverse else order)}
            scope.outputs[phase.name] = [done[p] for p in order]
        keyed = scope.table(step.phases[-1].name)
        joined = []
        for shard, rows in enumerate(shards):
            here = keyed.filter(pc.equal(keyed.column("shard"), shard))
            read = rows.select(["row", *step.reads])
            joined.append(
                conform(step.join(read, here, bound), step.schema, rows.num_rows, step.name)
            )
        return pa.concat_tables(joined)

    return run
