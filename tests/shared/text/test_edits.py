"""Edits: spans cut or replaced in a column of texts."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import PermanentError
from shared.schema import EDITS_TYPE, SPANS_TYPE
from shared.text.edits import apply_edits, move_spans


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


def moved(spans, edits):
    raw = [None if r is None else [{"start": s, "end": e} for s, e in r] for r in spans]
    changes = [[{"start": s, "end": e, "text": t} for s, e, t in r] for r in edits]
    found = move_spans(
        pa.chunked_array([raw], type=SPANS_TYPE), pa.chunked_array([changes], type=EDITS_TYPE)
    )
    assert found.type == SPANS_TYPE
    return [None if r is None else [(s["start"], s["end"]) for s in r] for r in found.to_pylist()]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ((0, 5, ""), (5, 15)),  # before it
        ((20, 30, ""), (10, 20)),  # behind it
        ((10, 20, ""), (10, 10)),  # all of it: nothing is left
        ((8, 12, ""), (8, 16)),  # its start
        ((8, 12, "abc"), (8, 19)),  # what replaces a part of it belongs to it
        ((18, 30, "abc"), (10, 21)),
        ((10, 10, "abc"), (13, 23)),  # at its edges: outside
        ((20, 20, "abc"), (10, 20)),
        ((15, 15, "abc"), (10, 23)),
        ((15, 15, None), (10, 20)),
    ],
)
def test_a_span_is_found_after_an_edit(edit, expected):
    assert moved([[(10, 20)]], [[edit]]) == [[expected]]


def test_spans_without_edits_and_rows_without_spans():
    assert moved([[(1, 2)], None, []], [[], [(0, 1, "")], [(0, 1, "")]]) == [[(1, 2)], None, []]
    assert moved([None, [(3, 4)]], [[(0, 1, "")], [(0, 1, "")]]) == [None, [(2, 3)]]
    with pytest.raises(PermanentError, match="1 lists of edits for 2"):
        moved([[], []], [[]])


@st.composite
def spans_and_edits(draw):
    """Of a text of 30 bytes: sorted spans, sorted edits."""
    edges = sorted(draw(st.lists(st.integers(0, 30), max_size=8)))
    spans = [(s, e) for s, e in zip(edges[::2], edges[1::2], strict=False) if s < e]
    edges = sorted(draw(st.lists(st.integers(0, 30), max_size=8)))
    texts = st.sampled_from(["", "x", "yyyyyy"])
    return spans, [(s, e, draw(texts)) for s, e in zip(edges[::2], edges[1::2], strict=False)]


@given(st.lists(spans_and_edits(), min_size=1, max_size=4))
def test_spans_hold_after_edits_what_they_held_before(rows):
    found = moved([spans for spans, _ in rows], [edits for _, edits in rows])
    for (spans, edits), after in zip(rows, found, strict=True):
        marks = [any(s <= i < e for s, e in spans) for i in range(30)]
        for start, end, text in reversed(edits):
            touched = any(s < end and start < e for s, e in spans)
            marks[start:end] = [touched] * len(text)
        covered = [any(s <= i < e for s, e in after) for i in range(len(marks))]
        assert covered == marks
