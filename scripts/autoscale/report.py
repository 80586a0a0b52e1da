"""docs/autoscaling.md: head.md, then the tables."""

from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from scripts.autoscale.accounts import Accounts
from scripts.autoscale.chart import Scaled
from scripts.autoscale.day import measured
from scripts.autoscale.simulation import NODE_PODS, World
from scripts.reference import ROOT

OUT = ROOT / "docs" / "autoscaling.md"
HEAD = Path(__file__).with_name("head.md")
NAMES = {"ours": "**backlog in seconds (ours)**"}

#: Heading of a column, and its value of a day.
COLUMNS: dict[str, Callable[[Accounts], float]] = {
    "paid": lambda a: a.paid,
    "needed": lambda a: a.needed,
    "paid / needed": lambda a: a.ratio,
    "starting": lambda a: a.starting,
    "idle": lambda a: a.idle,
    "starts": lambda a: a.starts,
    "overshoot": lambda a: a.overshoot,
    "killed": lambda a: a.killed,
    "task waits p50": lambda a: a.task_wait[0],
    "p99": lambda a: a.task_wait[1],
    "batch begins p50": lambda a: a.batch_wait[0],
    "p99 ": lambda a: a.batch_wait[1],
    "batch ends p50": lambda a: a.batch_time[0],
    "p99  ": lambda a: a.batch_time[1],
}


def write(
    objects: dict[str, Scaled],
    world: World,
    table: dict[str, list[Accounts]],
    sensitive: dict[tuple[str, str], list[Accounts]],
    others: list[str],
    seeds: tuple[int, ...],
) -> None:
    """Write the document."""
    parts = [
        HEAD.read_text(),
        "## The day\n",
        _day(world, table["ours"], seeds),
        _policies(table),
        "## What if\n",
        _sensitivities(sensitive, others),
        "## What the chart renders\n",
        _settings(objects),
        "## What was measured\n",
        _measured(world),
    ]
    OUT.write_text("\n".join(parts))


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def name_of(policy: str) -> str:
    """A policy's name for people."""
    kind, _, number = policy.partition(" ")
    if kind == "list":
        return f"list length, {number} a worker"
    return f"HPA on CPU at {number} %" if kind == "cpu" else NAMES[policy]


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _day(world: World, ours: list[Accounts], seeds: tuple[int, ...]) -> str:
    return (
        f"Means of {len(seeds)} seeded days. A worker is one core. Core-hours: *needed* is the\n"
        "sum of all tasks' seconds; *paid* is from a pod's node to its end, so starting (shown\n"
        "too) and idle time are in it. *Overshoot*: most pods at once beyond what ran or could.\n"
        "Seconds: a task *waits* from when it could run; a batch *begins* and *ends* counted from\n"
        f"its submission. Nodes of {NODE_PODS} pods take {world.node_seconds:.0f} s to come.\n"
        f"The worst of our days pays {max(a.ratio for a in ours):.3f} times what is needed.\n"
    )


def _policies(table: dict[str, list[Accounts]]) -> str:
    rows = []
    for policy, days in table.items():
        values = [_number(mean(of(a) for a in days)) for of in COLUMNS.values()]
        rows.append([name_of(policy), *values])
    return _table(["", *COLUMNS], rows)


def _sensitivities(sensitive: dict[tuple[str, str], list[Accounts]], others: list[str]) -> str:
    policies = list(dict.fromkeys(policy for _, policy in sensitive))
    header = ["", *(f"{name_of(p)}: paid / needed, p99 s" for p in policies)]
    rows = []
    for other in others:
        row = [other]
        for policy in policies:
            days = sensitive[other, policy]
            ratio, late = mean(a.ratio for a in days), mean(a.batch_time[1] for a in days)
            row.append(f"{ratio:.2f}, {late:,.0f}")
        rows.append(row)
    return _table(header, rows) + "\np99 is that of batches, from submission to end.\n"


def _settings(objects: dict[str, Scaled]) -> str:
    rows = []
    for name, s in objects.items():
        up = " or ".join(f"{p.value:g} {p.kind.lower()}/{p.period:g} s" for p in s.up.policies)
        down = " or ".join(f"{p.value:g} {p.kind.lower()}/{p.period:g} s" for p in s.down.policies)
        limits = f"{s.least} to {s.most}"
        times = [f"{s.polling:g}", f"{s.cooldown:g}", f"{s.down.stabilization:g}"]
        rows.append([name, f"`{s.query}`", limits, *times, up, down])
    header = ["service", "query (threshold 1)", "workers", "poll s", "cool-down s"]
    return _table([*header, "stabilised s", "up", "down"], rows)


def _measured(world: World) -> str:
    known: dict[str, Any] = measured()
    rows = []
    for stage in known["stages"]:
        times = sorted(t for group in stage["seconds"].values() for t in group)
        if times:
            middle = times[len(times) // 2]
            numbers = [str(len(times)), *(f"{v:.2f}" for v in (times[0], middle, times[-1]))]
            rows.append([stage["service"], f"`{stage['stage']}`", *numbers])
    starts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in world.start_seconds.items())
    return (
        f"`{known['command']}` on {known['machine']} (load average at its end "
        f"{known['load_average']}): recipe {known['recipe']}, pieces of "
        f"{known['piece_bytes'] // 2**20} MiB. Seconds a task:\n\n"
        + _table(["service", "stage", "tasks", "least", "median", "most"], rows)
        + f"\nSeconds from a worker's process to its first answer: {starts} (training is not "
        "measured: export and five seconds for torch).\n"
    )
