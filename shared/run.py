"""Runs one task: the only place with idempotency, checks, accounts and the commit.

A task is done when its receipt is there. Running it again is harmless: it finds the receipt and
returns, or it computes the same bytes and loses the race to commit.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from shared.columns import read_receipt
from shared.compute import Compute, compute
from shared.errors import NotFoundError, UsageError
from shared.groups import commit_phase, run_phase
from shared.metrics import count_verdicts
from shared.progress import tally_to_dict
from shared.ref import TaskRef
from shared.resources import provide
from shared.rows import RowStage
from shared.settings import settings
from shared.shards import Shard, ShardReader
from shared.stages import Pipeline, Stage
from shared.store import Store, open_source
from shared.tracing import span


@dataclass(frozen=True)
class Done:
    """A task's outcome. `committed` is False where it was done before or another was faster."""

    committed: bool
    documents: int = 0
    seconds: float = 0.0
    #: Whether something was computed, and not only read from columns of an earlier batch.
    computed: bool = False


def run_task(
    store: Store, pipeline: Pipeline, ref: TaskRef, how: Compute = compute, attempt: int = 1
) -> Done:
    """Run a task to its receipt. Errors are those of `shared.errors`."""
    stage = pipeline.stages[ref.stage]
    if read_receipt(store, stage.folder, ref.unit) is not None:
        return Done(committed=False)
    started = time.perf_counter()
    if stage.phase is not None:
        with span("compute"):
            writer, told = run_phase(store, pipeline, stage, ref.unit)
        receipt = {**_header(pipeline, stage, started, attempt), **told}
        with span("commit"):
            committed = commit_phase(store, stage, ref.unit, writer, receipt)
        return Done(committed, 0, receipt["seconds"], computed=True)
    with span("read"):
        shard = pipeline.shard_by_id[ref.unit]
        for bound in stage.steps:
            provide(store, bound.params)
        rows = RowStage(store, pipeline, stage, shard, how, shard_reader(store, shard))
    with span("compute"):
        tally = rows.run()
    receipt = {**_header(pipeline, stage, started, attempt), "tally": tally_to_dict(tally)}
    with span("commit"):
        committed = rows.commit(receipt)
    if committed:
        recipe = pipeline.recipe.recipe.name
        count_verdicts(recipe, tally, last=stage.index == pipeline.last_rows.index)
    return Done(committed, tally.entered, receipt["seconds"], computed=bool(tally.computed))


def _header(pipeline: Pipeline, stage: Stage, started: float, attempt: int) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "fingerprint": stage.fingerprint,
        "recipe": pipeline.recipe.recipe.name,
        "seconds": round(time.perf_counter() - started, 3),
        "attempt": attempt,
        "code": version("corpusmill"),
    }


def shard_reader(store: Store, shard: Shard) -> ShardReader:
    """A reader of the shard's archive that notices when the archive has changed."""
    source = shard.source
    where, key = open_source(store, source.uri)
    try:
        stat = where.stat(key)
    except NotFoundError as error:
        raise UsageError(f"source {source.uri} is gone", field="sources") from error
    if (stat.size, stat.etag) != (source.size, source.etag):
        raise UsageError(
            f"source {source.uri} has changed since the batch was submitted "
            f"({source.size} bytes, etag {source.etag}; now {stat.size}, {stat.etag}); "
            "submit it again",
            field="sources",
        )
    read: Callable[[int, int], bytes] = where.range_reader(key, source.size)
    expansion = settings().decompression_ratio
    return ShardReader(source.name, source.size, shard.start, shard.end, read, expansion)
