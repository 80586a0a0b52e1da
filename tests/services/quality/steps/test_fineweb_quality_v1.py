"""FineWeb's measures: each at its threshold, and against plain Python."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.quality.data.terminal_marks import TERMINAL_MARKS
from services.quality.steps.fineweb_quality_v1 import (
    COLUMNS,
    FinewebQualityParams,
    fineweb_quality,
)
from shared.rules import KeepRule
from shared.schema import arrow_schema, conform

PLAIN = FinewebQualityParams(words="whitespace")
RULES = {
    "line_punct": KeepRule("line_punct", "line_punct_frac >= 0.12"),
    "short_lines": KeepRule("short_lines", "short_lines_frac <= 0.67"),
    "dup_lines": KeepRule("dup_lines", "dup_line_char_frac <= 0.01"),
    "newlines": KeepRule("newlines", "newline_word_ratio <= 0.3"),
    "filled": KeepRule("filled", "lines >= 1"),
    "exempt": KeepRule("exempt", "line_punct_frac >= 0.12 if line_punct == true"),
}


def table(*texts, params=PLAIN):
    rows = pa.table({"text": pa.chunked_array([texts], type=pa.large_string())})
    found = fineweb_quality(rows, params)
    return conform(found, arrow_schema(COLUMNS), len(texts), "fineweb").drop("error")


def one(text, params=PLAIN):
    return table(text, params=params).to_pylist()[0]


def keeps(rule, text, params=PLAIN):
    return RULES[rule].holds(table(text, params=params)).to_pylist() == [True]


def reference(text, params):
    """datatrove 0.10.1, FineWebQualityFilter and find_duplicates."""
    lines = [line for line in text.split("\n") if line.strip() != ""]
    seen, repeated = set(), 0
    for line in lines:
        repeated += len(line) if line in seen else 0
        seen.add(line)
    ends = sum(line.endswith(tuple(params.terminal_marks)) for line in lines)
    characters, words = len(text.replace("\n", "")), len(text.split())
    short = sum(len(line) <= params.short_line_characters for line in lines)
    return {
        "line_punct_frac": ends / len(lines) if lines else 0.0,
        "short_lines_frac": short / len(lines) if lines else 0.0,
        "dup_line_char_frac": repeated / characters if characters else 0.0,
        "newline_word_ratio": text.count("\n") / words if words else 0.0,
        "line_punct": ends > 0,
        "lines": len(lines),
    }


pieces = st.sampled_from(
    ["a", "word ", "a line.", "end!", "end?", "。", "字", "؟", "…", '."', ".)", " ", "\t", "\n",
     "\n\n", "\r\n", "\r", "\x85", "\u2028", "é", "😀", "𑅂"]
)  # fmt: skip
texts_ = st.lists(pieces, max_size=30).map("".join) | st.text(max_size=20)
params_ = st.builds(
    FinewebQualityParams,
    words=st.just("whitespace"),
    short_line_characters=st.sampled_from([0, 3, 30]),
    terminal_marks=st.sampled_from([TERMINAL_MARKS, ".", "", "é字"]),
)


@settings(deadline=None)  # the first call compiles
@given(st.lists(texts_, max_size=4), params_)
def test_equals_the_reference(texts, params):
    assert table(*texts, params=params).to_pylist() == [reference(t, params) for t in texts]


@settings(deadline=None)
@given(st.lists(st.none() | texts_, max_size=5), st.integers(0, 5))
def test_rows_are_independent(texts, cut):
    both = [table(*part).to_pylist() for part in (texts[:cut], texts[cut:])]
    assert table(*texts).to_pylist() == both[0] + both[1]


# --- specs 10.1: the bounds are kept values ---


@pytest.mark.parametrize(("ends", "kept"), [(12, True), (11, False)])
def test_lines_with_terminal_punctuation(ends, kept):
    text = "\n".join(["It ends."] * ends + ["It does not"] * (100 - ends))
    assert one(text)["line_punct_frac"] == ends / 100
    assert keeps("line_punct", text) is kept


def test_white_space_and_quotes_hide_the_mark():
    for end in (" ", "\r", '"', ")", "\u200b"):
        assert one(f"It ends.{end}\n")["line_punct_frac"] == 0
    assert one("It ends.\n  \nThis too!")["line_punct_frac"] == 1


@pytest.mark.parametrize("mark", TERMINAL_MARKS)
def test_each_mark_ends_a_line(mark):
    assert one(f"a line{mark}")["line_punct"] is True
    assert one(f"{mark}a line")["line_punct"] is False


def test_the_marks_are_punctuation_of_all_scripts():
    assert len(TERMINAL_MARKS) == len(set(TERMINAL_MARKS)) == 159
    assert {unicodedata.category(c) for c in TERMINAL_MARKS} <= {"Po", "Cn"}  # Cn: newer than here
    assert set(".!?。！？؟۔।") <= set(TERMINAL_MARKS)
    assert not set("\"':;,…") & set(TERMINAL_MARKS)


def test_pages_without_any_mark_may_be_exempt():
    none, few = "no end\nat all", "\n".join(["It ends.", *["It does not"] * 9])
    assert not keeps("line_punct", none)
    assert keeps("exempt", none)
    assert not keeps("exempt", few)
    assert keeps("exempt", few + "\nIt ends.")
    assert keeps("exempt", "")  # so that this variant needs the next rule too
    assert not keeps("filled", " \n ")
    assert keeps("filled", none)


@pytest.mark.parametrize(("size", "short"), [(30, True), (31, False)])
def test_a_short_line_has_thirty_characters(size, short):
    for letter in ("a", "字"):
        assert one(letter * size)["short_lines_frac"] == short
    assert one("a" * (size - 1) + " ")["short_lines_frac"] == short


@pytest.mark.parametrize(("lines", "kept"), [(67, True), (68, False)])
def test_short_lines(lines, kept):
    text = "\n".join(["short"] * lines + ["a" * 40] * (100 - lines))
    assert keeps("short_lines", text) is kept


@pytest.mark.parametrize(("size", "kept"), [(10, True), (11, False)])
def test_characters_in_lines_that_were_there_before(size, kept):
    line = "a" * size
    text = f"{line}\n{'b' * (1000 - 2 * size)}\n{line}\n\n"
    assert one(text)["dup_line_char_frac"] == size / 1000
    assert keeps("dup_lines", text) is kept


def test_lines_are_compared_as_they_are():
    assert one("aa\naa\naa")["dup_line_char_frac"] == 4 / 6
    assert one("aa\naa \nAA")["dup_line_char_frac"] == 0
    assert one(" \n \n \n \na")["dup_line_char_frac"] == 0


@pytest.mark.parametrize(("words", "kept"), [(10, True), (9, False)])
def test_line_feeds_among_words(words, kept):
    text = "word " * words + "\n\n\n"
    assert one(text)["newline_word_ratio"] == 3 / words
    assert keeps("newlines", text) is kept


@pytest.mark.parametrize(("feeds", "kept"), [(3, True), (4, False)])
def test_words_are_spacys_by_default(feeds, kept):
    text = "It isn't so, he said." + "\n" * feeds + "No."  # It is n't so , he said . No .
    assert one(text, FinewebQualityParams())["newline_word_ratio"] == feeds / 10
    assert keeps("newlines", text, FinewebQualityParams()) is kept


def test_a_text_of_nothing():
    assert not keeps("line_punct", " \n \n")
    assert set(one(None).values()) == {None}
    for text in ("", "\n\n"):
        assert not any(one(text).values())
