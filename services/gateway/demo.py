"""`make demo`: the main job on the shipped sample, over the same REST API that everyone uses.

Archives go in by upload, a batch turns them into a dataset, a run trains a small model on it; then
the funnel, the loss, a generated line and one dropped page are shown.
"""

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from services.gateway import render
from services.gateway.client import Client
from services.gateway.cluster import Cluster
from shared.errors import UsageError

SAMPLE = Path(__file__).resolve().parents[2] / "sample"
RECIPE = "refinedweb-lite"
STEPS = 200
POLL_SECONDS = 1.0


def run_demo(store: str, workers: int, *, as_json: bool) -> int:
    """Run it all; returns the exit code."""
    archives = sorted(SAMPLE.glob("*.warc.gz"))
    if not archives:
        raise UsageError(f"the sample archives are not in {SAMPLE}", field="sample")
    console, out = Console(stderr=True), Console(quiet=as_json)
    started = time.monotonic()
    console.print(f"starting Valkey, workers and gateway on {store}", highlight=False)
    with Cluster(store, workers=workers) as cluster:
        client = Client(cluster.url)
        sources = [client.upload(path) for path in archives]
        batch = client.post("/v1/batches", {"sources": sources, "recipe": RECIPE})
        done = render.watch_batch(client, batch["id"], console, quiet=as_json)
        render.funnel(done, out)
        if done["state"] != "finished" or not done["datasets"]:
            return 1
        dataset = client.get(f"/v1/datasets/{done['datasets'][0]}")
        run = _train(client, dataset["id"], console, quiet=as_json)
        dropped = _dropped_page(client, done)
        client.close()
    _report(out, store, done, dataset, run)
    out.print("\n[bold]one dropped page, explained[/bold]")
    render.life(dropped, out)
    out.print(f"\n{time.monotonic() - started:.0f} s in all; nothing is left running", style="dim")
    if as_json:
        from services.gateway.options import print_json

        print_json({"batch": done, "dataset": dataset, "run": run, "dropped_page": dropped})
    return 0 if run["state"] == "finished" else 1


def _train(client: Client, dataset: str, console: Console, *, quiet: bool) -> dict[str, Any]:
    """Train the small model and follow its loss."""
    body = {"dataset": dataset, "preset": "tiny", "steps": STEPS, "sample_prompt": "The "}
    run: dict[str, Any] = client.post("/v1/runs", body)
    columns = (
        TextColumn("training: {task.fields[note]:<32}"),
        BarColumn(),
        TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet) as progress:
        bar = progress.add_task("", total=STEPS, note="starting")
        while run["state"] not in render.FINAL:
            time.sleep(POLL_SECONDS)
            run = client.get(f"/v1/runs/{run['id']}")
            if run["metrics"]:
                last = run["metrics"][-1]
                note = f"loss {last['loss']:.3f}, {last['tokens_per_second']:,.0f} tokens/s"
                progress.update(bar, completed=last["step"], note=note)
    return run


def _dropped_page(client: Client, batch: dict[str, Any]) -> dict[str, Any]:
    """A page that a quality rule dropped, else any dropped page."""
    path = f"/v1/batches/{batch['id']}/documents"
    rules = [
        rule["rule"]
        for stage in batch["funnel"]["stages"]
        for rule in stage.get("rules", [])
        if rule["documents"]
    ]
    rule = next((r for r in rules if r.startswith("gopher_")), rules[0])
    item = client.get(path, verdict="dropped", rule=rule, limit=1)["items"][0]
    told: dict[str, Any] = client.get(f"{path}/{item['document']}")
    return told


def _report(
    out: Console,
    store: str,
    batch: dict[str, Any],
    dataset: dict[str, Any],
    run: dict[str, Any],
) -> None:
    """What came out, and where it lies."""
    totals = dataset["totals"]
    out.print(
        f"\n[bold]dataset[/bold] {dataset['id']}: {totals['documents']:,} documents, "
        f"{totals['tokens']:,} tokens, {totals['sequences']:,} sequences",
        highlight=False,
    )
    if run["metrics"]:
        first, last = run["metrics"][0], run["metrics"][-1]
        out.print(
            f"[bold]model[/bold] {run['id']}: loss {first['loss']:.3f} at step {first['step']}, "
            f"{last['loss']:.3f} at step {last['step']}",
            highlight=False,
        )
    if run.get("sample"):
        out.print(f"it writes: {run['sample']!r}", highlight=False, markup=False)
    if run.get("error"):
        out.print(f"the run failed: {run['error']}", markup=False)
    out.print(f"[bold]where[/bold] {store}", highlight=False)
    for what, folder in (
        ("batch", f"batches/{batch['id']}/"),
        ("columns and verdicts", "columns/, verdicts/"),
        ("dataset", f"datasets/{dataset['id']}/"),
        ("model", f"runs/{run['id']}/final/"),
    ):
        out.print(f"  {what}: {folder}", highlight=False)
    out.print(
        f"  keep looking: corpusmill up --store {store}, then corpusmill documents {batch['id']}",
        highlight=False,
    )
