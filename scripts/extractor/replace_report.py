"""What a replaced engine changes, as the Markdown of docs/extraction.md."""

from pathlib import Path

from scripts.extractor.bench_report import table
from scripts.extractor.replace_sides import Change, Kept
from scripts.results.run import percent

TEMPLATE = Path(__file__).with_name("replace.md")


def write_report(changes: dict[str, Change], engine: str, archives: list[str]) -> str:
    """A table over all recipes, then rule by rule."""
    return TEMPLATE.read_text().format(
        given="" if engine == "blocks" else f" --engine {engine}",
        engine=engine,
        archives=", ".join(archives),
        totals=table(TOTALS, [totals(name, one) for name, one in changes.items()]),
        chapters="\n\n".join(chapter(name, one) for name, one in changes.items()),
    )


TOTALS = (
    *("recipe", "engines", "documents", "kept", "kept by both", "only before", "only now"),
    *("characters kept", "characters a kept document", "F1 of the texts", "F1 below .5, .8, .95"),
)


def totals(name: str, one: Change) -> tuple[str, ...]:
    """One recipe's row."""
    return (
        f"`{name}`",
        f"{one.own.engine} → {one.other.engine}",
        f"{one.documents:,}",
        both(one.own.documents, one.other.documents),
        f"{one.kept_by_both:,}",
        f"{sum(one.lost.values()):,}",
        f"{sum(one.gained.values()):,}",
        both(one.own.characters, one.other.characters),
        both(one.own.mean_length, one.other.mean_length),
        f"{one.f1:.3f}",
        ", ".join(percent(count, one.compared) for count in one.below.values()),
    )


def both(before: float, now: float) -> str:
    """Before, now, and the difference in percent."""
    difference = f" ({100 * (now - before) / before:+.1f} %)" if before else ""
    return f"{before:,.0f} → {now:,.0f}{difference}"


def chapter(name: str, one: Change) -> str:
    """Rule by rule."""
    named = {*one.own.dropped, *one.other.dropped}
    rules = [rule for rule in one.rules if rule in named]
    rules += sorted(named - set(rules))  # steps in which documents failed
    rows = [
        (f"`{rule}`", *(dropped(side, rule) for side in (one.own, one.other)), *moved(one, rule))
        for rule in rules
    ]
    head = (
        *("rule", f"drops with {one.own.engine}", f"with {one.other.engine}"),
        *("drops what was kept", "dropped what is kept now"),
    )
    return f"### {name}\n\n{table(head, rows)}"


def dropped(side: Kept, rule: str) -> str:
    """Documents."""
    return f"{side.dropped.get(rule, 0):,}"


def moved(one: Change, rule: str) -> tuple[str, str]:
    """Documents whose verdict changes at this rule, either way."""
    return str(one.lost.get(rule, "")), str(one.gained.get(rule, ""))
