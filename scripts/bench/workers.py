"""Memory of each service's worker: every stage of the line in a process of its own.

    python -m scripts.bench.workers STORE STAGE      (one stage of the batch "b" in the store)

As in a cluster, where a process serves one queue: it loads the service's steps and compiled loops,
runs all tasks of the stage one after the other, and says the largest resident set of both.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.bench.measure import Measured
from shared.processes import give_memory_back
from shared.ref import TaskRef
from shared.run import run_task
from shared.shards import Batch
from shared.stages import compile_batch
from shared.store import Store
from shared.testing import make_batch
from shared.warming import warm


def worker_memory(folder: Path, archives: list[Path], recipe: dict[str, Any]) -> list[Measured]:
    """A result a stage: `warm` and `peak` in bytes, by service and stage."""
    store = Store(str(folder))
    batch = make_batch(archives, recipe)
    store.put_json("batches/b/batch.json", batch.model_dump(mode="json"))
    found = []
    for stage in compile_batch(batch).stages:
        command = [sys.executable, "-m", "scripts.bench.workers", str(folder), str(stage.index)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        found.append(Measured(f"{stage.service}: {stage.name}", 0, 0, 0, json.loads(done.stdout)))
    return found


def main() -> None:
    """Run one stage; print what it took as JSON."""
    give_memory_back()
    store = Store(sys.argv[1])
    pipeline = compile_batch(Batch.model_validate(store.get_json("batches/b/batch.json")))
    stage = pipeline.stages[int(sys.argv[2])]
    warm(stage.service)
    before = peak()
    for unit in pipeline.units(stage):
        run_task(store, pipeline, TaskRef(batch="b", stage=stage.index, unit=unit))
    print(json.dumps({"warm": before, "peak": peak()}))


def peak() -> int:
    """Bytes; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
