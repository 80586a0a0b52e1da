"""Real articles, and group steps over shards in memory."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shared.table_scope import TableScope, run_group_step


@pytest.fixture
def articles(data_path: Path) -> list[dict[str, Any]]:
    """Articles with planted near-duplicates: id, set and text."""
    with gzip.open(data_path / "text/open/neardup_en_minhash_articles.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def run_group() -> Callable[..., pa.Table]:
    """Run a duplicate step over shards: `(step name, shards, params, reverse)` to all joined rows.

    With `reverse` the partitions of every phase are computed last to first.
    """

    def run(
        name: str,
        shards: list[pa.Table],
        params: dict[str, Any],
        *,
        reverse: bool = False,
        memory: int = 2**26,
    ) -> pa.Table:
        scope = TableScope(shards, memory=memory)
        return pa.concat_tables(run_group_step(name, scope, params, reverse=reverse))

    return run
