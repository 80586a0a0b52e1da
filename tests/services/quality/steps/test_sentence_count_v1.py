"""Sentences of what is left of a page, and C4's threshold."""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.quality.steps.c4_quality_v1 import C4QualityParams, c4_quality
from services.quality.steps.sentence_count_v1 import SentenceCountParams, sentence_count
from shared.rules import KeepRule

KEPT = KeepRule("sentences", "sentences >= 3")


def count(*texts, **params):
    rows = pa.table({"text": pa.array(texts, pa.large_string())})
    return sentence_count(rows, SentenceCountParams(**params))


def counts(*texts, **params):
    return count(*texts, **params)["sentences"].to_pylist()


def by_expression(text):
    """Marks, maybe closing signs, white space, and something after it; an ellipsis asks for A-Z."""
    found = re.finditer(r"([.?!]+)[\"')\]}*]*\s+(?=(\S))", text.strip())
    ends = [m for m in found if not m[1].endswith("..") or "A" <= m[2] <= "Z"]
    return len(ends) + bool(text.strip())


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text("aB.?!\"') \n\u3000é", max_size=25), max_size=4))
def test_equals_an_expression(texts):
    assert counts(*texts) == [by_expression(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One.\nTwo!\nThree?", 3),
        ('She said "yes"\nand then "no"', 1),  # a line's end alone ends none
        ("One. Two.", 2),
        ("", 0),
        (" \n", 0),
        ("no mark", 1),
        ("Dr. Smith came.", 2),
    ],
)
def test_by_hand(text, expected):
    assert counts(text) == [expected]


@pytest.mark.parametrize(("text", "kept"), [("A b.\nC d.", False), ("A b.\nC d.\nE f.", True)])
def test_c4s_threshold(text, kept):
    table = count(text)
    assert KEPT.holds({"sentences": table["sentences"]}).to_pylist() == [kept]


def test_lines_that_end_in_marks_count_as_c4_counts_them():
    """Line by line in the cleaning, over the whole text afterwards: the same, where marks end all."""
    text = "The first line of the page has six words.\nIs the second line a question? Yes, it is!"
    rows = pa.table({"text": pa.array([text], pa.large_string())})
    assert c4_quality(rows, C4QualityParams())["sentences"].to_pylist() == counts(text) == [3]


def test_spacys_sentences():
    """As datatrove counts: a text of nothing is a sentence."""
    assert counts("One. Two.\nThree", "", None, sentences="spacy") == [3, 1, None]


def test_nulls():
    assert counts(None, "a", None) == [None, 1, None]
    assert counts() == []
