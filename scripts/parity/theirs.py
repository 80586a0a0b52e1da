"""datatrove's side: its own filters, each rule by itself, in its own environment.

    python theirs.py INPUTS OUTPUT

A decision is always that of datatrove's filter, with every other rule of it switched off. The
filters do not give what they measured, so the values are the filters' own expressions over their
own helpers; each value is checked against the decision, and the first rule that drops a document
against the reason that the whole filter gives.
"""
# mypy: disable-error-code="import-not-found"

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4BadWordsFilter,
    C4ParagraphFilter,
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
    c4_filters,
)
from datatrove.pipeline.filters.base_filter import get_filter_result
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.utils.lid import FT176LID
from datatrove.utils.text import split_into_sentences, split_into_words
from loguru import logger
from tldextract import TLDExtract

from scripts.parity.sides import (
    C4,
    DROPPED,
    FINEWEB,
    LANGUAGE,
    PII,
    QUALITY,
    REPETITION,
    URL,
    URL_OPTIONS,
    WHOLE,
    Inputs,
    Side,
    digest,
)
from scripts.parity.their_values import fineweb_values, quality_values, repetition_values

PACKAGES = ("datatrove", "spacy", "fasttext-numpy2-wheel", "tldextract", "pyahocorasick")
#: Above any share, below any count: a rule with this threshold never drops.
NEVER = math.inf


class Verdict(NamedTuple):
    """What a filter makes of a document; `keep` is None where it raises."""

    keep: bool | None
    reason: str | None
    text: str


def run(block: Any, text: str, **metadata: Any) -> Verdict:
    """One document through one filter."""
    document = Document(text=text, id="", metadata=metadata)
    try:
        keep, reason = get_filter_result(block.filter(document))
    except (ValueError, ZeroDivisionError) as error:  # no words; more than spaCy takes
        return Verdict(None, f"{type(error).__name__}: {error}"[:100], text)
    return Verdict(bool(keep), reason, document.text)


def judge_urls(inputs: Inputs, side: Side) -> None:
    """Every list by itself, then all of them, as `extra_...` of an otherwise empty filter."""
    given = {option: inputs.lists[rule] for rule, option in URL_OPTIONS.items()}
    blocks = {
        rule: URLFilter(**{o: given[o]}, use_integrated_lists=False)
        for rule, o in URL_OPTIONS.items()
    }
    blocks[WHOLE] = URLFilter(**given, use_integrated_lists=False)
    # The list of suffixes that came with the package: the newest would be fetched from the network.
    extract = TLDExtract(suffix_list_urls=())
    for rule, block in blocks.items():
        block.tldextractor = extract
        for document in inputs.urls:
            side.column(URL, rule).add(run(block, "", url=document.content).keep)
    found = [extract(document.content) for document in inputs.urls]
    side.evidence["registered_domain"] = [f.top_domain_under_public_suffix for f in found]


def judge_language(inputs: Inputs, side: Side) -> None:
    """The best label, and English above 0.65."""
    FT176LID.MODEL_URL = inputs.model  # a path is copied into datatrove's folder of assets
    block = LanguageFilter("en")
    for each in inputs.texts:
        document = Document(text=each.content, id="")
        keep = bool(block.filter(document))
        label, score = (document.metadata[name] for name in ("language", "language_score"))
        # fastText reads a text without a word as the end of a line, and has a language for that.
        worded = not each.content.isspace()
        side.column(LANGUAGE, "label").add(label if worded else None, score if worded else None)
        side.column(LANGUAGE, WHOLE).add(keep, score if worded else None)


class Block(NamedTuple):
    """A filter that drops documents: whole, rule by rule, and what its rules measure."""

    group: str
    whole: Any
    #: rule: (filter with this rule alone, the reason that the filter gives)
    rules: dict[str, tuple[Any, str]]
    values: Callable[[str], dict[str, float]]
    #: rule: whether a value drops the document
    drops: dict[str, Callable[[float], bool]]


def above(threshold: float) -> Callable[[float], bool]:
    """Drops what exceeds the threshold."""
    return lambda value: value > threshold


def below(threshold: float) -> Callable[[float], bool]:
    """Drops what stays under the threshold."""
    return lambda value: value < threshold


