"""One stage of a batch in a process of its own, under a limit on its memory.

    python -m scripts.bench_dedup.ours STORE BATCH STAGE WORKER WORKERS LIMIT

As in a cluster, where workers share nothing but the store: worker i of n runs tasks i, i + n, ...
of the stage and prints what it took as JSON.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.bench_dedup.memory import peak_bytes
from shared.processes import give_memory_back
from shared.ref import TaskRef
from shared.run import run_task
from shared.shards import Batch
from shared.stages import Stage, compile_batch
from shared.store import Store
from shared.testing import make_batch
from shared.warming import warm

#: Processes of a stage, and bytes of data that all of them together may allocate.
WORKERS = 2
MEMORY = 2 * 2**30
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
)


@dataclass(frozen=True)
class Taken:
    """What a stage took: CPU of all its workers, wall clock, the largest resident set, disk."""

    name: str
    tasks: int
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    disk_bytes: int


def run_batch(folder: Path, name: str, paths: list[Path], recipe: dict[str, Any]) -> list[Taken]:
    """Run all stages of a batch, one after the other; what the store has already costs nothing."""
    store = Store(str(folder))
    batch = make_batch(paths, recipe, name=name)
    store.put_json(f"batches/{name}/batch.json", batch.model_dump(mode="json"))
    return [
        _run_stage(folder, name, stage, len(pipeline.units(stage)))
        for pipeline in [compile_batch(batch)]
        for stage in pipeline.stages
        if pipeline.units(stage)
    ]


def _run_stage(folder: Path, batch: str, stage: Stage, tasks: int) -> Taken:
    print(f"{batch}: {stage.name}, {tasks} tasks", flush=True)
    before, started = _size(folder), time.perf_counter()
    limit = str(MEMORY // WORKERS)
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "scripts.bench_dedup.ours", str(folder), batch),
                *(str(stage.index), str(worker), str(WORKERS), limit),
            ],
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD},
        )
        for worker in range(WORKERS)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{batch}: a worker of {stage.name} failed")
    results = [json.loads(output) for output in outputs]
    return Taken(
        stage.name,
        tasks,
        sum(r["cpu"] for r in results),
        time.perf_counter() - started,
        max(r["peak"] for r in results),
        _size(folder) - before,
    )


def _size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def main() -> None:
    """Run one worker's share of a stage."""
    folder, batch, stage_index, worker, workers, limit = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit)))
    give_memory_back()
    store = Store(folder)
    record = store.get_json(f"batches/{batch}/batch.json")
    pipeline = compile_batch(Batch.model_validate(record))
    stage = pipeline.stages[int(stage_index)]
    warm(stage.service)
    started = time.process_time()
    for unit in pipeline.units(stage)[int(worker) :: int(workers)]:
        run_task(store, pipeline, TaskRef(batch=batch, stage=stage.index, unit=unit))
    print(json.dumps({"cpu": time.process_time() - started, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
