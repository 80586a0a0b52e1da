"""A scope in memory: the group steps' protocol over plain tables instead of a store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from shared.recipe import Recipe, ResolvedRecipe
from shared.shards import Batch, Source
from shared.step import GroupOutput, Params, load_registry

Row = tuple[str, str, str | None]

FUNNEL = {
    "records": {"response": 9},
    "documents": 8,
    "kept": 5,
    "dropped": 2,
    "failed": 1,
    "failures": {"main_text_v1": 1},
    "stages": [
        {
            "stage": "extraction",
            "service": "extraction",
            "tasks": 1,
            "tasks_done": 1,
            "entered": 8,
            "kept": 5,
            "kept_percent_of_raw": 62.5,
            "kept_percent_of_entered": 62.5,
            "characters_kept": 100,
            "failed": {"main_text_v1": 1},
            "rules": [
                {
                    "rule": "main_text_v1.words",
                    "documents": 2,
                    "characters": 7,
                    "percent_of_raw": 25.0,
                    "percent_of_entered": 25.0,
                }
            ],
        },
        {"stage": "dedup.bands", "service": "dedup", "tasks": 2, "tasks_done": 2},
    ],
}


@dataclass
class MemoryScope:
    shards: list[list[Row]]
    batch: Batch
    recipe: ResolvedRecipe
    output_id: str = "web-0123456789abcdef"
    text_type: pa.DataType = field(default_factory=pa.string)
    outputs: dict[str, list[GroupOutput]] = field(default_factory=dict)

    def rows(self, columns: tuple[str, ...]) -> Iterator[tuple[int, pa.Table]]:
        for shard, rows in enumerate(self.shards):
            table = pa.table(
                {
                    # Rows that a rule dropped lie between those that are kept.
                    "row": pa.array([3 * i for i in range(len(rows))], pa.int64()),
                    "document": pa.array([r[0] for r in rows], pa.string()),
                    "url": pa.array([r[1] for r in rows], pa.string()),
                    "text": pa.array([r[2] for r in rows], self.text_type),
                }
            )
            yield shard, table.select(["row", *columns])

    def table(self, phase: str, partition: int = 0) -> pa.Table:
        return self.outputs[phase][partition].table

    def tables(self, phase: str) -> Iterator[pa.Table]:
        for output in self.outputs[phase]:
            yield output.table

    def file(self, phase: str, name: str, partition: int = 0) -> bytes:
        return self.outputs[phase][partition].files[name]

    def describe(self) -> dict[str, Any]:
        return FUNNEL


@pytest.fixture
def scope_of() -> Callable[[list[list[Row]]], MemoryScope]:
    """Makes a scope of shards of (document, url, text)."""
    recipe = Recipe(
        name="web",
        source="arXiv 2306.01116",
        steps=("extraction.records_v1",),  # type: ignore[arg-type]
        published={"after_language": 0.48},
        deviations=("one | two",),
    )

    def make(shards: list[list[Row]]) -> MemoryScope:
        source = Source(uri="file:///crawl.jsonl", name="crawl.jsonl", size=1, etag="1")
        created = datetime(2026, 1, 1, tzinfo=UTC)
        batch = Batch(id="b1", recipe=recipe, sources=(source,), created=created)
        return MemoryScope(shards, batch, ResolvedRecipe(recipe, ()))

    return make


@pytest.fixture
def export() -> Callable[..., dict[str, bytes]]:
    """Runs all phases of `export.dataset_v1`, as the runner does; returns the dataset's files."""
    step = load_registry()["export.dataset_v1"]

    def run(scope: MemoryScope, **params: Any) -> dict[str, bytes]:
        parsed: Params = step.params.model_validate(params)
        files: dict[str, bytes] = {}
        for phase in step.phases:
            outputs = [phase.run(scope, p, parsed) for p in range(phase.partitions(parsed))]
            scope.outputs[phase.name] = outputs
            for output in outputs:
                files |= output.files
        return files

    return run
