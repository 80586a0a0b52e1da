"""Our side: the registered steps with the parameters of `datatrove.yaml`, and its keep rules."""

from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from scripts.parity.sides import (
    C4,
    DROPPED,
    FINEWEB,
    LANGUAGE,
    PII,
    QUALITY,
    REPETITION,
    URL,
    WHOLE,
    Inputs,
    Side,
    digest,
)
from shared.recipe import StepSpec, load_recipe, parse_yaml
from shared.rules import KeepRule
from shared.step import Step, load_registry
from shared.text.edits import apply_edits
from shared.text.segment import Spans, segment

RECIPE = Path(__file__).with_name("datatrove.yaml")
PACKAGES = ("corpusmill", "fasttext-community", "tldextract", "numba", "pyarrow")
#: Documents a table, as many as an archive reader's tables hold.
PIECE = 64
#: Steps whose keep rules are the rules of a group.
PLAIN = {
    "quality.gopher_repetition_v1": REPETITION,
    "quality.gopher_quality_v1": QUALITY,
    "quality.fineweb_quality_v1": FINEWEB,
}
#: Every rule of C4 switched off, and what switches one of them on.
C4_OFF: dict[str, Any] = {
    "max_word_characters": 10**9,
    "remove_citations": False,
    "terminal_marks": "",
    "min_words": 1,
    "placeholders": [],
    "scripts": [],
    "brackets": [],
    "policies": [],
}
C4_PARAMETERS = {
    "long_word": ("max_word_characters", "lines_long_word"),
    "citations": ("remove_citations", None),
    "terminal_punct": ("terminal_marks", "lines_no_terminal_punct"),
    "few_words": ("min_words", "lines_few_words"),
    "lorem_ipsum": ("placeholders", None),
    "javascript": ("scripts", "lines_javascript"),
    "curly_bracket": ("brackets", None),
    "policy": ("policies", "lines_policy"),
    "sentences": (None, "sentences"),
    "bad_words": (None, None),
}
PARAGRAPHS = StepSpec(step="quality.c4_paragraphs_v1", keep={"paragraphs": "long_lines >= 3"})
ADDRESSES = StepSpec(step="quality.pii_v1")
Kept = list[bool]


class Preset:
    """One step of the preset: parameters and keep rules as the recipe has them."""

    def __init__(self, spec: StepSpec) -> None:
        self.name = spec.step
        self.step: Step = load_registry()[spec.step]
        # Every parameter, so that one that is switched off can be switched on again.
        self.params: dict[str, Any] = self.step.params.model_validate(spec.params).model_dump()
        self.rules = {name: KeepRule(name, condition) for name, condition in spec.keep.items()}

    def measure(self, contents: list[str], **params: Any) -> pa.Table:
        """The step's columns, with some parameters set otherwise."""
        assert self.step.row is not None
        model = self.step.params.model_validate({**self.params, **params})
        (read,) = self.step.reads
        kind = pa.string() if read == "url" else pa.large_string()
        columns = (pa.chunked_array([part], kind) for part in pieces(contents))
        return pa.concat_tables([self.step.row(pa.table({read: c}), model) for c in columns])

    def keeps(self, table: pa.Table, *names: str) -> Kept:
        """Which documents the named rules keep, or all rules; conditions read table columns."""
        columns = {name: table[name] for name in table.column_names}
        rules = [self.rules[name] for name in names] or list(self.rules.values())
        masks = [rule.holds(columns).combine_chunks() for rule in rules]
        kept = masks[0]
        for mask in masks[1:]:
            kept = pc.and_(kept, mask)
        found: Kept = kept.to_pylist()
        return found


def presets() -> list[Preset]:
    """The steps of the recipe, and mC4's filter of paragraphs, which no recipe has."""
    steps = load_recipe(parse_yaml(RECIPE.read_text(), RECIPE.name)).steps
    return [Preset(spec) for spec in (*steps, PARAGRAPHS)]


def pieces(contents: list[str]) -> list[list[str]]:
    """The documents, table by table."""
    return [contents[i : i + PIECE] for i in range(0, len(contents), PIECE)]


def judge(inputs: Inputs, lists: dict[str, dict[str, Any]]) -> Side:
    """Everything; `lists` are the URL filter's parameters, rule by rule."""
    side = Side({name: version(name) for name in PACKAGES})
    texts = [d.content for d in inputs.texts]
    for preset in presets():
        if preset.name == "extraction.url_filter_v1":
            judge_urls(side, preset, [d.content for d in inputs.urls], lists)
        elif preset.name == "langid.fasttext_v1":
            judge_language(side, preset, texts)
        elif preset.name == "quality.c4_quality_v1":
            judge_c4(side, preset, texts, inputs.bad_words)
        elif preset.name == "quality.c4_paragraphs_v1":
            judge_paragraphs(side, preset, texts)
        elif preset.name in PLAIN:
            judge_rules(side, PLAIN[preset.name], preset, texts)
    judge_addresses(side, Preset(ADDRESSES), texts)
    judge_segments(side, texts)
    return side


