"""Shards that pass through a join in several chunks get what many small shards get."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.columns import READ_ROWS, read_columns
from shared.store import Store
from shared.testing import drive, make_batch, prose

DOCUMENTS = 2 * READ_ROWS + 50
STEPS: dict[str, dict[str, Any]] = {
    "dedup.line_duplicates_v1": {"keep": "first"},
    "dedup.substring_duplicates_v1": {"unit": "bytes", "length": 60},
}


def measured(folder: Path, paths: list[Path], step: str) -> dict[str, dict[str, Any]]:
    """The step's columns by document."""
    recipe = {
        "name": "join",
        "source": "none",
        "steps": [
            "extraction.records_v1",
            {"extraction.main_text_v1": {"engine": "plain_text"}},
            {step: STEPS[step]},
        ],
    }
    store = Store(str(folder))
    pipeline, _ = drive(store, make_batch(paths, recipe))
    spine, bound = pipeline.recipe.steps[0], pipeline.recipe.steps[-1]
    found = {}
    for shard in pipeline.batch.shards:
        ids = read_columns(store, pipeline.column_folder(spine), shard.id, ["record_id"])
        rows = read_columns(store, pipeline.column_folder(bound), shard.id).to_pylist()
        found |= dict(zip(ids["record_id"].to_pylist(), rows, strict=True))
    return found


@pytest.mark.parametrize("step", STEPS)
def test_chunks_of_a_shard_get_their_own_rows(step, tmp_path):
    lines = []
    for n in range(DOCUMENTS):
        text = [*prose(n)[:2], f"Only here: {n}."]
        if n % 3 == 0:
            text.insert(1, f"A sentence of sixty or more bytes that several have, number {n % 9}.")
        lines.append(json.dumps({"id": f"{n:05d}", "text": "\n".join(text)}) + "\n")
    one = tmp_path / "one.jsonl"
    one.write_text("".join(lines))
    many = [tmp_path / f"part-{i:02d}.jsonl" for i in range(11)]
    for i, path in enumerate(many):
        path.write_text("".join(lines[i * 100 : (i + 1) * 100]))
    whole = measured(tmp_path / "one", [one], step)
    assert whole == measured(tmp_path / "many", many, step)
    assert len(whole) == DOCUMENTS
    assert sum(len(row["edits"]) > 0 for row in whole.values()) > DOCUMENTS // 4
