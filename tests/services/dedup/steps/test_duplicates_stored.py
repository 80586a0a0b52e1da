"""The duplicate steps in whole batches on a store: with verification, by score, under an index."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shared.columns import read_columns
from shared.errors import UsageError
from shared.shards import Batch
from shared.stages import Pipeline, compile_batch
from shared.store import Store
from shared.testing import drive, make_batch

NEAR = "near_duplicates_v1"


def write_lines(path: Path, texts: list[str]) -> Path:
    lines = "".join(
        json.dumps({"text": t, "id": f"{path.stem}-{i}", "url": f"http://a.org/{i}"}) + "\n"
        for i, t in enumerate(texts)
    )
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))
    return path


def recipe_of(params: dict[str, Any], **minhash: Any) -> dict[str, Any]:
    return {
        "name": "near",
        "source": "none",
        "steps": [
            "extraction.records_v1",
            "extraction.main_text_v1",
            {"dedup.minhash_v1": {"bands": 30, "rows": 2, "ngram": 2, **minhash}},
            {f"dedup.{NEAR}": params, "keep": {"duplicate": "keeper == true"}},
        ],
    }


def joined(store: Store, batch: Batch, seed: int | None = None) -> tuple[Pipeline, pa.Table]:
    """The step's columns of all documents, with their ids."""
    pipeline, funnel = drive(store, batch, seed)
    assert all(len(t.done) == t.tasks for t in funnel.stages.values())
    step = next(b for b in pipeline.recipe.steps if b.step.short == NEAR)
    spine = pipeline.recipe.steps[0]
    tables = []
    for shard in batch.shards:
        table = read_columns(store, pipeline.column_folder(step), shard.id)
        ids = read_columns(store, pipeline.column_folder(spine), shard.id, ["document"])
        tables.append(table.append_column("document", ids["document"]))
    return pipeline, pa.concat_tables(tables)


def word(rng: random.Random) -> str:
    """A word that hardly occurs again; of letters, since numbers are all the same."""
    return "".join(rng.choices("abcdefghijklmnop", k=9))


def edited(text: str, rng: random.Random, share: float) -> str:
    words = text.split()
    for i in rng.sample(range(len(words)), int(share * len(words))):
        words[i] = word(rng)
    return " ".join(words)


@pytest.fixture
def documents(tmp_path: Path) -> list[Path]:
    """Three files: pages, near copies of them, and pages that share a half with them only."""
    rng = random.Random(5)
    pages = [" ".join(word(rng) for _ in range(120)) for _ in range(20)]
    near = [edited(p, rng, 0.02) for p in pages]
    half = [edited(p, rng, 0.2) for p in pages]
    return [
        write_lines(tmp_path / f"{name}.jsonl.gz", texts)
        for name, texts in (("a", pages), ("b", near), ("c", half))
    ]


def keepers(table: pa.Table) -> dict[str, bool]:
    rows = zip(table["document"].to_pylist(), table["keeper"].to_pylist(), strict=True)
    return {document.split(".")[0] + document.rpartition(":")[2]: kept for document, kept in rows}


def kept_by_file(table: pa.Table) -> dict[str, int]:
    counts = dict.fromkeys("abc", 0)
    for document, kept in keepers(table).items():
        counts[document[0]] += kept
    return counts


def test_verification_keeps_what_is_half_alike(tmp_path, documents):
    """Without it, documents of Jaccard 0.5 are candidates and go; with it they stay."""
    store = Store(str(tmp_path / "store"))
    _, loose = joined(store, make_batch(documents, recipe_of({}), name="loose"))
    assert kept_by_file(loose) == {"a": 20, "b": 0, "c": 0}
    strict = make_batch(documents, recipe_of({"verify": {"jaccard": 0.8}}), name="strict")
    pipeline, table = joined(store, strict, seed=3)
    assert kept_by_file(table) == {"a": 20, "b": 0, "c": 20}
    similar = [s for s in table["similarity"].to_pylist() if s is not None]
    assert len(similar) == 20
    assert all(0.8 <= s < 1 for s in similar)
    again = Store(str(tmp_path / "again"))
    assert joined(again, strict, seed=4)[1].equals(table)
    assert {s.phase.name for s in pipeline.stages if s.phase} >= {"gather", "verify", "settle"}


def test_best_goes_by_an_earlier_column(tmp_path, documents):
    store = Store(str(tmp_path / "store"))
    params = {"keeper": "best", "score": "records_v1.length"}
    _, table = joined(store, make_batch(documents[:2], recipe_of(params)))
    assert sum(table["keeper"].to_pylist()) == 20
    unknown = recipe_of({"keeper": "best", "score": "fineweb_edu_v1.score"})
    with pytest.raises(UsageError, match=r"needs a column 'fineweb_edu_v1.score'"):
        compile_batch(make_batch(documents, unknown))


def test_similarity_is_estimated_from_the_bands(tmp_path, documents):
    """Of two documents that share k of b bands of r: (k / b)^(1 / r)."""
    store = Store(str(tmp_path / "store"))
    _, table = joined(store, make_batch(documents, recipe_of({})))
    by_file = {"b": [], "c": []}
    for row in table.to_pylist():
        if row["matched"] is not None and row["matched"][0] == "a":
            by_file[row["document"][0]].append(row["similarity"])
    # Of 119 pairs of words 5 change where 2 % of the words do: Jaccard 0.92; 44 of 20 %: 0.47.
    assert sum(by_file["b"]) / len(by_file["b"]) == pytest.approx(0.92, abs=0.04)
    assert sum(by_file["c"]) / len(by_file["c"]) == pytest.approx(0.47, abs=0.07)
