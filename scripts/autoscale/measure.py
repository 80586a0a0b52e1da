"""Seconds a task takes, by stage, and a worker to start: a real batch on the embedded cluster.

    python -m scripts.autoscale.run --measure         # writes scripts/autoscale/measured.json

The open archives are cut into pieces of 4 MiB, so that each stage of rows gives some two dozen
times and not a mean alone; a shard of the simulated day is eight pieces of one archive. Receipts
say the seconds. One worker runs, so that tasks do not fight over the cores.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.reference import machine, open_archives
from services.gateway.client import Client
from services.gateway.cluster import CPU_SERVICES, Cluster, valkey_binary
from shared import worker
from shared.columns import read_receipt
from shared.ref import TaskRef
from shared.settings import settings
from shared.shards import DEFAULT_SHARD_BYTES, Batch
from shared.stages import Pipeline, compile_batch
from shared.store import Store

MEASURED = Path(__file__).with_name("measured.json")
RECIPE = "refinedweb"
PIECE_BYTES = 4 * 2**20
PIECES = DEFAULT_SHARD_BYTES // PIECE_BYTES


def measure() -> dict[str, Any]:
    """All that `measured.json` holds."""
    with tempfile.TemporaryDirectory(prefix="autoscale-") as folder:
        store = Store(folder)
        with Cluster(folder, workers=1) as cluster, Client(cluster.url) as client:
            sources = [str(p) for p in open_archives()]
            body = {"sources": sources, "recipe": RECIPE, "shard_bytes": PIECE_BYTES}
            batch = client.post("/v1/batches", body)["id"]
            while (state := client.get(f"/v1/batches/{batch}")["state"]) != "finished":
                if state in ("failed", "cancelled"):
                    raise SystemExit(f"the batch {state}")
                time.sleep(2)
        record = store.get_json(f"batches/{batch}/batch.json")
        pipeline = compile_batch(Batch.model_validate(record))
        stages = _stages(store, pipeline)
        starts = {service: _start_seconds(folder, pipeline, service) for service in CPU_SERVICES}
    return {
        "command": "python -m scripts.autoscale.run --measure",
        "machine": machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "recipe": RECIPE,
        "piece_bytes": PIECE_BYTES,
        "stages": stages,
        "start_seconds": starts,
    }


def _stages(store: Store, pipeline: Pipeline) -> list[dict[str, Any]]:
    """Stages in order with the seconds of each of their tasks, by archive for stages of rows."""
    found = []
    for stage in pipeline.stages:
        times: dict[str, list[float]] = {}
        for unit in pipeline.units(stage):
            receipt = read_receipt(store, stage.folder, unit)
            assert receipt is not None
            archive = "" if stage.phase else pipeline.shard_by_id[unit].source.name
            times.setdefault(archive, []).append(receipt["seconds"])
        found.append(
            {
                "stage": stage.name,
                "service": stage.service,
                "phase": stage.phase is not None,
                "seconds": times,
            }
        )
    return found


def _start_seconds(store: str, pipeline: Pipeline, service: str) -> float:
    """From the start of a worker's process to the end of its first task, one that was done before.

    A worker tells of itself before it is warm, so only an answered message says that it works.
    """
    stage = next(s for s in pipeline.stages if s.service == service)
    ref = TaskRef(batch=pipeline.batch.id, stage=stage.index, unit=pipeline.units(stage)[0])
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        socket = f"{folder}/valkey.sock"
        command = [valkey_binary(), "--port", "0", "--unixsocket", socket, "--save", ""]
        command += ["--dir", folder]
        os.environ["CORPUSMILL_REDIS"] = f"unix://{socket}"
        for kept in (worker.app, worker.leases, settings):
            kept.cache_clear()
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=quiet) as valkey:
            while not Path(socket).exists():
                time.sleep(0.05)
            worker.send(service, ref)
            environment = {**os.environ, "CORPUSMILL_STORE": store, "NUMBA_NUM_THREADS": "1"}
            own = [sys.executable, "-m", f"services.{service}.worker"]
            started = time.monotonic()
            with subprocess.Popen(own, env=environment, stdout=quiet, stderr=quiet) as process:
                while not worker.leases().counts(service).get("done"):
                    time.sleep(0.05)
                seconds = time.monotonic() - started
                process.terminate()
            worker.leases().redis.close()
            valkey.terminate()
    return round(seconds, 2)


def write() -> None:
    """Measure, and keep it."""
    MEASURED.write_text(json.dumps(measure(), indent=1) + "\n")


if __name__ == "__main__":
    write()
