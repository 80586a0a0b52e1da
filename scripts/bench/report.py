"""Write the benchmark's page from what the two sides measured.

Refuses to put two numbers in one row that do not come from equally many pages.
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measure import ALPHABETIC, STAGES, Outcome

TEMPLATE = Path(__file__).with_name("template.md")


@dataclass(frozen=True)
class Rounds:
    """One stage on one side: pages, and CPU seconds of every round."""

    pages: int
    cpu: list[float]

    @property
    def median(self) -> float:
        """Seconds of the middle round."""
        return median(self.cpu)


def write_report(archive: str, outcomes: dict[str, list[Outcome]]) -> str:
    """The page as Markdown. Raises ValueError where the pages of sides or rounds differ."""
    ours, theirs = outcomes["ours-stages"][0], outcomes["theirs-stages"][0]
    pairs = stage_pairs(outcomes["ours-stages"], outcomes["theirs-stages"])
    (our_run,), (their_run,) = (outcomes[f"{s}-pipeline"][0].stages for s in ("ours", "theirs"))
    return TEMPLATE.read_text().format(
        archive=archive,
        machine=machine(),
        rounds=len(outcomes["ours-stages"]),
        pages=pairs[0][0].pages,
        texts=pairs[-1][0].pages,
        their_text=theirs.stages[1].results["with text"],
        our_alpha=our_run.results[ALPHABETIC],
        their_alpha=their_run.results[ALPHABETIC],
        stages=stage_table(pairs),
        pipeline=pipeline_table(outcomes),
        datatrove=theirs.versions["datatrove"],
        our_trafilatura=ours.versions["trafilatura"],
        their_trafilatura=theirs.versions["trafilatura"],
        python=platform.python_version(),
        our_versions=listed(ours.versions),
        their_versions=listed(theirs.versions),
    )


def stage_pairs(ours: list[Outcome], theirs: list[Outcome]) -> list[tuple[Rounds, Rounds]]:
    """Stage by stage, ours and theirs."""
    pairs = []
    for position, (name, _, _) in enumerate(STAGES):
        measured = [[o.stages[position] for o in side] for side in (ours, theirs)]
        if len({(m.stage, m.pages) for side in measured for m in side}) != 1:
            raise ValueError(f"{name}: these do not compare: {measured}")
        one, other = (Rounds(s[0].pages, [m.cpu_seconds for m in s]) for s in measured)
        pairs.append((one, other))
    return pairs


def stage_table(pairs: list[tuple[Rounds, Rounds]]) -> str:
    """A row a stage, then the sums over all pages of the archive."""
    lines = [
        "| stage | step | block | pages | ours | datatrove | datatrove / ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, step, block), pair in zip(STAGES, pairs, strict=True):
        lines.append(row(f"{name} | `{step}` | `{block}`", pair))
    for label, part in (("all but main text", [pairs[0], *pairs[2:]]), ("all", pairs)):
        one, other = (total([pair[side] for pair in part]) for side in (0, 1))
        lines.append(row(f"{label} | |", (one, other)))
    return "\n".join(lines)


def row(label: str, pair: tuple[Rounds, Rounds]) -> str:
    """Pages, both sides, and how many times the CPU time of ours theirs is."""
    one, other = pair
    ratio = other.median / one.median
    return f"| {label} | {one.pages} | {cell(one)} | {cell(other)} | {ratio:.1f} |"


def total(stages: list[Rounds]) -> Rounds:
    """The stages added up, round by round, on the pages of the first."""
    return Rounds(stages[0].pages, [sum(cpu) for cpu in zip(*(s.cpu for s in stages), strict=True)])


def cell(rounds: Rounds) -> str:
    """CPU milliseconds a page: the median, the least and the most of the rounds."""
    low, high = (_ms(seconds, rounds.pages) for seconds in (min(rounds.cpu), max(rounds.cpu)))
    return f"{_ms(rounds.median, rounds.pages)} ({low} to {high})"


def _ms(seconds: float, pages: int) -> str:
    return f"{1000 * seconds / pages:.2f}"


def pipeline_table(outcomes: dict[str, list[Outcome]]) -> str:
    """A row a side."""
    kept = [name for name, _, _ in STAGES[1:-1]]
    left = " | ".join(f"left by {name}" for name in kept)
    lines = [
        f"| | pages | CPU ms/page | wall ms/page | pages/s per core | peak memory | {left} |",
        "|---" * (6 + len(kept)) + "|",
    ]
    for label, side in (("Corpusmill", "ours"), ("datatrove", "theirs")):
        runs = [outcome.stages[0] for outcome in outcomes[f"{side}-pipeline"]]
        peaks = zip(*(o.peak_rss_bytes for o in outcomes[f"{side}-pipeline"]), strict=True)
        own, child = (f"{max(sizes) / 2**20:.0f} MiB" for sizes in peaks)
        cpu = Rounds(runs[0].pages, [run.cpu_seconds for run in runs])
        wall = _ms(median(run.wall_seconds for run in runs), cpu.pages)
        memory = f"{own}, child {child}" if side == "theirs" else own
        lines.append(
            f"| {label} | {cpu.pages} | {cell(cpu)} | {wall} | {cpu.pages / cpu.median:.1f} "
            f"| {memory} | {' | '.join(str(runs[0].results[name]) for name in kept)} |"
        )
    return "\n".join(lines)


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
