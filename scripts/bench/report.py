"""Write the benchmark's page from what the two sides measured.

Refuses to put two numbers in one row that do not come from equally many pages.
"""

import platform
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scripts.bench.measure import DROPPING, STAGES, Measured, Outcome
from scripts.reference import machine, versions

TEMPLATE = Path(__file__).with_name("template.md")
Outcomes = dict[str, list[Outcome]]
#: What issues 3 and 6 ask of the whole line: pages per CPU second, as a multiple of datatrove's;
#: None: nothing.
ASKED: dict[tuple[str, str], float | None] = {
    ("trafilatura", "first"): 2.5,
    ("trafilatura", "all"): 3.5,
    ("blocks", "first"): 8.0,
    ("blocks", "all"): None,
    ("resiliparse", "first"): 12.0,
    ("resiliparse", "all"): 12.0,
}
#: And of all that is no extraction: milliseconds a page, and the multiple.
REST_MS, REST_RATIO = 4.0, 12.0


@dataclass(frozen=True)
class Rounds:
    """One stage on one side: pages, and CPU seconds of every round."""

    pages: int
    cpu: list[float]

    @property
    def median(self) -> float:
        """Seconds of the middle round."""
        return median(self.cpu)


Pair = tuple[Rounds | None, Rounds | None]


def write_report(
    archives: list[str], lists: str, outcomes: Outcomes, command: str = "make bench"
) -> str:
    """The page as Markdown. Raises ValueError where the pages of sides or rounds differ."""
    ours, theirs = outcomes["ours-stages-stages"][0], outcomes["theirs-stages-stages"][0]
    pairs = stage_pairs(outcomes["ours-stages-stages"], outcomes["theirs-stages-stages"])
    return TEMPLATE.read_text().format(
        command=command,
        first=archives[0],
        archives=", ".join(archives),
        lists=lists,
        machine=machine(),
        rounds=len(outcomes["ours-stages-stages"]),
        pages=ours.stages[0].pages,
        texts=of_stage(ours, "language").pages,
        their_text=of_stage(theirs, "main text").results["with text"],
        first_rounds=len(outcomes["theirs-pipeline-first"]),
        all_rounds=len(outcomes.get("theirs-pipeline-all", ())),
        stages=stage_table(pairs),
        stage_memory=stage_memory(outcomes),
        lines=line_table(outcomes),
        left=left_table(outcomes),
        workers=worker_table(outcomes["workers"][0]),
        datatrove=theirs.versions["datatrove"],
        our_trafilatura=ours.versions["trafilatura"],
        their_trafilatura=theirs.versions["trafilatura"],
        python=platform.python_version(),
        our_versions=versions(ours.versions),
        their_versions=versions(theirs.versions),
    )


def of_stage(outcome: Outcome, name: str) -> Measured:
    """A stage's result by name."""
    return next(stage for stage in outcome.stages if stage.stage == name)


def stage_pairs(ours: list[Outcome], theirs: list[Outcome]) -> dict[str, Pair]:
    """Stage by stage, ours and theirs; None where datatrove has no block of its own for it."""
    pairs: dict[str, Pair] = {}
    for stage in STAGES:
        peer = "main text" if stage.name.startswith("main text") else stage.name
        mine = [of_stage(outcome, stage.name) for outcome in ours]
        other = [of_stage(outcome, peer) for outcome in theirs] if stage.block else []
        if len({m.pages for m in (*mine, *other)}) != 1:
            raise ValueError(f"{stage.name}: these do not compare: {mine} {other}")
        pairs[stage.name] = (rounds(mine), rounds(other) if other else None)
    return pairs


def rounds(measured: list[Measured]) -> Rounds:
    """All rounds of one stage."""
    return Rounds(measured[0].pages, [one.cpu_seconds for one in measured])


