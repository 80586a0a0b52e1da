"""What the command line shows of deduplication indexes."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def listing(items: list[dict[str, Any]], console: Console) -> None:
    """All indexes; runs are those of compactions and of batches that are in none."""
    table = Table(title="indexes", title_justify="left")
    table.add_column("index", overflow="fold", min_width=12)
    for name in ("batches", "entries", "bytes", "runs", "waiting"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("background", overflow="fold")
    for item in items:
        table.add_row(
            f"{item['name']}/{item['step']}",
            *(f"{item[name]:,}" for name in ("batches", "entries", "bytes")),
            f"{len(item['compactions'])} + {item['uncompacted']}",
            f"{len(item['waiting']):,}",
            escape(item["compaction"]),
        )
    console.print(table)


def index(told: dict[str, Any], console: Console) -> None:
    """One index, a table a step."""
    for step in told["steps"]:
        table = Table(title=f"{told['name']}  {step['step']}", title_justify="left")
        for name in ("ordinal", "batch", "state", "ready", "shards", "joined"):
            table.add_column(name, overflow="fold")
        for member in step["members"]:
            table.add_row(*(str(member[str(c.header)]) for c in table.columns))
        console.print(table)
        console.print(
            f"{step['entries']:,} entries, {step['bytes']:,} bytes in {len(step['compactions'])} "
            f"compactions and the runs of {step['uncompacted']} batches; "
            f"background: {escape(step['compaction'])}",
            highlight=False,
        )
        for one in step["compactions"]:
            console.print(
                f"  level {one['level']}: {one['batches']} batches, {one['entries']:,} entries, "
                f"{one['bytes']:,} bytes",
                highlight=False,
            )
        for wait in step["waiting"]:
            console.print(f"  batch {wait['batch']} waits for batch {wait['for']}", highlight=False)


def waits(batch: dict[str, Any], console: Console) -> None:
    """What a batch waits for."""
    for wait in batch.get("waits", []):
        console.print(
            f"[yellow]waits[/yellow] for batch {wait['batch']} ({wait['state']}) "
            f"in the index {wait['index']}: {wait['stage']}",
            highlight=False,
        )