def judge_urls(
    side: Side, preset: Preset, urls: list[str], lists: dict[str, dict[str, Any]]
) -> None:
    """Every list by itself, then all of them."""
    for rule, params in lists.items():
        table = preset.measure(urls, **params)
        for keep in preset.keeps(table):
            side.column(URL, rule).add(keep)
        domains = table["registered_domain"].to_pylist()
        side.evidence["registered_domain"] = [domain or "" for domain in domains]


def judge_language(side: Side, preset: Preset, texts: list[str]) -> None:
    """The best label, and the keep rules."""
    table = preset.measure(texts)
    labels, scores = (table[name].to_pylist() for name in ("language", "score"))
    for label, score, keep in zip(labels, scores, preset.keeps(table), strict=True):
        side.column(LANGUAGE, "label").add(label, score)
        side.column(LANGUAGE, WHOLE).add(keep, score)


def judge_rules(side: Side, group: str, preset: Preset, texts: list[str]) -> None:
    """A step whose keep rules are the rules of a group."""
    table = preset.measure(texts)
    for name, rule in preset.rules.items():
        values = table[rule.column].to_pylist()
        for keep, value in zip(preset.keeps(table, name), values, strict=True):
            side.column(group, name).add(keep, value)
    for keep in preset.keeps(table):
        side.column(group, WHOLE).add(keep)


def judge_c4(side: Side, preset: Preset, texts: list[str], bad_words: str | None) -> None:
    """Every option by itself, all of them, FineWeb's choice; the text that is left decides."""
    for rule, (parameter, counter) in C4_PARAMETERS.items():
        params = dict(C4_OFF)
        if parameter:
            params[parameter] = preset.params[parameter]
        names = [rule] if rule in preset.rules else []
        if rule == "bad_words":
            if bad_words is None:
                continue
            params["bad_words"] = bad_words
        table = preset.measure(texts, **params)
        kept = preset.keeps(table, *names) if names else [True] * len(texts)
        values = table[counter].to_pylist() if counter else [None] * len(texts)
        add_texts(side, rule, table, texts, kept, values)
    for rule, params in (("without_terminal_punct", {"terminal_marks": ""}), (WHOLE, {})):
        table = preset.measure(texts, **params)
        add_texts(side, rule, table, texts, preset.keeps(table), [None] * len(texts))


def add_texts(
    side: Side, rule: str, table: pa.Table, texts: list[str], kept: Kept, values: list[Any]
) -> None:
    """A rule's decisions: the text after the edits, or that the page goes."""
    column = pa.chunked_array([texts], pa.large_string())
    left = apply_edits(column, table["edits"]).to_pylist()
    for keep, text, value in zip(kept, left, values, strict=True):
        left_of_it = digest([text]) if keep else DROPPED
        side.column(C4, rule).add(keep if rule == "bad_words" else left_of_it, value)


def judge_paragraphs(side: Side, preset: Preset, texts: list[str]) -> None:
    """mC4's rule, which leaves the text as it is."""
    for keep in preset.keeps(preset.measure(texts)):
        side.column(C4, "paragraphs").add(keep)


def judge_addresses(side: Side, preset: Preset, texts: list[str]) -> None:
    """Each kind of address by itself, then both: the text with the replacements decides."""
    for rule, params in (("emails", {"ips": ()}), ("ips", {"emails": ()}), (WHOLE, {})):
        edits = preset.measure(texts, **params)["edits"]
        column = pa.chunked_array([texts], pa.large_string())
        for text in apply_edits(column, edits).to_pylist():
            side.column(PII, rule).add(digest([text]))


def judge_segments(side: Side, texts: list[str]) -> None:
    """What the words and sentences are."""
    words: list[str] = []
    sentences: list[str] = []
    for part in pieces(texts):
        segmented = segment(pa.chunked_array([part], pa.large_string()))
        words += digests(segmented.words("spacy"))
        sentences += digests(segmented.sentences("spacy"))
    side.evidence |= {"words": words, "sentences": sentences}


def digests(spans: Spans) -> list[str]:
    """Of each document's segments."""
    data, bounds = spans.data.tobytes(), spans.bounds.tolist()
    found = [data[a:b].decode() for a, b in zip(spans.starts, spans.ends, strict=True)]
    return [digest(found[a:b]) for a, b in pairwise(bounds)]
