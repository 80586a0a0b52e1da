"""The tables of docs/compose.md, between its marks."""

import os
import platform
import re
from datetime import UTC, datetime
from typing import Any

from scripts.images import ROOT

PAGE = ROOT / "docs" / "compose.md"
_MARKED = re.compile(r"(<!-- made by make e2e-compose -->\n).*?(<!-- end -->)", re.DOTALL)


def write(images: dict[str, dict[str, Any]], times: dict[str, float], told: dict[str, Any]) -> None:
    """Put a run's sizes, times and counts into the page."""
    page = PAGE.read_text()
    assert _MARKED.search(page), f"{PAGE} has lost its marks"
    text = "\n".join([*_sizes(images), "", *_times(times), "", _summary(told), ""])
    PAGE.write_text(_MARKED.sub(lambda match: match[1] + text + match[2], page))


def _sizes(images: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| image | MB | of the large packages it holds |", "|---|---:|---|"]
    for service, facts in images.items():
        modules = ", ".join(name for name in facts["modules"] if name != "celery") or "none"
        lines.append(f"| corpusmill-{service} | {facts['bytes'] / 1e6:,.0f} | {modules} |")
    return lines


def _times(times: dict[str, float]) -> list[str]:
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    lines = [f"Measured on {day}, {machine}:", "", "| step | seconds |", "|---|---:|"]
    return [*lines, *(f"| {what} | {seconds:.1f} |" for what, seconds in times.items())]


def _summary(told: dict[str, Any]) -> str:
    return (
        f"{told['documents']} documents, {told['kept']} kept, {told['dropped']} dropped; all "
        f"{told['objects']} data objects equal those of the embedded run. The stopped worker took "
        f"{told['stop_seconds']:.1f} s to end; tasks in careful mode after the kill: "
        f"{told['careful']}. Prometheus saw {told['targets']} processes.\n"
    )
