"""A worker killed in every phase of every deduplication step leaves the same bytes in the end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.plan import runnable
from shared.progress import Funnel
from shared.ref import TaskRef
from shared.run import run_task
from shared.stages import compile_batch
from shared.store import Store
from shared.testing import make_batch, prose
from shared.warming import warm

RECIPE = {
    "name": "every-phase",
    "source": "none",
    "steps": [
        "extraction.records_v1",
        {"extraction.main_text_v1": {"engine": "plain_text"}},
        {"dedup.line_duplicates_v1": {"partitions": 2}},
        {"dedup.minhash_v1": {}},
        {
            "dedup.near_duplicates_v1": {"partitions": 2, "verify": {"partitions": 2}},
            "keep": {"near": "keeper == true"},
        },
        {"dedup.substring_duplicates_v1": {"unit": "bytes", "length": 60, "partitions": 2}},
        "dedup.url_key_v1",
        {
            "dedup.url_duplicates_v1": {"partitions": 2},
            "keep": {"url": "url_duplicates_v1.keeper == true"},
        },
    ],
}
#: When a task is killed, as shares of the time that it takes undisturbed.
MOMENTS = (0.15, 0.5, 0.9)


def in_child(function: Callable[[], Any], kill_after: float | None = None) -> Any:
    """What a function returns in a forked process; None where that was killed before its end.

    The parent never opens the store, so that no child inherits its threads.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.write(write, json.dumps(function()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    assert kill_after is not None or status == 0
    return json.loads(told) if told else None


def archives(folder: Path) -> list[Path]:
    """Lines of JSON: near-duplicates, repeated lines and spans, equal URLs."""
    paths = []
    for a in range(2):
        rows = []
        for i in range(60):
            n = 60 * a + i
            text = prose(n if i % 3 else n // 2)
            text.append("A line that many of the documents have in common.")
            rows.append(
                {"id": str(n), "url": f"http://a.example/{n // 2}", "text": "\n".join(text)}
            )
        paths.append(folder / f"documents-{a}.jsonl")
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return paths


def next_tasks(url: str, paths: list[Path]) -> list[tuple[int, str]]:
    """What can run now: stage and unit."""
    store, pipeline = Store(url), compile_batch(make_batch(paths, RECIPE))
    funnel = Funnel(pipeline)
    funnel.update(store, pipeline)
    return [(ref.stage, ref.unit) for ref in runnable(pipeline, funnel.committed())]


def run_one(url: str, paths: list[Path], stage: int, unit: str) -> float:
    """Run a task; seconds that it took."""
    pipeline = compile_batch(make_batch(paths, RECIPE))
    started = time.perf_counter()
    run_task(Store(url), pipeline, TaskRef(batch="b", stage=stage, unit=unit))
    return time.perf_counter() - started


def data(folder: Path) -> dict[str, bytes]:
    """All committed objects but receipts, which hold times."""
    committed = set()
    for receipt in folder.rglob("*.json"):
        told = json.loads(receipt.read_bytes())
        committed |= {f"{receipt.parent}/{told['data']}"} if "data" in told else set()
        committed |= {f"{folder}/{key}" for key in told.get("files", {}).values()}
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if str(p) in committed
    }


def run_batch(folder: Path, paths: list[Path], moments: dict[int, list[float]]) -> dict[int, float]:
    """Run all tasks; a stage's first one is killed at each of its moments before it may end."""
    took: dict[int, float] = {}
    while tasks := in_child(lambda: next_tasks(str(folder), paths)):
        for stage, unit in tasks:
            for moment in moments.pop(stage, []):
                in_child(lambda s=stage, u=unit: run_one(str(folder), paths, s, u), moment)
            seconds = in_child(lambda s=stage, u=unit: run_one(str(folder), paths, s, u))
            took.setdefault(stage, seconds)
    return took


@pytest.mark.timeout(240)
def test_killed_in_every_phase(tmp_path):
    # In a process of its own, which has no thread yet when it forks.
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, __file__, tmp_path], check=True, env=environment)


def main(folder: Path) -> None:
    """Compare a batch that is not disturbed with one whose tasks are killed."""
    warm("dedup")
    paths = archives(folder)
    undisturbed, disturbed = folder / "undisturbed", folder / "disturbed"
    took = run_batch(undisturbed, paths, {})
    expected = data(undisturbed)
    if len(took) < 16:
        sys.exit(f"{len(took)} stages, and there should be more")
    moments = {stage: [share * seconds for share in MOMENTS] for stage, seconds in took.items()}
    run_batch(disturbed, paths, moments)
    if data(disturbed) != expected:
        sys.exit("killed tasks left other bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
