"""Quality: each measure at its published threshold, and against plain Python."""

import gzip
import json
import re
import statistics

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.quality.steps.gopher_quality_v1 import (
    COLUMNS,
    STOP_WORDS,
    GopherQualityParams,
    gopher_quality,
)
from shared.schema import arrow_schema, conform

NAMES = [c.name for c in COLUMNS]
DEFAULT = GopherQualityParams()
DCLM_STOP_WORDS = GopherQualityParams(stop_words_counting="occurrences", stop_words_lowercase=True)


def measure(*texts, params=DEFAULT):
    rows = pa.table({"text": pa.chunked_array([texts], type=pa.large_string())})
    return gopher_quality(rows, params).to_pylist()


def one(text, name, params=DEFAULT):
    return measure(text, params=params)[0][name]


def share(part, whole):
    return part / whole if whole else 0.0


SPLITS = {
    "whitespace": str.split,
    "fasttext": lambda text: [w for w in re.split("[ \\t\\n\\v\\f\\r\0]", text) if w],
}
LINES = {
    "filled": lambda text: [s.strip() for s in text.split("\n") if s.strip()],
    "with_blank": lambda text: [s.strip() for s in text.splitlines()],
}
COUNTS = {
    "all": bool,
    "not_punctuation": lambda word: any(c not in "#.…-*\x1c" for c in word),
    "alphanumeric": lambda word: word[0].isalnum(),
}


def reference(text, params):
    words = SPLITS[params.words](text)
    counted = SPLITS[params.counted_words or params.words](text)
    lengths = [len(w) for w in words if COUNTS[params.measured](w)]
    lines = LINES[params.lines](text)
    folded = (
        ["".join(c.lower() if len(c.lower()) == 1 else c for c in w) for w in words]
        if params.stop_words_lowercase
        else words
    )
    stops = [w for w in folded if w in params.stop_words]
    hashes, ellipses = sum(map(text.count, params.hashes)), sum(map(text.count, params.ellipses))
    return {
        "words": len([w for w in counted if COUNTS[params.counted](w)]),
        "mean_word_length": share(sum(lengths), len(lengths)),
        "median_word_length": statistics.median(lengths) if lengths else 0,
        "hash_ratio": share(hashes, len(words)),
        "ellipsis_ratio": share(ellipses, len(words)),
        "symbol_ratio": share(hashes + ellipses, len(words)),
        "bullet_lines_frac": share(sum(s.startswith(params.bullets) for s in lines), len(lines)),
        "ellipsis_lines_frac": share(sum(s.endswith(params.ellipses) for s in lines), len(lines)),
        "alpha_words_frac": share(sum(any(map(str.isalpha, w)) for w in words), len(words)),
        "stop_words": len(set(stops) if params.stop_words_counting == "distinct" else stops),
    }


pieces = st.sampled_from(
    ["the", "The", "BE", "be", "of", "ofof", "...", "....", "…", "#", "##", "-", "•", "* ", " ", " ",
     "\n", "\r\n", "\r", "\x1c", "\u2028", "\u3000", "\xa0", "é", "É", "字", "1", "\u0301", "²", "😀"]
)  # fmt: skip
texts_ = st.lists(pieces, max_size=30).map("".join)
params_ = st.builds(
    GopherQualityParams,
    words=st.sampled_from(list(SPLITS)),
    counted_words=st.sampled_from([None, *SPLITS]),
    counted=st.sampled_from(list(COUNTS)),
    measured=st.sampled_from(list(COUNTS)),
    lines=st.sampled_from(list(LINES)),
    hashes=st.sampled_from([("#",), ("#", "##")]),
    bullets=st.sampled_from([("•", "-"), ("●", "•", "*", "-"), ()]),
    stop_words=st.sampled_from([STOP_WORDS, ("é", "字"), ()]),
    stop_words_counting=st.sampled_from(["distinct", "occurrences"]),
    stop_words_lowercase=st.booleans(),
)


@settings(deadline=None)  # the first call compiles
@given(st.lists(texts_, max_size=4), params_)
def test_equals_the_reference(texts, params):
    assert measure(*texts, params=params) == [reference(t, params) for t in texts]


@settings(deadline=None)
@given(st.lists(st.none() | texts_, max_size=5), st.integers(0, 5))
def test_rows_are_independent(texts, cut):
    assert measure(*texts) == measure(*texts[:cut]) + measure(*texts[cut:])


# --- specs 2.2: the bounds are kept values ---


@pytest.mark.parametrize("count", [49, 50, 100_000, 100_001])
def test_words(count):
    assert one("word " * count, "words") == count


@pytest.mark.parametrize(
    ("text", "mean"),
    [("abc", 3), ("abc ab", 2.5), ("a" * 10, 10), ("a" * 11 + " " + "a" * 10, 10.5), ("空格", 2)],
)
def test_mean_word_length_is_in_characters(text, mean):
    assert one(text, "mean_word_length") == mean


