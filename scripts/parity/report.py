"""The table of agreement, on the terminal and as `docs/parity.md`."""

import platform
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from scripts.parity.compare import Agreement, Disagreement, alike
from scripts.parity.sides import FLOORS, Side
from scripts.reference import machine, versions

TEMPLATE = Path(__file__).with_name("template.md")
CAUSES = Path(__file__).with_name("causes.yaml")
#: Documents that a rule's list names; the JSON output names all.
LISTED = 12
UNKNOWN = "**no cause is known**"


def table(agreements: list[Agreement]) -> str:
    """A row a rule, as Markdown."""
    lines = [
        "| rule | documents | hits | same decision | floor | values | equal | largest apart |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for a in agreements:
        values = f"{a.with_value} | {_percent(a.same_value, a.with_value)} | {a.largest:.3g}"
        lines.append(
            f"| {a.group}: {a.rule} | {a.compared} | {a.hits} | {_percent(a.same, a.compared)} "
            f"| {100 * FLOORS[a.group]:g} % | {values if a.with_value else ' | | '} |"
        )
    return "\n".join(lines)


def differences(agreements: list[Agreement]) -> str:
    """Each rule with a difference: its cause in words, counts by cause, the documents."""
    causes = read_causes()
    parts = []
    for a in agreements:
        if not a.disagreements and not a.value_causes:
            continue
        decided = Counter(d.cause for d in a.disagreements)
        parts.append(f"### {a.group}: {a.rule}\n")
        parts.append(
            f"Decisions that differ: {_tally(decided)}. Values that differ: "
            f"{_tally(Counter(a.value_causes))}, by at most {a.largest:.3g}.\n"
        )
        names = sorted({*decided, *a.value_causes})
        parts += [f"- {name}: {cause_of(causes, a, name)}" for name in names]
        parts.append(_listed(a.disagreements))
    return "\n".join(parts) if parts else "None."


def cause_of(causes: dict[str, str], agreement: Agreement, name: str) -> str:
    """The text for the class of cause: of the rule, of its group, or of all."""
    names = (f"{agreement.group}: {agreement.rule}", agreement.group)
    for key_ in (*(f"{n} / {name}" for n in names), name):
        if key_ in causes:
            return causes[key_]
    return UNKNOWN


def faults(agreements: list[Agreement], missing: list[str]) -> list[str]:
    """Why the check fails: rules below their floor, differences without a cause, rules left out."""
    found = [f"{name}: only one side has this rule" for name in missing]
    found += [
        f"{a.group}: {a.rule}: {a.same} of {a.compared} documents decided alike"
        for a in agreements
        if not a.passes
    ]
    causes = read_causes()
    for a in agreements:
        for name in sorted({*(d.cause for d in a.disagreements), *a.value_causes}):
            if cause_of(causes, a, name) is UNKNOWN:
                found.append(f"{a.group}: {a.rule}: no cause is known of a difference ({name})")
    return found


def read_causes() -> dict[str, str]:
    """Why sides differ, by class of cause; `rule / class` and `group / class` come first."""
    causes: dict[str, str] = yaml.safe_load(CAUSES.read_text()) or {}
    return causes


def _listed(disagreements: list[Disagreement]) -> str:
    if not disagreements:
        return ""
    lines = ["", "| document | ours | datatrove | cause |", "|---|---|---|---|"]
    lines += [
        f"| {d.document} | {d.ours} | {d.theirs} | {d.cause} |" for d in disagreements[:LISTED]
    ]
    if len(disagreements) > LISTED:
        lines.append(f"| and {len(disagreements) - LISTED} more | | | |")
    return "\n".join(lines) + "\n"


def _tally(counts: Counter[str]) -> str:
    if not counts:
        return "none"
    named = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
    return f"{counts.total()} ({named})"


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{int(10_000 * part / whole) / 100:g} %" if whole else ""


def as_json(agreements: list[Agreement]) -> list[dict[str, Any]]:
    """Everything, for `--json`."""
    return [
        {**asdict(a), "share": a.share, "passes": a.passes, "floor": FLOORS[a.group]}
        for a in agreements
    ]


def page(agreements: list[Agreement], ours: Side, theirs: Side, header: dict[str, str]) -> str:
    """`docs/parity.md`."""
    faults = {a.their_faults for a in agreements if a.their_faults}
    return TEMPLATE.read_text().format(
        table=table(agreements),
        differences=differences(agreements),
        machine=machine(),
        python=platform.python_version(),
        ours=versions(ours.versions),
        theirs=versions(theirs.versions),
        faults=max(faults, default=0),
        words=alike(ours, theirs, "words"),
        sentences=alike(ours, theirs, "sentences"),
        **header,
    )