def stage_table(pairs: dict[str, Pair]) -> str:
    """A row a stage, then the sums over the line's pages."""
    lines = [
        "| stage | step | block | pages | ours | datatrove | datatrove / ours | asked for |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for stage in STAGES:
        block = f"`{stage.block}`" if stage.block else "no block of its own"
        lines.append(row(f"{stage.name} | `{stage.step}` | {block}", pairs[stage.name]))
    extraction = pairs["main text, trafilatura"]
    rest = (total(pairs, 0), total(pairs, 1))
    label = "**all but extraction** | |"
    lines.append(row(label, rest, f"at most {REST_MS:g} ms, {REST_RATIO:g}"))
    # Decoding is a part of the main text step.
    decoding = pairs["decoding"][0]
    whole = tuple(plus(one, other) for one, other in zip(rest, extraction, strict=True))
    assert decoding is not None
    assert whole[0] is not None
    whole_ours = plus(whole[0], Rounds(decoding.pages, [-cpu for cpu in decoding.cpu]))
    lines.append(row("all, with trafilatura | |", (whole_ours, whole[1])))
    return "\n".join(lines)


def total(pairs: dict[str, Pair], side: int) -> Rounds | None:
    """The stages that are no extraction added up, round by round, on the pages of reading."""
    found: Rounds | None = pairs["reading"][side]
    for stage in STAGES[1:]:
        if stage.is_rest:
            found = plus(found, pairs[stage.name][side])
    return found


def plus(one: Rounds | None, other: Rounds | None) -> Rounds | None:
    """Added up round by round, on the pages of the first."""
    if one is None or other is None:
        return one
    return Rounds(one.pages, [a + b for a, b in zip(one.cpu, other.cpu, strict=True)])


def row(label: str, pair: Pair, asked: str = "") -> str:
    """Pages, both sides, and how many times the CPU time of ours theirs is."""
    one, other = pair
    assert one is not None
    if other is None:
        return f"| {label} | {one.pages} | {cell(one)} | | | {asked} |"
    ratio = other.median / one.median
    return f"| {label} | {one.pages} | {cell(one)} | {cell(other)} | {ratio:.1f} | {asked} |"


def cell(rounds: Rounds) -> str:
    """CPU milliseconds a page: the median, the least and the most of the rounds."""
    middle = _ms(rounds.median, rounds.pages)
    if len(rounds.cpu) == 1:
        return middle
    low, high = (_ms(seconds, rounds.pages) for seconds in (min(rounds.cpu), max(rounds.cpu)))
    return f"{middle} ({low} to {high})"


def _ms(seconds: float, pages: int) -> str:
    return f"{1000 * seconds / pages:.2f}"


def line_table(outcomes: Outcomes) -> str:
    """A row an engine and set of archives."""
    lines = [
        (
            "| our engine | archives | pages | ours, CPU ms a page | datatrove, with trafilatura "
            "| ours, pages a CPU second | datatrove | ratio | asked for | our start | theirs "
            "| our memory | theirs |"
        ),
        "|---" * 13 + "|",
    ]
    for (engine, pages), asked in ASKED.items():
        if f"theirs-pipeline-{pages}" not in outcomes:
            continue
        ours, theirs = (
            outcomes[f"ours-pipeline-{engine}-{pages}"],
            outcomes[f"theirs-pipeline-{pages}"],
        )
        counts = {of_stage(outcome, "pipeline").pages for outcome in (*ours, *theirs)}
        if len(counts) != 1:
            raise ValueError(f"{engine}, {pages}: these do not compare: {counts} pages")
        one, other = (rounds([of_stage(o, "pipeline") for o in side]) for side in (ours, theirs))
        starts = [
            median(of_stage(o, "start-up").cpu_seconds for o in side) for side in (ours, theirs)
        ]
        speeds = [r.pages / r.median for r in (one, other)]
        own, child = peak(theirs)
        wanted = "" if asked is None else f"{asked:g}"
        lines.append(
            f"| {engine} | {pages} | {one.pages} | {cell(one)} | {cell(other)} | {speeds[0]:.1f} "
            f"| {speeds[1]:.1f} | **{speeds[0] / speeds[1]:.1f}** | {wanted} | {starts[0]:.1f} s "
            f"| {starts[1]:.1f} s | {peak(ours)[0]} | {own}, child {child} |"
        )
    return "\n".join(lines)


def peak(side: list[Outcome]) -> list[str]:
    """The largest resident sets of a side's process and of its children, over the rounds."""
    peaks = zip(*(outcome.peak_rss_bytes for outcome in side), strict=True)
    return [f"{max(sizes) / 2**20:.0f} MiB" for sizes in peaks]


def stage_memory(outcomes: Outcomes) -> str:
    """Peak memory of the processes that ran all stages."""
    ours, theirs = (peak(outcomes[f"{side}-stages-stages"]) for side in ("ours", "theirs"))
    return f"ours {ours[0]}; datatrove {theirs[0]}, its sandbox {theirs[1]}"


def worker_table(outcome: Outcome) -> str:
    """Memory of a worker of each service, before its first task and at most."""
    lines = ["| service: steps of its stage | loaded | at most |", "|---|---|---|"]
    for stage in outcome.stages:
        loaded, most = (stage.results[name] / 2**20 for name in ("warm", "peak"))
        lines.append(f"| {stage.stage.replace('+', ', ')} | {loaded:.0f} MiB | {most:.0f} MiB |")
    return "\n".join(lines)


def left_table(outcomes: Outcomes) -> str:
    """What each side keeps, rule group by rule group."""
    lines = [
        "| | archives | pages | " + " | ".join(f"after {name}" for name in DROPPING) + " |",
        "|---" * (3 + len(DROPPING)) + "|",
    ]
    for pages in ("first", "all"):
        if f"theirs-pipeline-{pages}" not in outcomes:
            continue
        sides = [
            (f"ours, {e}", outcomes[f"ours-pipeline-{e}-{pages}"]) for e, p in ASKED if p == pages
        ]
        for label, side in (*sides, ("datatrove", outcomes[f"theirs-pipeline-{pages}"])):
            run = of_stage(side[0], "pipeline")
            left = " | ".join(str(run.results[name]) for name in DROPPING)
            lines.append(f"| {label} | {pages} | {run.pages} | {left} |")
    return "\n".join(lines)
