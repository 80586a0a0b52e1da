"""What tests of indexes share: documents that repeat each other, and batches of them."""

import json
import random
from pathlib import Path
from typing import Any

from shared.columns import read_columns, read_receipt
from shared.indexes.joining import submit
from shared.indexes.members import waits
from shared.plan import runnable
from shared.progress import Funnel
from shared.run import run_task
from shared.schema import KEPT, VERDICT_SCHEMA
from shared.shards import Batch
from shared.stages import Pipeline
from shared.store import Store
from shared.testing import drive, make_batch, prose

DAYS = ("a", "b", "c")
NEAR = "news/near_duplicates_v1"


def recipe(index: str | None = "news", **minhash: Any) -> dict[str, Any]:
    """Documents whose texts are nearly the same as an earlier one's are dropped."""
    near: dict[str, Any] = {"partitions": 3}
    if index is not None:
        near["index"] = index
    return {
        "name": "indexed",
        "steps": [
            "extraction.records_v1",
            "extraction.main_text_v1",
            {"dedup.minhash_v1": {"bands": 14, "rows": 8, **minhash}},
            {"dedup.near_duplicates_v1": near, "keep": {"near_duplicate": "keeper == true"}},
        ],
    }


def write_documents(folder: Path, name: str, seeds: list[int], *, changed: bool = True) -> Path:
    """A line a seed: prose of the seed, with a sentence of its own at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    lines = []
    for i, seed in enumerate(seeds):
        text = "\n".join(prose(seed, 40))
        if changed:
            text += f" And so ends the story of {name.partition('.')[0]} number {i}."
        lines.append(json.dumps({"id": f"{name}-{i}", "text": text}))
    path.write_text("\n".join(lines) + "\n")
    return path


def three_sources(folder: Path, seed: int = 5) -> list[Path]:
    """Sources whose documents repeat each other's and their own, named in the order of batches."""
    rng = random.Random(seed)
    return [
        write_documents(folder, f"day-{day}.jsonl", [rng.randrange(30) for _ in range(24)])
        for day in range(3)
    ]


def batch_of(
    paths: list[Path], name: str, chosen: dict[str, Any] | None = None, *, shard_bytes: int = 32000
) -> Batch:
    """A batch that has not been submitted."""
    return make_batch(paths, chosen or recipe(), shard_bytes=shard_bytes, name=name)


def run(
    store: Store, paths: list[Path], name: str, chosen: dict[str, Any] | None = None
) -> Pipeline:
    """Submit a batch, run it, and write its end as the conductor does."""
    batch = submit(store, batch_of(paths, name, chosen))
    pipeline, funnel = drive(store, batch)
    assert all(len(t.done) == t.tasks for t in funnel.stages.values())
    end(store, name)
    return pipeline


def end(store: Store, batch: str, state: str = "finished") -> None:
    store.put_json(f"batches/{batch}/end.json", {"state": state, "time": 0, "failures": 0})


def kept(store: Store, pipeline: Pipeline) -> set[str]:
    """Documents that a batch keeps."""
    return {d for d, state in outcomes(store, pipeline).items() if state == KEPT}


def outcomes(store: Store, pipeline: Pipeline) -> dict[str, int]:
    """Verdicts by document."""
    spine = pipeline.column_folder(pipeline.recipe.steps[0])
    found: dict[str, int] = {}
    for shard in pipeline.batch.shards:
        ids = read_columns(store, spine, shard.id, ["document"]).column("document").to_pylist()
        verdicts = read_columns(store, pipeline.last_rows.folder, shard.id, VERDICT_SCHEMA.names)
        found |= dict(zip(ids, verdicts.column("state").to_pylist(), strict=True))
    return found


def clusters(store: Store, pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """What the duplicate step says, by document."""
    spine = pipeline.column_folder(pipeline.recipe.steps[0])
    step = next(b for b in pipeline.recipe.steps if b.step.short == "near_duplicates_v1")
    found = {}
    for shard in pipeline.batch.shards:
        ids = read_columns(store, spine, shard.id, ["document"]).column("document").to_pylist()
        rows = read_columns(store, pipeline.column_folder(step), shard.id).to_pylist()
        found |= dict(zip(ids, rows, strict=True))
    return found


def is_committed(store: Store, pipeline: Pipeline, phase: str) -> bool:
    """Whether all tasks of a phase of the duplicate step have their receipts."""
    stage = next(s for s in pipeline.stages if s.phase and s.phase.name == phase)
    return all(read_receipt(store, stage.folder, u) is not None for u in pipeline.units(stage))


def waiting(store: Store, pipeline: Pipeline) -> list[tuple[str, str]]:
    """The phases of a batch that wait, and for which batch."""
    funnel = Funnel(pipeline)
    funnel.update(store, pipeline)
    found = waits(store, pipeline, funnel.committed())
    return [(pipeline.stages[w.stage].phase.name, w.batch) for w in found]


def run_until(store: Store, pipeline: Pipeline, phase: str) -> None:
    """Run a batch's tasks until a phase is committed."""
    while not is_committed(store, pipeline, phase):
        funnel = Funnel(pipeline)
        funnel.update(store, pipeline)
        for ref in list(runnable(pipeline, funnel.committed())):
            run_task(store, pipeline, ref)
