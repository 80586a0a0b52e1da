"""What the benchmark of extractors has measured, as its report and `--json` take it."""

from dataclasses import dataclass, field
from typing import Any

#: Names of the two rows of `blocks` in the tables of quality.
HELD_OUT, SEEN = "blocks, other sites' models", "blocks, shipped: trained on these pages"


@dataclass
class Results:
    """All that was measured."""

    command: str
    machine: str
    versions: dict[str, str]
    archives: list[str]
    #: Of the timed pages: their archive, `pages`, mean `bytes`, `rounds`.
    timed: dict[str, Any] = field(default_factory=dict)
    #: CPU milliseconds of each timed page, the median of the rounds, by engine; in page order.
    times: dict[str, list[float]] = field(default_factory=dict)
    #: CPU milliseconds a page over all archives, in the first round, by engine.
    times_all: dict[str, float] = field(default_factory=dict)
    pages_all: int = 0
    #: Kinds of errors by record id, by engine.
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Pages behind the columns of quality.
    counts: dict[str, int] = field(default_factory=dict)
    #: `bench_quality.summary` by row.
    quality: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: CPU milliseconds a body by engine and bodies a page.
    growth: dict[str, dict[int, float]] = field(default_factory=dict)
    #: `start` and `peak` in bytes by engine.
    memory: dict[str, dict[str, int]] = field(default_factory=dict)
