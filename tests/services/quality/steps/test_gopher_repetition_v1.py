"""Repetition: the test vectors of specs 15.5, thresholds, and a plain-Python reference."""

import gzip
import json
import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.quality.steps.gopher_repetition_v1 import (
    COLUMNS,
    GopherRepetitionParams,
    gopher_repetition,
)
from shared.schema import arrow_schema, conform
from shared.text.segment import Segmented

NAMES = [c.name for c in COLUMNS]
PAPER = GopherRepetitionParams()
DATATROVE = GopherRepetitionParams(convention="datatrove")
BOTH = pytest.mark.parametrize("params", [PAPER, DATATROVE], ids=["paper", "datatrove"])

#: Table A1: what a document must not exceed.
MAXIMA = {
    "dup_line_frac": 0.30,
    "dup_para_frac": 0.30,
    "dup_line_char_frac": 0.20,
    "dup_para_char_frac": 0.20,
    "top_2_gram_char_frac": 0.20,
    "top_3_gram_char_frac": 0.18,
    "top_4_gram_char_frac": 0.16,
    "dup_5_gram_char_frac": 0.15,
    "dup_6_gram_char_frac": 0.14,
    "dup_7_gram_char_frac": 0.13,
    "dup_8_gram_char_frac": 0.12,
    "dup_9_gram_char_frac": 0.11,
    "dup_10_gram_char_frac": 0.10,
}


def measure(*texts, params=PAPER):
    rows = pa.table({"text": pa.chunked_array([texts], type=pa.large_string())})
    return gopher_repetition(rows, params).to_pylist()


