"""Edits: spans cut or replaced in a column of texts."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import PermanentError
from shared.schema import EDITS_TYPE
from shared.text.edits import apply_edits


def edited(texts, edits, text_type=None):
    column = pa.chunked_array([texts], type=text_type or pa.large_string())
    rows = [
        None if row is None else [{"start": s, "end": e, "text": t} for s, e, t in row]
        for row in edits
    ]
    return apply_edits(column, pa.chunked_array([rows], type=EDITS_TYPE))


def test_cut_replace_insert():
    result = edited(
        ["one two three", "unchanged", "空格 here", "", None],
        [[(0, 4, ""), (4, 7, "2"), (13, 13, "!")], None, [(0, 6, None)], [(0, 0, "new")], None],
    )
    assert result.to_pylist() == ["2 three!", "unchanged", " here", "new", None]
    assert result.type == pa.large_string()


def test_null_text_stays_null_whatever_its_edits():
    assert edited([None, "ab"], [[(0, 5, "x")], [(1, 2, "")]]).to_pylist() == [None, "a"]


def test_nothing_to_do():
    assert edited(["a", None], [None, []]).to_pylist() == ["a", None]
    assert edited([], []).to_pylist() == []
    empty = apply_edits(pa.chunked_array([], pa.string()), pa.chunked_array([], EDITS_TYPE))
    assert len(empty) == 0
    assert empty.type == pa.large_string()


@pytest.mark.parametrize(
    "edits",
    [
        [(0, 4, "")],
        [(-1, 1, "")],
        [(2, 1, "")],
        [(0, 2, ""), (1, 3, "")],
        [(2, 3, ""), (0, 1, "")],
    ],
)
def test_malformed_edits_raise(edits):
    with pytest.raises(PermanentError, match="row 1"):
        edited(["abc", "abc"], [None, edits])


@pytest.mark.parametrize("span", [(1, 3), (0, 2), (1, 1)])
def test_a_split_character_raises(span):
    with pytest.raises(PermanentError, match="splits a character"):
        edited(["空"], [[(*span, "x")]])


def test_row_counts_must_agree():
    with pytest.raises(PermanentError, match="2 lists of edits for 1 texts"):
        edited(["a"], [None, None])


def reference(text, edits):
    if text is None or edits is None:
        return text
    raw, out, position = text.encode(), b"", 0
    for start, end, new in edits:
        out += raw[position:start] + (new or "").encode()
        position = end
    return (out + raw[position:]).decode()


@st.composite
def text_with_edits(draw):
    text = draw(st.none() | st.text(max_size=12))
    if text is None:
        return text, draw(st.sampled_from([None, [], [(0, 3, "x")]]))
    marks = [len(text[:i].encode()) for i in range(len(text) + 1)]
    cuts = sorted(draw(st.lists(st.sampled_from(marks), max_size=6)))
    new = st.none() | st.text(max_size=3)
    pairs = [(a, b, draw(new)) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    return text, draw(st.sampled_from([pairs, pairs, None]))


@given(st.lists(text_with_edits(), max_size=6), st.integers(0, 3), st.booleans())
def test_equals_plain_python_on_any_slice_and_chunking(rows, skip, large):
    texts, edits = [t for t, _ in rows], [e for _, e in rows]
    kind = pa.large_string() if large else pa.string()
    structs = [
        None if e is None else [dict(zip(("start", "end", "text"), x, strict=True)) for x in e]
        for e in edits
    ]
    whole = pa.array(texts, kind).slice(skip)
    cut = len(whole) // 2
    result = apply_edits(
        pa.chunked_array([whole.slice(0, cut), whole.slice(cut)]),
        pa.chunked_array([pa.array(structs, EDITS_TYPE).slice(skip)]),
    )
    result.validate(full=True)
    assert result.to_pylist() == [reference(t, e) for t, e in rows[skip:]]
    single = apply_edits(
        pa.chunked_array([whole]), pa.chunked_array([pa.array(structs, EDITS_TYPE).slice(skip)])
    )
    assert single.to_pylist() == result.to_pylist()
