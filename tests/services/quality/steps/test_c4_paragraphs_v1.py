"""mC4's filter of paragraphs: at its thresholds, and against plain Python."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.quality.steps.c4_paragraphs_v1 import C4ParagraphsParams, c4_paragraphs
from shared.rules import KeepRule

RULE = KeepRule("paragraphs", "long_lines >= 3")


def measure(*texts, **params):
    rows = pa.table({"text": pa.chunked_array([texts], type=pa.large_string())})
    return c4_paragraphs(rows, C4ParagraphsParams(**params))


def keeps(text):
    return RULE.holds(measure(text)).to_pylist() == [True]


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.none() | st.text(st.sampled_from("aé字😀 \t\r\n\x85"), max_size=30), max_size=4),
    st.integers(1, 4),
)
def test_equals_the_reference(texts, size):
    assert measure(*texts, min_characters=size)["long_lines"].to_pylist() == [
        None if t is None else sum(len(line) >= size for line in t.split("\n")) for t in texts
    ]


@pytest.mark.parametrize("letter", ["a", "é", "字", " "])
def test_three_lines_of_two_hundred_characters(letter):
    long, short = letter * 200, letter * 199
    assert keeps(f"{long}\n{long}\n{long}")
    assert keeps(f"{short}\n{long}\n\n{long}\nx\n{long}\n")
    assert not keeps(f"{long}\n{long}\n{short}")
    assert not keeps(f"{long}\n{long}")
    assert not keeps(f"{long}\r{long}\r{long}")  # one line
    assert not keeps("")
