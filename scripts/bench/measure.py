"""What both sides of the benchmark share: the clock, the stages, the form of a result.

Only the standard library: the two sides run in environments that have nothing else in common.
"""

import json
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")

#: Stages in their order, each with the step of ours that does what datatrove's block does.
STAGES = (
    ("reading", "extraction.records_v1", "WarcReader"),
    ("main text", "extraction.main_text_v1", "Trafilatura"),
    ("language", "langid.fasttext_v1", "LanguageFilter"),
    ("Gopher repetition", "quality.gopher_repetition_v1", "GopherRepetitionFilter"),
    ("Gopher quality", "quality.gopher_quality_v1", "GopherQualityFilter"),
    ("MinHash signature", "dedup.minhash_v1", "MinhashDedupSignature"),
)
#: A result of the whole pipeline: where the sides differ most, and why.
ALPHABETIC = "dropped by alphabetic words"
PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
#: Texts that every stage has seen before its clock starts (models loaded, loops compiled).
WARM_UP = 8


def cpu_seconds() -> float:
    """User and system time of this process and of the children that have ended.

    Not `time.process_time`: that leaves out datatrove's sandbox process, which does its extraction.
    """
    usages = (resource.getrusage(who) for who in PROCESSES)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass
class Measured:
    """One stage on one side. `pages` went in, `results` is what the stage says came of them."""

    stage: str
    pages: int
    cpu_seconds: float
    wall_seconds: float
    results: dict[str, int] = field(default_factory=dict)


@dataclass
class Outcome:
    """What a side writes for the other end to read."""

    versions: dict[str, str]
    stages: list[Measured]
    peak_rss_bytes: list[int] = field(default_factory=list)
    page_ids: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Outcome":
        """As saved."""
        raw: dict[str, Any] = json.loads(path.read_text())
        return cls(**{**raw, "stages": [Measured(**s) for s in raw["stages"]]})


def timed(stage: str, pages: int, work: Callable[[], Result]) -> tuple[Measured, Result]:
    """Run `work` once and say what it took."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    result = work()
    return Measured(stage, pages, cpu_seconds() - cpu, time.perf_counter() - wall), result


def timed_in_turn(
    stages: Sequence[str], pieces: Iterable[Piece], works: Sequence[Callable[[Piece], Result]]
) -> tuple[list[Measured], list[list[Result]]]:
    """Give each piece to every stage before the next piece, and add up by stage.

    As in a real run: both sides remember the words of the last text for the stage that follows, and
    with one stage after the other over all pieces each stage would have to find them again.
    """
    totals = [Measured(stage, 0, 0.0, 0.0) for stage in stages]
    results: list[list[Result]] = [[] for _ in stages]
    for piece in pieces:
        for total, found, work in zip(totals, results, works, strict=True):
            measured, result = timed(total.stage, 0, partial(work, piece))
            total.cpu_seconds += measured.cpu_seconds
            total.wall_seconds += measured.wall_seconds
            found.append(result)
    return totals, results


def peak_rss_bytes() -> list[int]:
    """The largest resident set of this process, and of its largest child that has ended.

    A forked child counts the pages that it shares with its parent, so the two do not add up.
    """
    return [resource.getrusage(who).ru_maxrss * 1024 for who in PROCESSES]  # Linux counts in KiB
