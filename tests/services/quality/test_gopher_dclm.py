"""Gopher's rules by DCLM's convention against DCLM's own filters.

The functions below are those of mlfoundations/dclm (baselines/mappers/filters/content_filters.py
and core_utils.py, commit c7ed275), with a page as a str and a filter's answer as a bool.
"""

import gzip
import json
import re
from collections import Counter
from functools import lru_cache

import fasttext
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from uniseg.wordbreak import words as uniseg_words

from services.quality.steps.gopher_quality_v1 import GopherQualityParams, gopher_quality
from services.quality.steps.gopher_repetition_v1 import GopherRepetitionParams, gopher_repetition
from shared.rules import KeepRule

QUALITY = GopherQualityParams(
    counted_words="fasttext",
    counted="alphanumeric",
    ellipses=("...", ". . .", "…"),
    bullets=("●", "•", "*", "-"),
    stop_words_counting="occurrences",
    stop_words_lowercase=True,
)
REPETITION = GopherRepetitionParams(convention="dclm", words="uniseg")
QUALITY_RULES = {
    "words_min": "words >= 50",
    "words_max": "words <= 100000",
    "word_length_min": "mean_word_length >= 3",
    "word_length_max": "mean_word_length <= 10",
    "symbol_ratio": "symbol_ratio <= 0.1",
    "bullet_lines": "bullet_lines_frac <= 0.9",
    "ellipsis_lines": "ellipsis_lines_frac <= 0.3",
    "alpha_words": "alpha_words_frac >= 0.8",
    "stop_words": "stop_words >= 2",
}
#: (our column, granularity, most, whether characters are counted), in DCLM's order.
REPETITION_RULES = [
    ("dup_line_frac", "line", 0.3, False),
    ("dup_para_frac", "paragraph", 0.3, False),
    ("dup_line_char_frac", "line", 0.2, True),
    ("dup_para_char_frac", "paragraph", 0.2, True),
    *((f"top_{n}_gram_char_frac", n, most, True) for n, most in ((2, 0.2), (3, 0.18), (4, 0.16))),
    *((f"dup_{n}_gram_char_frac", n, (20 - n) / 100, True) for n in range(5, 11)),
]


def split_paragraphs(text, end):
    return [p for part in re.split(end, text) if (p := part.strip())]


def quality(text, least=50):
    words = text.split()
    lines = split_paragraphs(text, "\n")
    counted = [w for w in fasttext.FastText.tokenize(text) if w[0].isalnum()]
    mean = sum(map(len, words)) / len(words) if words else 0
    symbols = sum(text.count(s) for s in ("#", "...", ". . .", "…"))
    bullets = sum(any(s.startswith(b) for b in ("●", "•", "*", "-")) for s in lines)
    ellipses = sum(any(s.endswith(e) for e in ("...", ". . .", "…")) for s in lines)
    numbers = sum(not any(c.isalpha() for c in w) for w in words)
    stops = {"the", "be", "to", "of", "and", "that", "have", "with"}
    return {
        "words_min": len(counted) >= least,
        "words_max": len(counted) <= 100_000,
        "word_length_min": bool(words) and not mean < 3,
        "word_length_max": not mean > 10,
        "symbol_ratio": not words or not symbols / len(words) > 0.1,
        "bullet_lines": not bullets > 0.9 * len(lines),
        "ellipsis_lines": not ellipses > 0.3 * len(lines),
        "alpha_words": bool(words) and numbers / len(words) <= 0.2,
        "stop_words": sum(w.lower() in stops for w in words) >= 2,
    }


@lru_cache(1)  # uniseg takes longer than all the rest
def alphanumeric_words(text):
    return [w for w in uniseg_words(text) if w[0].isalnum()]


def repetition_filter(text, granularity, most, count_characters):
    if isinstance(granularity, str):
        segments = split_paragraphs(text, "\n\n" if granularity == "paragraph" else "\n")
        if len(segments) < 2:
            return len(segments) == 1
        counts = Counter(segments)
        size = len if count_characters else lambda _: 1
        repeated = sum(size(s) * count for s, count in counts.items() if count > 1)
        return not repeated / sum(map(size, segments)) > most
    words = alphanumeric_words(text)
    grams = [tuple(words[i : i + granularity]) for i in range(len(words) - granularity + 1)]
    if not grams:
        return True
    ordered = Counter(grams).most_common()
    copies = ordered[0][1]
    if copies == 1:
        return True
    if granularity < 5:
        longest = max(sum(map(len, gram)) for gram, count in ordered if count == copies)
        repeated = longest * copies
    else:
        counts, inside = dict(ordered), set()
        for i, gram in enumerate(grams):
            if counts[gram] > 1:
                inside.update(range(i, i + granularity))
        repeated = sum(len(words[i]) for i in inside)
    return not repeated / sum(map(len, words)) > most


def dclm(text):
    """Each filter's answer, by itself."""
    repetition = {name: repetition_filter(text, *rule) for name, *rule in REPETITION_RULES}
    return quality(text) | repetition


def ours(texts):
    rows = pa.table({"text": pa.chunked_array([texts], pa.large_string())})
    answers = {}
    for step, params, rules in (
        (gopher_quality, QUALITY, QUALITY_RULES),
        (
            gopher_repetition,
            REPETITION,
            {name: f"{name} <= {most}" for name, _, most, _ in REPETITION_RULES},
        ),
    ):
        table = step(rows, params)
        columns = {name: table[name] for name in table.column_names}
        for name, condition in rules.items():
            answers[name] = KeepRule(name, condition).holds(columns).to_pylist()
    return [dict(zip(answers, row, strict=True)) for row in zip(*answers.values(), strict=True)]


words = st.sampled_from(
    ["the", "The", "OF", "cat", "cats", "don't", "U.S.", "3.14", "a_b", "#", "...", ". . .", "…", "é", "字字", "(x)", "²"]
)  # fmt: skip
breaks = st.sampled_from(
    [" ", " ", " ", " ", "\n", "\n\n", "\n\n\n", "\n- ", "\n\n* ", "…\n", "\xa0", "\t"]
)
texts_ = st.lists(st.tuples(words, breaks), min_size=1, max_size=25).map(
    lambda pairs: "".join(a + b for a, b in pairs)
)
#: Long enough for the first rule, so that the others are near their thresholds.
long_ = st.tuples(texts_, st.integers(1, 12)).map(lambda pair: pair[0] * pair[1])


@settings(deadline=None, max_examples=60)  # the first call compiles
@given(st.lists(texts_ | long_, max_size=2))
def test_every_answer_is_dclms(texts):
    assert ours(texts) == [dclm(text) for text in texts]


def test_a_text_without_words_differs_in_the_rules_and_not_in_the_verdict():
    """DCLM drops it in every filter of lines, where ours measure 0; both drop it for its words."""
    (found,) = ours([" \n"])
    assert not found["words_min"]
    assert not dclm(" \n")["words_min"]
    assert found["dup_line_frac"]
    assert not dclm(" \n")["dup_line_frac"]


def test_real_texts_get_dclms_answers(data_path):
    with gzip.open(data_path / "text" / "open" / "quality_labels_en_dclm.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    texts = [text for text in texts if len(text) < 3000][:40]
    found = ours(texts)
    assert found == [dclm(text) for text in texts]
    assert 5 < sum(all(answers.values()) for answers in found) < len(texts)
