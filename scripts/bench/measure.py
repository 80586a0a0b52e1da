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
from typing import Any, Literal, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")
PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
#: Pages and texts that every stage has seen before its clock starts (models and lists loaded, loops
#: compiled).
WARM_UP = 8
#: The engines of `extraction.main_text_v1`; datatrove's Trafilatura is measured beside each.
ENGINES = ("trafilatura", "blocks", "resiliparse", "justext")


@dataclass(frozen=True)
class Stage:
    """A stage, our step, and the block of datatrove that does the same; "" where it has none."""

    name: str
    step: str
    block: str
    #: Goes over the archive's pages, or over the texts that our trafilatura finds in them.
    over: Literal["pages", "texts"]
    #: Part of the line from archive to filtered text that is no extraction.
    is_rest: bool = False


#: In the order of the line. Main text by other engines and MinHash are no part of it.
STAGES = (
    Stage("reading", "extraction.records_v1", "WarcReader", "pages", is_rest=True),
    Stage("decoding", "a part of extraction.main_text_v1", "", "pages", is_rest=True),
    Stage("URL rules", "extraction.url_filter_v1", "URLFilter", "pages", is_rest=True),
    Stage("language pre-check", "extraction.precheck_v1", "", "pages"),
    *(
        Stage(f"main text, {engine}", "extraction.main_text_v1", "Trafilatura", "pages")
        for engine in ENGINES
    ),
    Stage("language", "langid.fasttext_v1", "LanguageFilter", "texts", is_rest=True),
    Stage(
        "Gopher repetition",
        "quality.gopher_repetition_v1",
        "GopherRepetitionFilter",
        "texts",
        is_rest=True,
    ),
    Stage(
        "Gopher quality", "quality.gopher_quality_v1", "GopherQualityFilter", "texts", is_rest=True
    ),
    Stage("line corrections", "quality.line_corrections_v1", "", "texts", is_rest=True),
    Stage("C4", "quality.c4_quality_v1", "C4QualityFilter", "texts", is_rest=True),
    Stage("FineWeb", "quality.fineweb_quality_v1", "FineWebQualityFilter", "texts", is_rest=True),
    Stage("writing", "Parquet, all columns", "JsonlWriter", "texts", is_rest=True),
    Stage("MinHash signature", "dedup.minhash_v1", "MinhashDedupSignature", "texts"),
)

#: Stages of the whole line after which the pages that are left are compared.
DROPPING = ("URL rules", "language", "Gopher repetition", "Gopher quality", "C4", "FineWeb")


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

    def save(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Outcome":
        """As saved."""
        raw: dict[str, Any] = json.loads(path.read_text())
        return cls(**{**raw, "stages": [Measured(**s) for s in raw["stages"]]})


@dataclass(frozen=True)
class Pages:
    """A folder of archives in which every record is a page to both sides; beside it, lists."""

    folder: Path

    @property
    def archives(self) -> list[Path]:
        """In the order in which both sides read them."""
        return sorted(self.folder.glob("*.warc.gz"))

    @property
    def count(self) -> int:
        """How many pages."""
        return int((self.folder / "count").read_text())

    @property
    def warm(self) -> "Pages":
        """A few pages, for the start of a process."""
        return Pages(self.folder.parent / "warm")

    def lists(self, side: str) -> Any:
        """The URL filter's lists, as parameters of that side's filter."""
        return json.loads((self.folder.parent / f"{side}-lists.json").read_text())


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
