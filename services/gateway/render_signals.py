"""What the command line shows of signals, previews and alarms."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

BAR = 30


def listing(items: Iterable[dict[str, Any]], console: Console) -> None:
    """The measured columns of a batch."""
    table = Table()
    for name in ("signal", "type", "unit", "meaning", "rules"):
        table.add_column(name, overflow="fold")
    for item in items:
        rules = ", ".join(f"{r['op']} {r['value']}" for r in item["rules"])
        cells = (item["signal"], item["type"], item["unit"], item["meaning"], rules)
        table.add_row(*map(escape, cells))
    console.print(table)


def histogram(told: dict[str, Any], console: Console) -> None:
    """A signal: its figures, its rules, a bar a bin."""

    def line(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    shards = told["shards"]
    line(f"{told['signal']}: {told['meaning']}" + (f" [{told['unit']}]" if told["unit"] else ""))
    line(
        f"{told['documents']:,} documents of {shards['read']} of {shards['of']} shards: "
        f"{told['count']:,} values, {told['nulls']:,} nulls, {told['errors']:,} errors, "
        f"{told['not_computed']:,} not computed"
    )
    if told.get("mean") is not None:
        line(f"min {_short(told['min'])}  mean {_short(told['mean'])}  max {_short(told['max'])}")
        line("  ".join(f"p{100 * float(q):g} {_short(v)}" for q, v in told["quantiles"].items()))
    if "distinct" in told:
        line(f"{'' if told['exact'] else 'over '}{told['distinct']:,} different values")
    for rule in told["rules"]:
        line(f"rule {rule['rule']}: {rule['condition']}")
    _bars(told, console)


def _bars(told: dict[str, Any], console: Console) -> None:
    found = told["histogram"]
    if found["scale"] == "values":
        labels = [str(v) for v in found["values"]]
    else:
        edges = [_short(e) for e in found["edges"]]
        labels = [f"{a} .. {b}" for a, b in pairwise(edges)]
    split = told.get("by_verdict", {})
    table = Table(box=None, title=f"{found['scale']} scale", title_justify="left")
    for name in ("value", "", "documents", *(g.replace("_", " ") for g in split)):
        table.add_column(name, justify="left" if name in ("value", "") else "right")
    most = max(found["counts"], default=1) or 1
    for i, (label, count) in enumerate(zip(labels, found["counts"], strict=True)):
        bar = "█" * round(BAR * count / most) or ("▏" if count else "")
        parts = (f"{group['counts'][i]:,}" for group in split.values())
        table.add_row(escape(label), bar, f"{count:,}", *parts)
    console.print(table)


def _short(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def preview(told: dict[str, Any], console: Console) -> None:
    """Kept before and after, rule by rule."""
    before, after = told["before"], told["after"]
    for change in told["changes"]:
        was, becomes = (change[k] or "no rule" for k in ("before", "after"))
        console.print(escape(f"{change['rule']}: {was} -> {becomes}"), highlight=False)
    table = Table()
    table.add_column("", overflow="fold")
    for name in ("before", "after", "change"):
        table.add_column(name, justify="right")
    table.add_row("documents", f"{told['documents']:,}", "", "")
    _row(table, "kept", before["kept"], after["kept"])
    _row(table, "characters kept", before["characters_kept"], after["characters_kept"])
    _row(table, "unknown", 0, after["unknown"])
    _row(table, "failed", before["failed"], after["failed"])
    for rule in told["rules"]:
        was, becomes = (
            None if r is None else r["dropped"] for r in (rule["before"], rule["after"])
        )
        if was != becomes:
            _row(table, f"dropped by {rule['rule']}", was or 0, becomes or 0)
    console.print(table)
    _notes(told, console)


def _row(table: Table, name: str, before: int, after: int) -> None:
    table.add_row(escape(name), f"{before:,}", f"{after:,}", f"{after - before:+,}")


def _notes(told: dict[str, Any], console: Console) -> None:
    after, unknown = told["after"], told["unknown"]
    for name in ("dropped", "kept"):
        part = told[f"newly_{name}"]
        console.print(
            f"newly {name}: {part['documents']:,} documents, {part['characters']:,} characters",
            highlight=False,
        )
    if unknown["documents"]:
        steps = ", ".join(f"{s['step']} ({s['documents_at_most']:,})" for s in unknown["steps"])
        console.print(
            f"unknown: {unknown['documents']:,} documents, so {after['kept']:,} to "
            f"{after['kept_at_most']:,} kept; to compute, documents at most: {steps}",
            highlight=False,
        )
    for warning in told["warnings"]:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False)


def alarms(told: Iterable[dict[str, Any]], console: Console) -> None:
    """Rules of a batch that drop nothing, or nearly all."""
    for alarm in told:
        share = f"{100 * alarm['share']:.4g} % of the {alarm['entered']:,} documents that enter it"
        state = "" if alarm["final"] else " so far"
        line = escape(f"rule {alarm['rule']} drops {share}{state}")
        console.print(f"[yellow]alarm:[/yellow] {line}", highlight=False)