def repetition_block() -> Block:
    """Gopher's 13 shares."""
    off: dict[str, Any] = dict.fromkeys(
        ("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")
    )
    off |= {"top_n_grams": (), "dup_n_grams": ()}
    whole = GopherRepetitionFilter()
    thresholds = {rule: getattr(whole, rule) for rule in off if rule.endswith("frac")}
    rules = {
        rule: (GopherRepetitionFilter(**(off | {rule: thresholds[rule]})), rule)
        for rule in thresholds
    }
    for kind, reason in (("top", "top_{}_gram"), ("dup", "duplicated_{}_n_grams")):
        for n, threshold in getattr(whole, f"{kind}_n_grams"):
            rule = f"{kind}_{n}_gram"
            thresholds[rule] = threshold
            one = GopherRepetitionFilter(**(off | {f"{kind}_n_grams": ((n, threshold),)}))
            rules[rule] = (one, reason.format(n))
    drops = {rule: above(threshold) for rule, threshold in thresholds.items()}
    return Block(REPETITION, whole, rules, repetition_values, drops)


def quality_block() -> Block:
    """Gopher's eight measures; the filter has one switch for hashes and ellipses."""
    options = (
        ("words_min", "min_doc_words", "gopher_short_doc", below),
        ("words_max", "max_doc_words", "gopher_long_doc", above),
        ("word_length_min", "min_avg_word_length", "gopher_below_avg_threshold", below),
        ("word_length_max", "max_avg_word_length", "gopher_above_avg_threshold", above),
        ("hash_ratio", "max_symbol_word_ratio", "gopher_too_many_hashes", above),
        ("ellipsis_ratio", "max_symbol_word_ratio", "gopher_too_many_ellipsis", above),
        ("bullet_lines", "max_bullet_lines_ratio", "gopher_too_many_bullets", above),
        ("ellipsis_lines", "max_ellipsis_lines_ratio", "gopher_too_many_end_ellipsis", above),
        ("alpha_words", "max_non_alpha_words_ratio", "gopher_below_alpha_threshold", below),
        ("stop_words", "min_stop_words", "gopher_enough_stop_words", below),
    )
    whole = GopherQualityFilter()
    off: dict[str, Any] = dict.fromkeys(option for _, option, _, _ in options)
    rules, drops = {}, {}
    for rule, option, reason, side in options:
        threshold = getattr(whole, option)
        rules[rule] = (GopherQualityFilter(**(off | {option: threshold})), reason)
        drops[rule] = side(threshold)
    return Block(QUALITY, whole, rules, quality_values, drops)


def fineweb_block() -> Block:
    """FineWeb's four."""
    off = {
        "line_punct_thr": -NEVER,
        "short_line_thr": NEVER,
        "char_duplicates_ratio": NEVER,
        "new_line_ratio": NEVER,
    }
    whole = FineWebQualityFilter()
    options = (
        ("line_punct", "line_punct_thr", "line_punct_ratio", below),
        ("short_lines", "short_line_thr", "short_line_ratio", above),
        ("dup_lines", "char_duplicates_ratio", "char_dup_ratio", above),
        ("newlines", "new_line_ratio", "list_ratio", above),
    )
    rules, drops = {}, {}
    for rule, option, reason, side in options:
        attribute = "short_line_threshold" if option == "short_line_thr" else option
        threshold = getattr(whole, attribute)
        rules[rule] = (FineWebQualityFilter(**(off | {option: threshold})), reason)
        drops[rule] = side(threshold)
    return Block(FINEWEB, whole, rules, fineweb_values, drops)


def judge(block: Block, text: str, side: Side) -> None:
    """One text under every rule of a block, each value checked, and under the whole."""
    try:
        values = block.values(text)
    except (ValueError, ZeroDivisionError):
        values = {}
    first: str | None = None
    raised = False
    for rule, (one, reason) in block.rules.items():
        verdict = run(one, text)
        keep, value = verdict.keep, values.get(rule)
        raised |= keep is None
        if value is None:
            keep = None  # a text that is empty to the filter: it drops it or compares with NaN
        if value is not None and keep is not None:
            drops = block.drops[rule](value)
            # The switch of hashes and ellipses may have dropped the text for the other one.
            assert keep is not drops or (keep is False and verdict.reason != reason), (rule, value)
            keep = not drops
        first = first or (reason if keep is False else None)
        side.column(block.group, rule).add(keep, value)
    whole = run(block.whole, text)
    if values and not raised and whole.reason != "empty":
        assert whole.reason == first, (block.group, whole, first)
    side.column(block.group, WHOLE).add(whole.keep)


