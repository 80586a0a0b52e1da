"""docs/load.md, from what was measured."""

import math
from typing import TYPE_CHECKING

from scripts.load.clients import Taken
from scripts.reference import ROOT, machine
from shared.settings import Settings

if TYPE_CHECKING:
    from scripts.load.run import Phase

OUT = ROOT / "docs" / "load.md"
MIB = 2**20

_HEAD = """# Load

Written by `make load` (`python -m scripts.load.run`), which fails where a request fails; do not
edit. An embedded cluster on {machine}: one gateway process, one worker process, a Valkey, a folder
as the store; tokens are required, and `rate_limit` is raised. {clients} clients, each with a
connection of its own and one request at a time, in {processes} processes on the same machine; a
request's time includes the whole answer. All the while somebody looks at queues, list of batches,
dashboard and metrics, on a connection of their own.
"""
_ASKED = """
Errors: {errors}. Memory of the gateway (resident): {before:.0f} MiB before, {most:.0f} MiB at most.
Tasks that the worker did during the states: {tasks:.0f}. The clients are not what is slow: the same
ask /healthz {rate:.0f} times a second, and of a core the busier of their processes used {shares}.
"""


def document(phases: list["Phase"], clients: int, processes: int) -> str:
    """The whole page."""
    asked, large = phases[:-1], phases[-1]
    idle, *busy = asked
    told = _ASKED.format(
        errors=sum(len(p.taken.errors) + len(p.seen.errors) for p in phases),
        before=max(idle.watch.rss) / MIB,
        most=max(max(p.watch.rss) for p in busy) / MIB,
        tasks=busy[-1].facts["tasks done meanwhile"],
        rate=_rate(idle.taken, idle.wall),
        shares=", ".join(f"{100 * p.client_cpu / p.wall:.0f} % ({p.name})" for p in busy),
    )
    parts = [
        _HEAD.format(machine=machine(), clients=clients, processes=processes),
        "## Many requests\n",
        _requests([("", p.taken, p.wall) for p in asked]),
        told,
        "Meanwhile, to the one who looks:\n",
        _requests([(p.name, p.seen, p.wall) for p in busy]),
        f"## A batch of {large.facts['shards']:,.0f} sources\n",
        _large(large),
        "Meanwhile, to the one who looks:\n",
        _requests([("", large.seen, large.wall)]),
    ]
    return "\n".join(parts)


def _requests(rows: list[tuple[str, Taken, float]]) -> str:
    lines = ["| while | request | times | a second | p50 ms | p99 ms | most ms | errors |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, taken, wall in rows:
        for kind, seconds in taken.seconds.items():
            ordered = sorted(seconds)
            p50, p99 = (1000 * ordered[math.ceil(len(ordered) * q) - 1] for q in (0.5, 0.99))
            errors = sum(e.startswith(f"{kind}:") for e in taken.errors)
            lines.append(
                f"| {name} | {kind} | {len(ordered):,} | {len(ordered) / wall:.1f} | {p50:.0f} "
                f"| {p99:.0f} | {1000 * ordered[-1]:.0f} | {errors} |"
            )
    if rows[0][0] == "":
        lines = ["|" + line.split("|", 2)[2] for line in lines]
    return "\n".join(lines) + "\n"


def _rate(taken: Taken, wall: float) -> float:
    return sum(map(len, taken.seconds.values())) / wall


def _large(phase: "Phase") -> str:
    watch, facts = phase.watch, phase.facts
    window = Settings.model_fields["window"].default
    longest = max(watch.longest.values())
    rows = {
        "submitted within": f"{facts['seconds to submit']:.1f} s",
        "first task committed after": f"{facts['seconds to the first committed task']:.1f} s",
        "tasks done, and a second": f"{facts['tasks done']:,.0f}, {facts['tasks a second']:.1f}",
        "done within": f"{phase.wall:.0f} s; then the batch was cancelled",
        "longest queue (window)": f"{longest} ({window})",
        "Valkey's memory before, at most": (
            f"{watch.valkey[0] / MIB:.2f} MiB, {max(watch.valkey) / MIB:.2f} MiB "
            f"(`used_memory_peak` {watch.peak / MIB:.2f} MiB)"
        ),
        "memory of the gateway at most": f"{max(watch.rss) / MIB:.0f} MiB",
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in rows.items()), ""])
