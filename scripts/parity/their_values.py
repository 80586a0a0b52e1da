"""What datatrove's filters measure: their own expressions, which they compare and then forget."""
# mypy: disable-error-code="import-not-found"

import numpy as np
from datatrove.pipeline.filters.gopher_quality_filter import STOP_WORDS
from datatrove.pipeline.filters.gopher_repetition_filter import (
    GopherRepetitionFilter,
    find_all_duplicate,
    find_duplicates,
    find_top_duplicate,
    get_n_grams,
)
from datatrove.utils.text import (
    PUNCTUATION_SET,
    TERMINAL_PUNCTUATION,
    split_into_words,
)

_REPETITION = GopherRepetitionFilter()
_STOP_CHARS = tuple(TERMINAL_PUNCTUATION)
#: FineWebQualityFilter's `short_line_length`.
_SHORT_LINE = 30


def repetition_values(text: str) -> dict[str, float]:
    """`GopherRepetitionFilter.filter`; the text is not empty."""
    values: dict[str, float] = {}
    paragraphs = _REPETITION.paragraph_exp.split(text.strip())
    lines = _REPETITION._line_splitter.split(text)  # noqa: SLF001  # the filter's own
    for kind, parts in (("para", paragraphs), ("line", lines)):
        elements, characters = find_duplicates(parts)
        values[f"dup_{kind}_frac"] = elements / len(parts)
        values[f"dup_{kind}_char_frac"] = characters / len(text)
    words = split_into_words(text)
    for n, _ in _REPETITION.top_n_grams:
        n_grams = get_n_grams(words, n)
        values[f"top_{n}_gram"] = find_top_duplicate(n_grams) / len(text) if n_grams else 0.0
    for n, _ in _REPETITION.dup_n_grams:
        values[f"dup_{n}_gram"] = find_all_duplicate(words, n) / len(text)
    return values


def quality_values(text: str) -> dict[str, float]:
    """`GopherQualityFilter.filter`; the text has words, and one that is not punctuation."""
    words = split_into_words(text)
    counted = [w for w in words if any(ch not in PUNCTUATION_SET for ch in w)]
    if not counted:
        raise ValueError("no words")
    lines = text.splitlines()
    length = float(np.mean([len(w) for w in counted]))
    bullets = sum(s.lstrip().startswith("•") or s.lstrip().startswith("-") for s in lines)
    ends = sum(s.rstrip().endswith("...") or s.rstrip().endswith("…") for s in lines)
    return {
        "words_min": len(counted),
        "words_max": len(counted),
        "word_length_min": length,
        "word_length_max": length,
        "hash_ratio": text.count("#") / len(words),
        "ellipsis_ratio": (text.count("...") + text.count("…")) / len(words),
        "bullet_lines": bullets / len(lines),
        "ellipsis_lines": ends / len(lines),
        "alpha_words": sum(any(c.isalpha() for c in w) for w in words) / len(words),
        "stop_words": len(set(STOP_WORDS).intersection(words)),
    }


def fineweb_values(text: str) -> dict[str, float]:
    """`FineWebQualityFilter.filter`; the text has a line that is not blank, and words."""
    lines = [line for line in text.split("\n") if line.strip() != ""]
    return {
        "line_punct": sum(1 for line in lines if line.endswith(_STOP_CHARS)) / len(lines),
        "short_lines": sum(1 for line in lines if len(line) <= _SHORT_LINE) / len(lines),
        "dup_lines": find_duplicates(lines)[1] / len(text.replace("\n", "")),
        "newlines": text.count("\n") / len(split_into_words(text)),
    }
