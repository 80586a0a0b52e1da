"""Write the benchmark's page from what the two sides measured.

Refuses to put two numbers in one row that do not come from equally many pages.
"""

import os
import platform
from pathlib import Path

from measure import STAGES, Measured, Outcome

TEMPLATE = Path(__file__).with_name("template.md")


def write_report(archive: str, outcomes: dict[str, Outcome]) -> str:
    """The page as Markdown. Raises ValueError where the sides' pages differ."""
    ours, theirs = outcomes["ours-stages"], outcomes["theirs-stages"]
    pairs = list(zip(ours.stages, theirs.stages, strict=True))
    for one, other in pairs:
        if (one.stage, one.pages) != (other.stage, other.pages):
            raise ValueError(f"these do not compare: {one} and {other}")
    return TEMPLATE.read_text().format(
        archive=archive,
        machine=machine(),
        pages=pairs[0][0].pages,
        texts=pairs[-1][0].pages,
        their_text=theirs.stages[1].results["with text"],
        stages=stage_table(pairs),
        pipeline=pipeline_table(outcomes),
        datatrove=theirs.versions["datatrove"],
        our_trafilatura=ours.versions["trafilatura"],
        their_trafilatura=theirs.versions["trafilatura"],
        python=platform.python_version(),
        our_versions=listed(ours.versions),
        their_versions=listed(theirs.versions),
    )


def stage_table(pairs: list[tuple[Measured, Measured]]) -> str:
    """A row a stage, then the sums over all pages of the archive."""
    lines = [
        "| stage | step | block | pages | ours | datatrove | datatrove / ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, step, block), (one, other) in zip(STAGES, pairs, strict=True):
        lines.append(
            f"| {name} | `{step}` | `{block}` | {one.pages} | {cell(one, one.pages)} "
            f"| {cell(other, other.pages)} | {ratio(one, other)} |"
        )
    chosen = [pair for pair in pairs if pair[0].stage != "main text"]
    for label, part in (("all but main text", chosen), ("all", pairs)):
        one, other = total([p[0] for p in part]), total([p[1] for p in part])
        pages = pairs[0][0].pages
        lines.append(
            f"| {label} | | | {pages} | {cell(one, pages)} | {cell(other, pages)} "
            f"| {ratio(one, other)} |"
        )
    return "\n".join(lines)


def pipeline_table(outcomes: dict[str, Outcome]) -> str:
    """A row a side."""
    lines = [
        "| | pages | kept | CPU ms/page | wall ms/page | pages/s per core | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, name in (("Corpusmill", "ours-pipeline"), ("datatrove", "theirs-pipeline")):
        outcome = outcomes[name]
        (run,) = outcome.stages
        lines.append(
            f"| {label} | {run.pages} | {run.results['kept']} "
            f"| {1000 * run.cpu_seconds / run.pages:.1f} "
            f"| {1000 * run.wall_seconds / run.pages:.1f} "
            f"| {run.pages / run.cpu_seconds:.1f} | {outcome.peak_rss_bytes / 2**20:.0f} MiB |"
        )
    return "\n".join(lines)


def total(stages: list[Measured]) -> Measured:
    """The stages added up."""
    cpu = sum(s.cpu_seconds for s in stages)
    return Measured("total", stages[0].pages, cpu, sum(s.wall_seconds for s in stages))


def cell(measured: Measured, pages: int) -> str:
    """CPU milliseconds a page, wall-clock beside it."""
    return f"{_ms(measured.cpu_seconds, pages)} ({_ms(measured.wall_seconds, pages)})"


def _ms(seconds: float, pages: int) -> str:
    return f"{1000 * seconds / pages:.2f}"


def ratio(one: Measured, other: Measured) -> str:
    """How many times the CPU time of ours theirs is."""
    return f"{other.cpu_seconds / one.cpu_seconds:.1f}"


def listed(versions: dict[str, str]) -> str:
    """`name version, ...`."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def machine() -> str:
    """Processor, cores, memory, system; no names of hosts or paths."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"
