"""Verification in whole batches: what stays, what it says of it, and what the funnel counts."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from services.gateway import render
from shared.columns import read_columns
from shared.schema import KEPT, VERDICT_SCHEMA
from shared.store import Store
from shared.testing import drive, make_batch, prose

NEAR = 3
SITE = " ".join(prose(1, 40)).split()


def page(number: int, edition: int = 0) -> str:
    """A page of a site: half of it is the site's, and half its own; editions differ by a word."""
    own = " ".join(prose(100 + number, 40)).split()
    return " ".join([*SITE, *own, ("first", "second")[edition]])


def source(folder: Path) -> Path:
    """Six pages, then second editions of the first three, and a page that is like none."""
    texts = [page(n) for n in range(6)] + [page(n, 1) for n in range(3)]
    texts.append(" ".join(prose(999, 80)))
    path = folder / "pages.jsonl"
    path.write_text(
        "".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(texts))
    )
    return path


def run(tmp_path: Path, **near: Any) -> tuple[list[bool], list[dict[str, Any]], dict[str, Any]]:
    """Which documents stay, what is known of each, and the funnel."""
    recipe = {
        "name": "verified",
        "steps": [
            "extraction.records_v1",
            "extraction.main_text_v1",
            {"dedup.minhash_v1": {"bands": 40, "rows": 1}},
            {
                "dedup.near_duplicates_v1": {"partitions": 2, **near},
                "keep": {"duplicate": "keeper == true"},
            },
        ],
    }
    store = Store(str(tmp_path / f"store-{len(near)}"))
    batch = make_batch([source(tmp_path)], recipe, shard_bytes=5000)
    pipeline, funnel = drive(store, batch, seed=len(near))
    kept, known = [], []
    folder = pipeline.column_folder(pipeline.recipe.steps[NEAR])
    for shard in batch.shards:
        verdicts = read_columns(store, pipeline.last_rows.folder, shard.id, VERDICT_SCHEMA.names)
        kept += [state == KEPT for state in verdicts.column("state").to_pylist()]
        known += read_columns(store, folder, shard.id, ["cluster_size", "similarity"]).to_pylist()
    assert len(batch.shards) > 3
    return kept, known, funnel.to_dict(pipeline)


def jaccard(a: str, b: str) -> float:
    x, y = ({tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (folded(a), folded(b)))
    return len(x & y) / len(x | y)


def folded(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def counts_of(funnel: dict[str, Any]) -> Any:
    """What `verify` counted; None where it had nothing to do."""
    [stage] = [s for s in funnel["stages"] if s["stage"].endswith("near_duplicates_v1.verify")]
    return stage.get("counts")


@pytest.fixture
def unverified(tmp_path):
    return run(tmp_path)


def test_pages_of_one_site_are_candidates(unverified):
    kept, known, funnel = unverified
    assert kept == [True, *[False] * 8, True]
    assert [k["cluster_size"] for k in known] == [9] * 9 + [1]
    assert counts_of(funnel) is None


@pytest.mark.parametrize("edit", [None, 0.8])
def test_only_their_second_editions_go(tmp_path, edit):
    kept, known, funnel = run(tmp_path, verify={"jaccard": 0.8, "edit": edit, "partitions": 3})
    assert kept == [*[True] * 6, *[False] * 3, True]
    assert [k["cluster_size"] for k in known] == [2, 2, 2, 1, 1, 1, 2, 2, 2, 1]
    expected = [jaccard(page(n), page(n, 1)) for n in range(3)]
    assert [k["similarity"] for k in known[6:9]] == pytest.approx(expected)
    assert min(expected) > 0.95
    counts = counts_of(funnel)
    # Each of the eight shares a band with the first; the others' bands may pair them, too.
    assert counts["pairs"] >= 8
    assert counts["refuted_jaccard"] + counts["refuted_edit"] <= counts["pairs"] - 1
    assert counts["refuted_jaccard"] >= 7
    assert counts["refuted_edit"] == 0


def test_counts_are_shown(tmp_path):
    _, _, funnel = run(tmp_path, verify={"partitions": 2})
    console = Console(record=True, width=120, file=StringIO())
    batch = {"funnel": funnel, "recipe": {"name": "verified"}, "id": "b", "state": "finished"}
    render.funnel(batch, console)
    counts = counts_of(funnel)
    shown = console.export_text()
    for name, count in counts.items():
        [line] = [row for row in shown.splitlines() if f"near_duplicates_v1.verify: {name} " in row]
        assert f" {count} " in line
