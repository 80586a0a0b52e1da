"""What both sides of the parity check share: the rules, the documents, the form of a result.

Only the standard library: the two sides run in environments that have nothing else in common.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

#: What becomes of a document: kept or not, or the digest of the text that is left of it; None where
#: the side raises.
Decision: TypeAlias = bool | str | None
Value: TypeAlias = float | str | None
DROPPED = "dropped"

URL, LANGUAGE, REPETITION, QUALITY, C4, FINEWEB, PII = (
    "URL filter",
    "language",
    "Gopher repetition",
    "Gopher quality",
    "C4",
    "FineWeb",
    "PII",
)
#: The least share of documents with the same decision, rule by rule.
FLOORS = dict.fromkeys((URL, LANGUAGE, FINEWEB, PII), 1.0)
FLOORS |= dict.fromkeys((REPETITION, QUALITY, C4), 0.995)
#: A group's last rule: the block as a whole.
WHOLE = "whole"
#: Every rule by group, in datatrove's order. Ours has the same names in its recipe's keep rules.
RULES: dict[str, tuple[str, ...]] = {
    URL: ("domain", "url", "hard_words", "soft_words", "strict_words", WHOLE),
    LANGUAGE: ("label", WHOLE),
    REPETITION: (
        "dup_para_frac",
        "dup_para_char_frac",
        "dup_line_frac",
        "dup_line_char_frac",
        "top_2_gram",
        "top_3_gram",
        "top_4_gram",
        "dup_5_gram",
        "dup_6_gram",
        "dup_7_gram",
        "dup_8_gram",
        "dup_9_gram",
        "dup_10_gram",
        WHOLE,
    ),
    QUALITY: (
        "words_min",
        "words_max",
        "word_length_min",
        "word_length_max",
        "hash_ratio",
        "ellipsis_ratio",
        "bullet_lines",
        "ellipsis_lines",
        "alpha_words",
        "stop_words",
        WHOLE,
    ),
    C4: (
        "long_word",
        "citations",
        "terminal_punct",
        "few_words",
        "lorem_ipsum",
        "javascript",
        "curly_bracket",
        "policy",
        "sentences",
        "bad_words",
        "paragraphs",
        "without_terminal_punct",
        WHOLE,
    ),
    FINEWEB: ("line_punct", "short_lines", "dup_lines", "newlines", WHOLE),
    PII: ("emails", "ips", WHOLE),
}
#: The options of datatrove's URLFilter that take the lists.
URL_OPTIONS = {
    "domain": "extra_domains",
    "url": "extra_urls",
    "hard_words": "banned_words",
    "soft_words": "soft_banned_words",
    "strict_words": "banned_subwords",
}
#: How each side segments a text or a URL: no rules, but where differences of rules come from.
EVIDENCE = ("words", "sentences", "registered_domain")


@dataclass(frozen=True)
class Document:
    """One document. Those of the URL rules and those of the text rules are two lists."""

    id: str
    content: str


@dataclass(frozen=True)
class Inputs:
    """What both sides get: documents, and the files of the URL and bad-word lists by class."""

    texts: list[Document]
    urls: list[Document]
    lists: dict[str, list[str]]
    model: str
    bad_words: str | None = None

    def save(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Inputs":
        """As saved."""
        raw = json.loads(path.read_text())
        for kind in ("texts", "urls"):
            raw[kind] = [Document(**document) for document in raw[kind]]
        return cls(**raw)


@dataclass
class Column:
    """What one side says under one rule, document by document."""

    decisions: list[Decision] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    #: Documents that the rule drops or changes.
    hits: int = 0

    def add(self, decision: Decision, value: Value = None, *, changed: bool = False) -> None:
        """The next document's; `changed`: it stays, with another text."""
        self.decisions.append(decision)
        self.values.append(value)
        self.hits += changed or decision in (False, DROPPED)


@dataclass
class Side:
    """All that one side says: a column a rule (`group: rule`), the evidence, its versions."""

    versions: dict[str, str]
    rules: dict[str, Column] = field(default_factory=dict)
    evidence: dict[str, list[str]] = field(default_factory=dict)

    def column(self, group: str, rule: str) -> Column:
        """The column of a rule, empty at first."""
        if rule not in RULES[group]:
            raise KeyError(f"no rule {rule!r} in {group!r}")
        return self.rules.setdefault(key(group, rule), Column())

    def save(self, path: Path) -> None:
        """As JSON, whole or not at all."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)))
        part.rename(path)

    @classmethod
    def load(cls, path: Path) -> "Side":
        """As saved."""
        raw = json.loads(path.read_text())
        raw["rules"] = {name: Column(**column) for name, column in raw["rules"].items()}
        return cls(**raw)


def key(group: str, rule: str) -> str:
    """A rule's full name."""
    return f"{group}: {rule}"


def digest(parts: Iterable[str]) -> str:
    """Of a list of strings; NUL cannot tell them apart, their lengths do."""
    found = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        found.update(b"%d:" % len(raw) + raw)
    return found.hexdigest()[:24]