C4_OFF: dict[str, Any] = {
    "remove_citations": False,
    "filter_no_terminal_punct": False,
    "min_num_sentences": -1,
    "min_words_per_line": 1,  # blank lines, which are none to ours, go
    "max_word_length": -1,
    "filter_lorem_ipsum": False,
    "filter_javascript": False,
    "filter_curly_bracket": False,
    "filter_policy": False,
}
#: rule: the option that it is, the counter of the lines that it drops
C4_LINES: dict[str, tuple[dict[str, Any], str | None]] = {
    "long_word": ({"max_word_length": 1000}, "line-filter-too_long_word"),
    "citations": ({"remove_citations": True}, None),
    "terminal_punct": ({"filter_no_terminal_punct": True}, "line-filter-no_terminal_punc"),
    "few_words": ({"min_words_per_line": 3}, "line-filter-too_few_words"),
    "lorem_ipsum": ({"filter_lorem_ipsum": True}, None),
    "javascript": ({"filter_javascript": True}, "line-filter-javascript"),
    "curly_bracket": ({"filter_curly_bracket": True}, None),
    "policy": ({"filter_policy": True}, "line-filter-policy"),
    "sentences": ({"min_num_sentences": 5}, None),
}


def judge_c4(inputs: Inputs, side: Side) -> None:
    """Every option by itself, all of them, FineWeb's choice; the text that is left decides."""
    blocks: dict[str, Any] = {
        rule: C4QualityFilter(**(C4_OFF | option)) for rule, (option, _) in C4_LINES.items()
    }
    blocks["paragraphs"] = C4ParagraphFilter()
    blocks["without_terminal_punct"] = C4QualityFilter(filter_no_terminal_punct=False)
    blocks[WHOLE] = C4QualityFilter()
    if inputs.bad_words is not None:
        c4_filters._EN_BADWORDS_URL = inputs.bad_words  # noqa: SLF001  # as the model's path
        blocks["bad_words"] = C4BadWordsFilter()
    nothing = C4QualityFilter(**C4_OFF)
    for document in inputs.texts:
        untouched = run(nothing, document.content).text
        for rule, block in blocks.items():
            counter = C4_LINES.get(rule, (None, None))[1]
            before = counted(block, counter)
            verdict = run(block, document.content)
            value: float | None = None
            if counter:
                value = counted(block, counter) - before
                if rule in ("terminal_punct", "few_words"):  # to which blank lines are lines too
                    value -= blank_lines(document.content)
            elif rule == "sentences":
                value = sentences_of_lines(document.content)
            changed = verdict.text not in (untouched, document.content)
            side.column(C4, rule).add(what_is_left(rule, verdict), value, changed=changed)


def what_is_left(rule: str, verdict: Verdict) -> bool | str | None:
    """The digest of the text, that it is gone, or that the filter raised."""
    if verdict.keep is None or rule in ("paragraphs", "bad_words"):
        return verdict.keep
    return digest([verdict.text]) if verdict.keep else DROPPED


def counted(block: Any, counter: str | None) -> float:
    """A counter of a filter's statistics."""
    return float(block.stats.stats[counter].total) if counter else 0.0


def judge_addresses(inputs: Inputs, side: Side) -> None:
    """The formatter, whose replacements begin anew with each text, as ours do."""
    kinds = {"emails": {"remove_ips": False}, "ips": {"remove_emails": False}, WHOLE: {}}
    for rule, options in kinds.items():
        block = PIIFormatter(**options)
        for document in inputs.texts:
            block.emails_replacer._replace_i = block.ip_replacer._replace_i = 0  # noqa: SLF001
            text = block.format(document.content)
            changed = text != document.content
            side.column(PII, rule).add(digest([text]), changed=changed)


def blank_lines(text: str) -> int:
    """Lines of white space."""
    return sum(not line.strip() for line in text.splitlines())


def sentences_of_lines(text: str) -> float | None:
    """What the filter counts when no line is dropped."""
    try:
        lines = [line.strip() for line in text.splitlines()]
        return float(sum(len(split_into_sentences(line)) for line in lines if line))
    except ValueError:
        return None


def segments(split: Callable[[str], list[str]], texts: Iterator[str]) -> Iterator[str]:
    """The digest of each text's words or sentences."""
    for text in texts:
        try:
            yield digest(part.strip() for part in split(text))
        except ValueError as error:
            yield type(error).__name__


def main() -> None:
    """Judge and save."""
    inputs = Inputs.load(Path(sys.argv[1]))
    logger.remove()
    warnings.simplefilter("ignore")  # the mean length of no words; a property of tldextract
    side = Side({name: version(name) for name in PACKAGES})
    judge_urls(inputs, side)
    judge_language(inputs, side)
    blocks = (repetition_block(), quality_block(), fineweb_block())
    words: list[str] = []
    for document in inputs.texts:  # datatrove remembers the words of the last three texts
        for block in blocks:
            judge(block, document.content, side)
        words += segments(split_into_words, iter((document.content,)))
    side.evidence["words"] = words
    judge_c4(inputs, side)
    judge_addresses(inputs, side)
    every = (document.content for document in inputs.texts)
    side.evidence["sentences"] = list(segments(split_into_sentences, every))
    side.save(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
