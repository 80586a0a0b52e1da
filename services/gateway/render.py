"""What the command line shows: progress, funnels, lives of documents."""

import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.gateway.client import Client
from services.gateway.render_indexes import waits
from services.gateway.render_signals import alarms

POLL_SECONDS = 0.5
FINAL = ("finished", "failed", "cancelled")


def watch_batch(client: Client, batch: str, console: Console, *, quiet: bool) -> dict[str, Any]:
    """Follow a batch to its end, a bar a stage; returns its last description."""
    columns = (
        TextColumn("{task.description:<42.42}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet) as progress:
        bars: dict[str, Any] = {}
        while True:
            state: dict[str, Any] = client.get(f"/v1/batches/{batch}")
            for stage in state["funnel"]["stages"]:
                name = stage["stage"]
                if name not in bars:
                    title = name if "." in name else f"{stage['service']}: {name}"
                    bars[name] = progress.add_task(title, total=stage["tasks"])
                progress.update(bars[name], completed=stage["tasks_done"])
            if state["state"] in FINAL:
                return state
            time.sleep(POLL_SECONDS)


def funnel(batch: dict[str, Any], console: Console) -> None:
    """Documents in, kept and dropped by stage and rule, in % of raw and of what entered."""
    told = batch["funnel"]
    title = f"{batch['recipe']['name']}  {batch['id']}  {batch['state']}"
    table = Table(title=title, title_justify="left")
    table.add_column("stage / rule", overflow="fold")
    for name in ("documents", "% of raw", "% of stage"):
        table.add_column(name, justify="right")
    table.add_row("documents", f"{told['documents']:,}", "100.00", "")
    for stage in told["stages"]:
        for name, count in stage.get("counts", {}).items():
            table.add_row(f"  {stage['stage']}: {name}", f"{count:,}", "", "", style="dim")
        if "entered" in stage:
            _stage_rows(table, stage, told["documents"])
    console.print(table)
    others = ", ".join(f"{n:,} {kind}" for kind, n in told["records"].items())
    console.print(f"records in the archives: {others}", highlight=False)
    balanced = told["kept"] + told["dropped"] + told["failed"] == told["documents"]
    console.print(
        f"accounts: {told['documents']:,} documents = {told['kept']:,} kept "
        f"+ {told['dropped']:,} dropped by rule + {told['failed']:,} failed"
        f"{'' if balanced else '  (still running)'}",
        highlight=False,
    )
    published = batch["recipe"].get("published") or {}
    if published:
        rates = ", ".join(f"{k.replace('_', ' ')} {100 * v:.4g} %" for k, v in published.items())
        console.print(f"published, in % of raw: {rates}", highlight=False)
    alarms(batch.get("alarms", []), console)
    waits(batch, console)
    for failure in batch.get("failures", []):
        why = escape(f"{failure['task']}: {failure['error']}")
        console.print(f"[red]failed task[/red] {why}", highlight=False)


def _stage_rows(table: Table, stage: dict[str, Any], raw: int) -> None:
    """A stage: what it dropped by rule, what failed, what it kept."""
    for rule in stage["rules"]:
        if rule["documents"]:
            shares = (f"-{rule['percent_of_raw']:.2f}", f"-{rule['percent_of_entered']:.2f}")
            table.add_row(f"  {rule['rule']}", f"-{rule['documents']:,}", *shares, style="dim")
    for step, count in stage["failed"].items():
        table.add_row(f"  failed in {step}", f"-{count:,}", f"-{100 * count / (raw or 1):.2f}", "")
    table.add_row(
        f"after {stage['service']}: {stage['stage']}",
        f"{stage['kept']:,}",
        f"{stage['kept_percent_of_raw']:.2f}",
        f"{stage['kept_percent_of_entered']:.2f}",
    )


def overview(answer: dict[str, Any], console: Console) -> None:
    """All batches and queues."""
    batches = Table(title="batches", title_justify="left")
    for name in ("id", "state", "recipe", "sources", "shards", "created"):
        batches.add_column(name)
    for batch in answer["batches"]:
        batches.add_row(*(str(batch[c.header]) for c in batches.columns))
    queues = Table(title="queues", title_justify="left")
    for name in ("queue", "depth", "in_flight", "backlog", "oldest_age_seconds", "workers"):
        queues.add_column(name)
    queues.add_column("rate_per_second")
    for queue in answer["queues"]:
        queues.add_row(*(str(queue[str(c.header)]) for c in queues.columns))
    console.print(batches)
    console.print(queues)


def documents(items: Iterable[dict[str, Any]], console: Console) -> None:
    """A list of documents with their verdicts."""
    table = Table()
    for name in ("document", "state", "rule", "value", "url"):
        table.add_column(name, overflow="fold")
    for item in items:
        table.add_row(*(str(item[str(c.header)] or "") for c in table.columns))
    console.print(table)


def life(told: dict[str, Any], console: Console) -> None:
    """The life of a document."""
    verdict = told["verdict"]
    where = told["archive"]
    console.print(f"[bold]{told['document']}[/bold]  {escape(str(told['url']))}", highlight=False)
    console.print(
        f"archive: {where['uri']}, offset {where['offset']}, {where['length']} bytes, "
        f"row {where['row']} of {where['shard']}",
        highlight=False,
    )
    reason = ""
    if verdict["rule"]:
        reason = f" by {verdict['rule']}: measured {verdict['value']}"
        if verdict["threshold"]:
            reason += f", kept where {verdict['threshold']}"
    console.print(f"verdict: [bold]{verdict['state']}[/bold]{escape(reason)}", highlight=False)
    for rule in told["rules"]:
        mark = "[green]holds[/green]" if rule["holds"] else "[red]fails[/red]"
        line = escape(f"{rule['rule']}: {rule['value']}  ({rule['threshold']})")
        console.print(f"  {mark}  {line}", highlight=False)
    cut = sum(len(e["edits"]) for e in told["edits"])
    text = told["text"] or ""
    console.print(f"text: {len(text):,} characters after {cut} edits", highlight=False)
    if text:
        console.print(f"  {text[:300].strip()!r}", highlight=False, markup=False)
    for span in told.get("spans", []):
        console.print(
            f"dataset {span['dataset']}: token shard {span['token_shard']}, "
            f"tokens {span['start']}..{span['end']}",
            highlight=False,
        )
    for seen in told.get("steps_seen", []):
        steps = ", ".join(str(s) for s in seen["steps"][:20])
        console.print(f"run {seen['run']}: seen by training steps {steps}", highlight=False)


def spans(items: Iterable[dict[str, Any]], console: Console) -> None:
    """Documents of a training step."""
    table = Table()
    for name in ("document", "archive", "offset", "token_shard", "start", "end", "url"):
        table.add_column(name, overflow="fold")
    for item in items:
        table.add_row(*(str(item.get(str(c.header), "")) for c in table.columns))
    console.print(table)
