"""The two sides of a replaced engine, and how their documents differ."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, median

from scripts.extractor.bench_quality import evaluation


@dataclass(frozen=True)
class Document:
    """What a recipe makes of a page."""

    record_id: str
    #: The rule that drops it, the step where it failed; None: kept.
    rule: str | None
    #: The main text; None where a rule before the extraction drops the page.
    text: str | None


@dataclass(frozen=True)
class Side:
    """A recipe with one engine."""

    engine: str
    #: All rules, in the recipe's order.
    rules: list[str]
    documents: dict[str, Document]


@dataclass(frozen=True)
class Kept:
    """What a side keeps. Characters are of the main text, before steps cut lines or spans."""

    engine: str
    documents: int
    characters: int
    mean_length: float
    median_length: float
    #: Documents that each rule drops, or that fail in a step.
    dropped: dict[str, int]


@dataclass(frozen=True)
class Change:
    """What the replacement does to one recipe."""

    documents: int
    own: Kept
    other: Kept
    #: The rules of both sides, in order.
    rules: list[str]
    kept_by_both: int
    #: Kept before, now dropped: how many by which rule.
    lost: dict[str, int]
    #: Dropped before, now kept: by which rule they were dropped.
    gained: dict[str, int]
    #: Documents that both sides extract, with a text on one at least.
    compared: int
    #: Token F1 between the two texts: mean, and how many documents are below some values.
    f1: float
    below: dict[str, int]


def change(own: Side, other: Side, languages: dict[str, str]) -> Change:
    """Compare document by document. Raises ValueError where the sides hold different ones."""
    if own.documents.keys() != other.documents.keys():
        raise ValueError(f"{own.engine} and {other.engine} saw different documents")
    pairs = [(one, other.documents[key]) for key, one in own.documents.items()]
    found = [
        value for value in (agreement(*pair, languages) for pair in pairs) if value is not None
    ]
    return Change(
        documents=len(pairs),
        own=kept(own),
        other=kept(other),
        rules=own.rules,
        kept_by_both=sum(a.rule is None and b.rule is None for a, b in pairs),
        lost=counted(b.rule for a, b in pairs if a.rule is None),
        gained=counted(a.rule for a, b in pairs if b.rule is None),
        compared=len(found),
        f1=mean(found) if found else 0.0,
        below={f"{limit:g}": sum(f < limit for f in found) for limit in (0.5, 0.8, 0.95)},
    )


def counted(rules: Iterable[str | None]) -> dict[str, int]:
    """How often each rule is named, the most frequent first."""
    return dict(Counter(rule for rule in rules if rule is not None).most_common())


def kept(side: Side) -> Kept:
    """Documents and characters that a side keeps."""
    lengths = [len(d.text or "") for d in side.documents.values() if d.rule is None]
    return Kept(
        side.engine,
        len(lengths),
        sum(lengths),
        mean(lengths) if lengths else 0.0,
        median(lengths) if lengths else 0.0,
        counted(d.rule for d in side.documents.values()),
    )


def agreement(one: Document, other: Document, languages: dict[str, str]) -> float | None:
    """F1 of the two texts as the evaluation counts it; None where there is nothing to compare."""
    if not (one.text or other.text) or one.text is None or other.text is None:
        return None
    tool, language = evaluation(), languages.get(one.record_id, "en")
    f1: float = tool.prf(*(tool.grams(d.text, language) for d in (one, other)))[2]
    return f1
