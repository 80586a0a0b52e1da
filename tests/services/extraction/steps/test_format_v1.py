"""RefinedWeb's formatting: URLs and surplus newlines."""

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extraction.steps.format_v1 import URL, find_edits, format_v1
from shared.schema import EDITS_TYPE
from shared.step import NoParams


def apply(text: str, edits) -> str:
    data, at, parts = text.encode(), 0, []
    for edit in edits:
        assert at <= edit["start"] < edit["end"] <= len(data)
        parts += [data[at : edit["start"]], edit["text"].encode()]
        at = edit["end"]
    return b"".join([*parts, data[at:]]).decode()


CASES = [
    ("no address here.", "no address here."),
    ("see http://example.org/a?b=c#d now", "see  now"),
    ("see https://example.org.", "see ."),
    ("(ftp://example.org/x)", "()"),
    ("WWW.Example.org is up", " is up"),
    ("awww. cute", "awww. cute"),
    ("www.", "www."),
    ("http://", "http://"),
    ('<a href="http://example.org">x</a>', '<a href="">x</a>'),
    ("\u8bf7\u8bbf\u95eehttp://example.org\u67e5\u770b", "\u8bf7\u8bbf\u95ee\u67e5\u770b"),
    ("K\u00f6ln: http://de.example.org/wiki/K\u00f6ln!", "K\u00f6ln: !"),
    ("a\n\nb", "a\n\nb"),
    ("a\n\n\nb", "a\n\nb"),
    ("a\n\n\n\n\n\nb\n\n\n", "a\n\nb\n\n"),
    ("a\n\nhttp://example.org\n\nb", "a\n\nb"),
    ("a\nhttp://example.org\nb", "a\n\nb"),
    ("a\n http://example.org\n\nb", "a\n \n\nb"),
    ("http://a.org\nhttp://b.org\nhttp://c.org\nhttp://d.org\n", "\n\n"),
    ("\U0001f600 http://x.org \U0001f600", "\U0001f600  \U0001f600"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_cases(text, expected):
    assert apply(text, find_edits(text)) == expected


_ADDRESSES = ["http://", "https://", "ftp://", "HTTP", "http", "h", "www.", "ww", "w", ":", "//"]
_BETWEEN = ["/", ".", ",", ")", "_", '"', "a", " ", "\n", "\n\n", "\t", "\r"]
_BEYOND_ASCII = ["\u00e9", "\u67e5", "\u3002", "\U0001f600"]
PIECES = st.sampled_from([*_ADDRESSES, *_BETWEEN, *_BEYOND_ASCII])


@given(st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=80)))
def test_no_url_and_no_run_of_newlines_is_left(text):
    edits = find_edits(text)
    left = apply(text, edits)
    assert not URL.search(left)
    assert "\n\n\n" not in left
    assert find_edits(left) == []
    assert all(a["end"] < b["start"] for a, b in pairwise(edits))


@given(st.lists(st.one_of(st.none(), st.lists(PIECES).map("".join)), max_size=6))
def test_rows_are_independent_and_nulls_stay(texts):
    column = pa.array(texts, pa.large_string())
    out = format_v1(pa.table({"text": column}), NoParams())["edits"].combine_chunks()
    assert out.type == EDITS_TYPE
    assert out.to_pylist() == [None if t is None else find_edits(t) for t in texts]


@pytest.mark.parametrize(
    "text",
    ["http://" + "." * 10**6, "www." * 10**6, "\n" * 10**6, "\u0301" * 10**6 + "\n\n\n"],
)
def test_long_hostile_texts_end(text):
    left = apply(text, find_edits(text))
    assert "\n\n\n" not in left
    assert not URL.search(left)
