"""The export over shards in memory."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from shared.recipe import Recipe
from shared.step import load_registry
from shared.table_scope import TableScope

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


def _table(rows: list[Row], text_type: pa.DataType) -> pa.Table:
    """A shard; rows that a rule dropped lie between those that are kept."""
    return pa.table(
        {
            "row": pa.array([3 * i for i in range(len(rows))], pa.int64()),
            "document": pa.array([r[0] for r in rows], pa.string()),
            "url": pa.array([r[1] for r in rows], pa.string()),
            "text": pa.array([r[2] for r in rows], text_type),
        }
    )


@pytest.fixture
def scope_of() -> Callable[..., TableScope]:
    """Makes a scope of shards of (document, url, text)."""
    recipe = Recipe(
        name="web",
        source="arXiv 2306.01116",
        steps=("extraction.records_v1",),  # type: ignore[arg-type]
        published={"after_language": 0.48},
        deviations=("one | two",),
    )

    def make(shards: list[list[Row]], text_type: pa.DataType | None = None) -> TableScope:
        tables = [_table(rows, text_type or pa.string()) for rows in shards]
        scope = TableScope(tables, recipe=recipe)
        scope.funnel = FUNNEL
        return scope

    return make


@pytest.fixture
def export() -> Callable[..., dict[str, bytes]]:
    """Runs all phases of `export.dataset_v1`, as the runner does; returns the dataset's files."""
    step = load_registry()["export.dataset_v1"]

    def run(scope: TableScope, **params: Any) -> dict[str, bytes]:
        scope.run(step, step.params.model_validate(params))
        return scope.written(step)

    return run