@pytest.mark.parametrize("symbols", [1, 2])
def test_hash_and_ellipsis_ratio_around_a_tenth(symbols):
    plain = "word " * (10 - symbols)
    for symbol, name in (
        ("#tag ", "hash_ratio"),
        ("so... ", "ellipsis_ratio"),
        ("so… ", "ellipsis_ratio"),
    ):
        found = one(plain + symbol * symbols, name)
        assert found == symbols / 10
        assert (found <= 0.1) is (symbols == 1)


@pytest.mark.parametrize("symbols", [1, 2])
def test_symbols_of_both_kinds_around_a_tenth(symbols):
    found = one("word " * (20 - symbols) + "#tag... " * symbols, "symbol_ratio")
    assert found == symbols / 10
    assert (found <= 0.1) is (symbols == 1)


@pytest.mark.parametrize(
    ("text", "median"),
    [
        ("a bb", 1.5),
        ("a bb bb", 2),
        ("a " + "b" * 300, 150.5),
        ("b" * 300 + " " + "c" * 255, 277.5),
    ],
)
def test_median_word_length(text, median):
    assert one(text, "median_word_length") == median


def test_symbols_do_not_overlap_and_sum():
    assert one("......", "ellipsis_ratio") == 2
    assert one(".....", "ellipsis_ratio") == 1
    assert one("...… a", "ellipsis_ratio") == 1
    assert one("## a#", "hash_ratio") == 1.5


@pytest.mark.parametrize(("bullets", "kept"), [(9, True), (10, False)])
def test_bullet_lines_around_nine_tenths(bullets, kept):
    found = one("\n\n".join([" • item"] * bullets + ["text"] * (10 - bullets)), "bullet_lines_frac")
    assert found == bullets / 10
    assert (found <= 0.9) is kept


@pytest.mark.parametrize(("ends", "kept"), [(3, True), (4, False)])
def test_ellipsis_lines_around_three_tenths(ends, kept):
    for ellipsis in ("...", "…"):
        lines = [f"read more{ellipsis} \r"] * ends + ["text... x"] * (10 - ends)
        found = one("\n".join(lines), "ellipsis_lines_frac")
        assert found == ends / 10
        assert (found <= 0.3) is kept


@pytest.mark.parametrize(("numbers", "kept"), [(2, True), (3, False)])
def test_alphabetic_words_around_four_fifths(numbers, kept):
    found = one(" ".join(["1,000"] * numbers + ["x1"] * (10 - numbers)), "alpha_words_frac")
    assert found == (10 - numbers) / 10
    assert (found >= 0.8) is kept


@pytest.mark.parametrize(
    ("text", "distinct", "occurrences"),
    [
        ("the cat", 1, 1),
        ("the cat the", 1, 2),
        ("to be", 2, 2),
        ("The Be", 0, 2),
        ("the, to.", 0, 0),
    ],
)
def test_stop_words_around_two(text, distinct, occurrences):
    assert one(text, "stop_words") == distinct
    assert one(text, "stop_words", DCLM_STOP_WORDS) == occurrences


def test_punctuation_does_not_hide_unicode_words():
    params = GopherQualityParams(words="unicode")
    assert one("(the) 'end', to--be.", "stop_words", params) == 3
    assert one("(the) 'end', to--be.", "words", params) == 4
    assert one("我们的网站", "words", params) == 5


# --- rows and schema ---


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\u3000"])
def test_nothing_measures_zero(text):
    assert set(measure(text)[0].values()) == {0}


def test_null_and_hostile_texts():
    texts = [None, "\x00" * 50, "\u0301" * 5000, "x" * 2_000_000, "😀 " * 50_000, "שלום עולם..."]
    first, *others = measure(*texts)
    assert set(first.values()) == {None}
    assert others == [reference(t, DEFAULT) for t in texts[1:]]


def test_declared_schema_and_empty_table():
    for texts in ([], ["a"], [None]):
        rows = pa.table({"text": pa.array(texts, pa.string())})
        conform(gopher_quality(rows, DEFAULT), arrow_schema(COLUMNS), len(texts), "step")


@pytest.mark.parametrize(
    "bad", [{"words": "nltk"}, {"counted": "most"}, {"bullets": [""]}, {"min_words": 50}]
)
def test_unknown_parameters_are_refused(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        GopherQualityParams(**bad)


def test_real_texts_equal_the_reference(data_path):
    path = data_path / "text" / "open" / "quality_labels_en_dclm.jsonl.gz"
    with gzip.open(path, "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    for params in (DEFAULT, DCLM_STOP_WORDS):
        assert measure(*texts, params=params) == [reference(t, params) for t in texts]
