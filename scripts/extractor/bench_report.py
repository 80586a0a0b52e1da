"""The benchmark's part of docs/extraction.md, as Markdown."""

import math
import platform
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, median

from scripts.extractor.bench_engines import REFERENCE, Engine
from scripts.extractor.bench_growth import BODIES, SIZES, exponent
from scripts.extractor.bench_memory import NONE
from scripts.extractor.bench_quality import MIN_PAGES, TYPES
from scripts.extractor.bench_results import SEEN, Results
from scripts.reference import versions

TEMPLATE = Path(__file__).with_name("bench.md")


def write_report(results: Results, engines: list[Engine]) -> str:
    """All tables."""
    return TEMPLATE.read_text().format(
        command=results.command,
        machine=results.machine,
        python=platform.python_version(),
        versions=versions(results.versions),
        archives=", ".join(results.archives),
        timed=results.timed,
        pages_all=results.pages_all,
        counts=results.counts,
        min_pages=MIN_PAGES,
        seen=seen_note(results),
        bodies=BODIES,
        calls="\n".join(f"- {engine.name}: {engine.call}" for engine in engines),
        cost=cost_table(results),
        quality=quality_table(results),
        types=type_table(results),
        sources=source_table(results),
        growth=growth_table(results),
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A first column of names, then numbers."""
    names = list(head)
    lines = [f"| {' | '.join(names)} |", "|---" + "|--:" * (len(names) - 1) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def cost_table(results: Results) -> str:
    """A row an engine: time on the first archive, and memory."""
    head = ("engine", "mean", "p50", "p99", "max", "times faster", "all archives", "errors")
    reference = mean(results.times[REFERENCE]) if REFERENCE in results.times else None
    rows = []
    for name, times in results.times.items():
        faster = f"{reference / mean(times):.1f}" if reference else ""
        rows.append(
            (
                name,
                *(f"{ms:.2f}" for ms in (mean(times), median(times), quantile(times, 0.99))),
                f"{max(times):.0f}",
                faster,
                f"{results.times_all[name]:.2f}",
                str(len(results.errors[name])),
                *(f"{results.memory[name][key] / 2**20:.0f}" for key in ("start", "peak")),
            )
        )
    alone = (f"{results.memory[NONE][key] / 2**20:.0f}" for key in ("start", "peak"))
    rows.append(("none: reading, decoding", *[""] * 7, *alone))
    return table((*head, "memory at start, MiB", "at most"), rows)


def quantile(values: list[float], share: float) -> float:
    """The least value that so many are not above."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def quality_table(results: Results) -> str:
    """A row an engine: the headline."""
    head = (
        *("engine", "macro F1", "95 %", f"minus {REFERENCE}, 95 %", "page mean", "P", "R"),
        *("Chinese", "`with`", "`without`", "empty"),
    )
    rows = []
    for name, found in results.quality.items():
        values = ("page_mean", "precision", "recall", "chinese", "with", "without")
        rows.append(
            (
                name,
                three(found["macro"]),
                interval(found["macro_interval"], ".3f"),
                "" if name == REFERENCE else interval(found["difference_interval"], "+.3f"),
                *(three(found[value]) for value in values),
                f"{100 * found['empty']:.1f} %",
            )
        )
    return table(head, rows)


def interval(ends: tuple[float, float] | None, form: str) -> str:
    """From where to where."""
    return " to ".join(format(end, form) for end in ends or ())


def three(value: float | None) -> str:
    """Three decimals, without the 0."""
    return "" if value is None else f"{value:.3f}".removeprefix("0")


def type_table(results: Results) -> str:
    """F1 by page type, pages with full gold."""
    head = ("engine", *(f"{name} ({results.counts[name]})" for name in TYPES))
    rows = [
        (name, *(three(found["types"][t]) for t in TYPES))
        for name, found in results.quality.items()
    ]
    return table(head, rows)


def source_table(results: Results) -> str:
    """F1 by source of the gold, or what its kind has of it."""
    sources = next(iter(results.quality.values()))["sources"]
    rows = []
    for source, first in sources.items():
        measure = measure_of(first["kind"])
        label = f"{source}, {first['n']} pages: {measure}"
        values = (found["sources"][source][measure] for found in results.quality.values())
        rows.append((label, *(three(value) for value in values)))
    return table(("source of the gold", *results.quality), rows)


def measure_of(kind: str) -> str:
    """The number that a kind of gold gives (the evaluation's names)."""
    if kind in ("full", "regression"):
        return "F1"
    return "snipF1" if kind == "segments" else "partR"


def growth_table(results: Results) -> str:
    """A row an engine: milliseconds a body by bodies a page."""
    head = ("engine", *(f"{size} a page" for size in SIZES), "grows as size to the")
    rows = [
        (name, *(f"{times[size]:.2f}" for size in SIZES), f"{exponent(times):.2f}")
        for name, times in results.growth.items()
    ]
    return table(head, rows)


def seen_note(results: Results) -> str:
    """What has to be known about the rows of `blocks`."""
    if SEEN not in results.quality:
        return ""
    return (
        f'\n**"{SEEN}" says nothing about quality on other pages**: the shipped model has'
        " learned from these. What counts is the row of the models that a site-wise"
        " cross-validation trained without the page's site.\n"
    )