def letters(i):
    """A word of 4 letters, another one for each i."""
    return "".join(chr(ord("a") + i // 26**k % 26) for k in range(4))


# --- a second implementation, over str, as slow as it is plain ---


def reference(text, params):
    words = text.split() if params.words == "whitespace" else strings(text, "words:unicode")
    return {"paper": paper, "datatrove": datatrove, "dclm": dclm}[params.convention](text, words)


def strings(text, name):
    spans = Segmented(pa.chunked_array([[text]], pa.large_string())).spans(name)
    raw = text.encode()
    return [raw[a:b].decode() for a, b in zip(spans.starts, spans.ends, strict=True)]


def share(part, whole):
    return part / whole if whole else 0.0


def paper(text, words):
    lines = [s.strip() for s in text.split("\n") if s.strip()]
    paragraphs = [
        p.strip() for p in re.split(r"\n(?:[^\S\n]*\n)+", "\n" + text + "\n") if p.strip()
    ]
    result = {}
    for kind, items in (("line", lines), ("para", paragraphs)):
        copies = Counter(items)
        dup = [s for s in items if copies[s] > 1]
        result[f"dup_{kind}_frac"] = share(len(dup), len(items))
        result[f"dup_{kind}_char_frac"] = share(sum(map(len, dup)), sum(map(len, items)))
    for n in range(2, 11):
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        copies = Counter(grams)
        if n < 5:
            # Counter keeps the order of first occurrence, max the first of equals.
            best = max(copies, key=lambda g: (copies[g], sum(map(len, g))), default=None)
            chosen = {best} if best and copies[best] > 1 else set()
        else:
            chosen = {g for g in grams if copies[g] > 1}
        inside = {i + k for i, g in enumerate(grams) if g in chosen for k in range(n)}
        name = f"{'top' if n < 5 else 'dup'}_{n}_gram_char_frac"
        result[name] = share(sum(len(words[i]) for i in inside), sum(map(len, words)))
    return result


def datatrove(text, words):
    """The algorithm of datatrove 0.10.1's GopherRepetitionFilter on given words."""
    result = {}
    kinds = {"line": re.split(r"\n+", text), "para": re.split(r"\n{2,}", text.strip())}
    for kind, items in kinds.items():
        again = [s for i, s in enumerate(items) if s in items[:i]]
        result[f"dup_{kind}_frac"] = share(len(again), len(items))
        result[f"dup_{kind}_char_frac"] = share(sum(map(len, again)), len(text))
    for n in range(2, 5):
        grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        top = grams.most_common(1)
        result[f"top_{n}_gram_char_frac"] = share(sum(len(g) * c for g, c in top), len(text))
    for n in range(5, 11):
        seen, repeated, i = set(), 0, 0
        while i <= len(words) - n:
            gram = "".join(words[i : i + n])
            repeated += len(gram) if gram in seen else 0
            i += n if gram in seen else 1
            seen.add(gram)
        result[f"dup_{n}_gram_char_frac"] = share(repeated, len(text))
    return result


def dclm(text, words):
    """As the paper's, but for paragraphs and the most frequent n-gram (see test_gopher_dclm)."""
    result = paper(text, words)
    paragraphs = [p for part in text.split("\n\n") if (p := part.strip())]
    copies = Counter(paragraphs)
    dup = [s for s in paragraphs if copies[s] > 1]
    result["dup_para_frac"] = share(len(dup), len(paragraphs))
    result["dup_para_char_frac"] = share(sum(map(len, dup)), sum(map(len, paragraphs)))
    for n in range(2, 5):
        grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        most = max(grams.values(), default=0)
        longest = max((sum(map(len, g)) for g, c in grams.items() if c == most > 1), default=0)
        result[f"top_{n}_gram_char_frac"] = share(longest * most, sum(map(len, words)))
    return result


vocabulary = st.sampled_from(
    ["a", "b", "ab", "ba", "the", "é", "字", "字字", "don't", "...", "\u0301"]
)
separator = st.sampled_from([" ", " ", " ", " ", "\n", "\n\n", " \n \n", "\t", "\u3000", "\x00"])
repetitive = st.lists(st.tuples(vocabulary, separator), max_size=60).map(
    lambda pairs: "".join(a + b for a, b in pairs)
)
conventions = st.builds(
    GopherRepetitionParams,
    convention=st.sampled_from(["paper", "datatrove", "dclm"]),
    words=st.sampled_from(["whitespace", "unicode"]),
)


@settings(deadline=None)  # the first call compiles
@given(st.lists(repetitive | st.text(max_size=30), max_size=4), conventions)
def test_equals_the_reference(texts, params):
    assert measure(*texts, params=params) == [
        {name: pytest.approx(reference(t, params)[name], abs=1e-12) for name in NAMES}
        for t in texts
    ]


@settings(deadline=None)
@given(st.lists(st.none() | repetitive, max_size=5), st.integers(0, 5), conventions)
def test_rows_are_independent(texts, cut, params):
    together = measure(*texts, params=params)
    assert together == measure(*texts[:cut], params=params) + measure(*texts[cut:], params=params)


@settings(deadline=None)
@given(repetitive)
def test_the_papers_measures_are_shares(text):
    assert all(0 <= value <= 1 for value in measure(text)[0].values())


# --- specs 15.5 ---


@BOTH
def test_a_distinct_lines(params):
    (found,) = measure("\n".join(letters(i) for i in range(20)), params=params)
    assert [found[n] for n in NAMES[:4]] == [0, 0, 0, 0]


def test_b_four_copies_among_ten_lines():
    text = "\n".join([letters(0)] * 4 + [letters(i) for i in range(1, 7)])
    (paper_,), (datatrove_,) = measure(text), measure(text, params=DATATROVE)
    assert paper_["dup_line_frac"] == 0.4 > MAXIMA["dup_line_frac"]
    assert datatrove_["dup_line_frac"] == 0.3 <= MAXIMA["dup_line_frac"]
    assert paper_["dup_line_char_frac"] == 0.4 > MAXIMA["dup_line_char_frac"]
    # 3 of 10 lines of 4 characters, of a text that has 9 line feeds too
    assert datatrove_["dup_line_char_frac"] == 12 / 49 > MAXIMA["dup_line_char_frac"]


def test_c_a_pair_among_twelve_lines():
    text = "\n".join([letters(0)] * 2 + [letters(i) for i in range(1, 11)])
    (paper_,), (datatrove_,) = measure(text), measure(text, params=DATATROVE)
    assert paper_["dup_line_char_frac"] == 2 / 12 <= MAXIMA["dup_line_char_frac"]
    assert datatrove_["dup_line_char_frac"] == 4 / 59 <= MAXIMA["dup_line_char_frac"]
    assert paper_["dup_line_frac"] == 2 / 12
    assert datatrove_["dup_line_frac"] == 1 / 12


@BOTH
def test_d_ten_copies_of_a_sentence_exceed_every_maximum(params):
    sentence = "Subscribers everywhere newsletter to our we it at by on"
    (found,) = measure("\n\n".join([sentence] * 10), params=params)
    assert [n for n in NAMES if found[n] <= MAXIMA[n]] == []


@BOTH
def test_e_three_words_have_no_longer_ngrams(params):
    (found,) = measure("just three words", params=params)
    assert [found[n] for n in NAMES if "gram" in n and n[4] not in "23"] == [0] * 7
    # datatrove exempts no n-gram that occurs once: 10 and 16 of 16 characters
    tops = (0, 0) if params is PAPER else (10 / 16, 1)
    assert (found["top_2_gram_char_frac"], found["top_3_gram_char_frac"]) == tops


# --- each maximum from both sides, at it and just above, by the keep rule a recipe would have ---


@pytest.mark.parametrize(("copies", "kept"), [(3, True), (4, False)])
def test_line_and_paragraph_fractions_at_their_threshold(copies, kept):
    for end, name in (("\n", "dup_line_frac"), ("\n\n", "dup_para_frac")):
        parts = [letters(0)] * copies + [letters(i) for i in range(1, 11 - copies)]
        (found,) = measure(end.join(parts))
        assert found[name] == copies / 10
        assert (found[name] <= MAXIMA[name]) is kept


@pytest.mark.parametrize(("filler", "kept"), [(32, True), (31, False)])
def test_character_fractions_at_their_threshold(filler, kept):
    for end, name in (("\n", "dup_line_char_frac"), ("\n\n", "dup_para_char_frac")):
        (found,) = measure(end.join(["abcd", "x" * filler, "abcd"]))
        assert found[name] == 8 / (8 + filler)
        assert (found[name] <= MAXIMA[name]) is kept


@pytest.mark.parametrize("n", range(2, 11))
def test_ngram_fractions_at_their_threshold(n):
    name = f"{'top' if n < 5 else 'dup'}_{n}_gram_char_frac"
    gram = " ".join(letters(i) for i in range(n))
    covered = 8 * n  # two copies of n words of four letters
    most = round(covered / MAXIMA[name])
    for total, kept in ((most + 1, True), (most - 1, False)):
        filler = total - covered
        text = f"{gram} {'x' * (filler // 2)} {gram} {'y' * (filler - filler // 2)}"
        (found,) = measure(text)
        assert found[name] == covered / total
        assert (found[name] <= MAXIMA[name]) is kept


# --- what the conventions differ in ---


def test_a_self_overlapping_ngram_counts_each_character_once_in_the_paper_only():
    (paper_,), (datatrove_,) = measure("a a a a"), measure("a a a a", params=DATATROVE)
    assert paper_["top_2_gram_char_frac"] == 1
    assert datatrove_["top_2_gram_char_frac"] == 9 / 7


def test_which_of_equally_frequent_ngrams():
    text = "a b xx a b long word yy long word"
    (paper_,), (datatrove_,) = measure(text), measure(text, params=DATATROVE)
    assert paper_["top_2_gram_char_frac"] == 16 / 24  # "long word", the longest
    assert datatrove_["top_2_gram_char_frac"] == 6 / len(text)  # "a b", the first


def test_datatrove_compares_repeated_ngrams_without_spaces():
    text = "ab c d e f . a bc d e f"
    assert measure(text)[0]["dup_5_gram_char_frac"] == 0
    assert measure(text, params=DATATROVE)[0]["dup_5_gram_char_frac"] == 6 / len(text)


def test_blank_lines_and_margins_are_no_lines_in_the_paper_only():
    text = "one\n  \n one\n \nthree"
    assert measure(text)[0]["dup_line_frac"] == 2 / 3
    assert measure(text, params=DATATROVE)[0]["dup_line_frac"] == 0
    assert measure(text)[0]["dup_para_frac"] == 2 / 3


def test_chinese_needs_the_unicode_words():
    text = "关注我们的公众号" * 6
    unicode_ = GopherRepetitionParams(words="unicode")
    assert measure(text)[0]["dup_5_gram_char_frac"] == 0
    assert measure(text, params=unicode_)[0]["dup_5_gram_char_frac"] == 1


# --- rows and schema ---


@BOTH
@pytest.mark.parametrize("text", ["", " ", "\u3000\t"])
def test_nothing_is_no_repetition(params, text):
    assert set(measure(text, params=params)[0].values()) <= {0.0}


def test_line_feeds_alone_are_no_lines_in_the_paper_and_two_equal_ones_in_datatrove():
    assert set(measure("\n\n\n")[0].values()) == {0.0}
    assert measure("\n\n\n", params=DATATROVE)[0]["dup_line_frac"] == 0.5


@BOTH
def test_null_and_hostile_texts(params):
    texts = [None, "\x00" * 50, "\u0301" * 5000, "x" * 2_000_000, "😀 " * 50_000, "שלום " * 9]
    first, *others = measure(*texts, params=params)
    assert set(first.values()) == {None}
    assert others == [measure(t, params=params)[0] for t in texts[1:]]
    assert others[3]["dup_10_gram_char_frac"] > 0.4


def test_declared_schema_and_empty_table():
    for texts in ([], ["a"], [None]):
        rows = pa.table({"text": pa.array(texts, pa.string())})
        conform(gopher_repetition(rows, PAPER), arrow_schema(COLUMNS), len(texts), "step")
    assert set(NAMES) == set(MAXIMA)


def test_unknown_conventions_are_refused():
    with pytest.raises(ValidationError, match="convention"):
        GopherRepetitionParams(convention="dolma")


def test_real_texts_equal_the_reference(data_path):
    path = data_path / "text" / "open" / "neardup_en_gb_us_docs.jsonl.gz"
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(next(lines)) for _ in range(20)]
    texts = [max((v for v in row.values() if isinstance(v, str)), key=len) for row in rows]
    assert min(map(len, texts)) > 20
    for params in (PAPER, DATATROVE, GopherRepetitionParams(convention="dclm")):
        assert measure(*texts, params=params) == [
            {n: pytest.approx(reference(t, params)[n], abs=1e-12) for n in NAMES} for t in texts
        ]
