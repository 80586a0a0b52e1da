"""Segmentation against Python's own str and re, on hostile texts, slices and chunkings."""

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import segment as module
from shared.text.characters import END, LETTER, SPACE, flags
from shared.text.segment import Segmented, ratio, segment

HOSTILE = [
    "",
    " ",
    "\n",
    "\n\n\n",
    "\x00",
    "a\x00b\n\x00",
    "\u0301\u0301\u0301",
    "שלום עולם، مرحبا\u200cبک",
    "👩\u200d👩\u200d👧 👍🏽",
    "\u3000全角\u3000空白\n\u2028x\u0085y",
    "x" * 1_000_000,
    "\U0010ffff\ue000",
    "\ufeffword\r\n\r\nnext\x1cone",
]
pieces = st.sampled_from(
    [
        "\n",
        "\n\n",
        " ",
        "\u3000",
        "\r\n",
        "a",
        "B",
        "é",
        "字",
        "か",
        "1",
        "'",
        ".",
        "\u0301",
        "😀",
        "\x00",
    ]
)
texts = (
    st.lists(pieces, max_size=14).map("".join)
    | st.text(max_size=12)
    | st.sampled_from(HOSTILE[:-1])
)


def column(*values, kind=None):
    return pa.chunked_array([values], type=kind or pa.large_string())


def strings(spans):
    raw = spans.data.tobytes()
    found = [raw[a:b].decode() for a, b in zip(spans.starts, spans.ends, strict=True)]
    return [found[a:b] for a, b in zip(spans.bounds[:-1], spans.bounds[1:], strict=True)]


def one(text, name):
    return strings(Segmented(column(text)).spans(name))[0]


def blocks(text):
    """Paragraphs as runs of lines between blank ones."""
    found, run = [], []
    for line in [*text.split("\n"), ""]:
        if line.strip():
            run.append(line)
        elif run:
            found.append("\n".join(run).strip())
            run = []
    return found


REFERENCES = {
    "words:whitespace": str.split,
    "lines:filled": lambda t: [s.strip() for s in t.split("\n") if s.strip()],
    "lines:split": lambda t: re.split(r"\n+", t),
    "paragraphs:blocks": blocks,
    "paragraphs:split": lambda t: re.split(r"\n{2,}", t.strip()),
}


@pytest.mark.parametrize("name", REFERENCES)
@settings(deadline=None)  # the first call compiles
@given(rows=st.lists(texts, max_size=4))
def test_equals_plain_python(name, rows):
    assert strings(Segmented(column(*rows)).spans(name)) == [REFERENCES[name](t) for t in rows]


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile(name, text):
    assert one(text, name) == REFERENCES[name](text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Don't stop, it\u2019s 3.14 or 1,000.",
            ["Don't", "stop", "it\u2019s", "3.14", "or", "1,000"],
        ),
        ("rock 'n' roll's'", ["rock", "n", "roll's"]),
        ("end.Start 3.a a.3", ["end", "Start", "3", "a", "a", "3"]),
        ("漢字とかな、カナー。", list("漢字とかなカナー")),
        ("か\u3099字\U000e0100x9年", ["か\u3099", "字\U000e0100", "x9", "年"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("e\u0301te\u0301 co\u00adop", ["e\u0301te\u0301", "co\u00adop"]),
        ("😀 -- ... #! \u0301", []),
        ("a'字 a'b", ["a", "字", "a'b"]),
        ("½ Ⅷ x²", ["½", "Ⅷ", "x²"]),
        ("", []),
    ],
)
def test_unicode_words(text, words):
    assert one(text, "words:unicode") == words


@settings(deadline=None)  # the first call compiles
@given(texts)
def test_unicode_words_hold_every_letter_and_digit_once_in_order(text):
    wanted = [c for c in text if unicodedata.category(c)[0] in "LN"]
    words = one(text, "words:unicode")
    assert [c for w in words for c in w if unicodedata.category(c)[0] in "LN"] == wanted
    assert not any(c.isspace() for w in words for c in w)


def test_flags_are_those_of_python():
    table = flags()
    codes = [c for c in range(END) if not 0x40000 <= c < 0xE0000]
    assert [c for c in codes if table[c] & SPACE] == [c for c in codes if chr(c).isspace()]
    assert [c for c in codes if table[c] & LETTER] == [c for c in codes if chr(c).isalpha()]


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.none() | texts, max_size=6), st.integers(0, 3), st.booleans())
def test_rows_are_independent_of_column_type_slice_and_chunks(rows, skip, large):
    kind = pa.large_string() if large else pa.string()
    array = pa.array(rows, kind).slice(skip)
    parts = pa.chunked_array([array.slice(0, 1), array.slice(1)], kind)
    for name in (*REFERENCES, "words:unicode", "words:spacy", "sentences:spacy"):
        spans = Segmented(parts).spans(name)
        alone = [one(t or "", name) for t in rows[skip:]]
        assert strings(spans) == alone
        assert spans.counts.tolist() == [len(s) for s in alone]
        flat = [s for part in alone for s in part]
        assert spans.characters.tolist() == [len(s) for s in flat]
        assert spans.have(LETTER).tolist() == [any(c.isalpha() for c in s) for s in flat]
        assert spans.sums(spans.characters).tolist() == [sum(map(len, s)) for s in alone]
        same = {
            (a == b, x == y)
            for a, x in zip(flat, spans.hashes, strict=True)
            for b, y in zip(flat, spans.hashes, strict=True)
        }
        assert same <= {(True, True), (False, False)}


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.none() | texts, max_size=4))
def test_characters_and_counts_of_a_text(rows):
    segmented = Segmented(column(*rows))
    assert segmented.characters.tolist() == [len(t or "") for t in rows]
    assert segmented.valid.tolist() == [t is not None for t in rows]
    assert segmented.count(("aa", "\n")).tolist() == [
        (t or "").count("aa") + (t or "").count("\n") for t in rows
    ]


def test_hashes_of_characters_in_lower_case():
    whole = Segmented(column("The ÉTÉ", "the été", "the Été", "𐐀", "𐐨")).whole
    upper, lower, *_ = whole.character_hashes(lowercase=False)
    assert upper != lower
    a, b, c, d, e = whole.character_hashes(lowercase=True)
    assert a == b == c
    assert d == e != a


def test_no_rows():
    for empty in (
        pa.chunked_array([], pa.string()),
        pa.chunked_array([pa.array([], pa.large_string())]),
    ):
        segmented = Segmented(empty)
        assert all(strings(segmented.spans(name)) == [] for name in REFERENCES)
        assert segmented.characters.tolist() == []


def test_bytes_that_are_no_utf8_are_read_within_their_text():
    offsets = pa.py_buffer(np.array([0, 2, 5], np.int32).tobytes())
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xf0\xff\xfea")])
    segmented = Segmented(pa.chunked_array([broken]))
    for name in (*REFERENCES, "words:unicode"):
        spans = segmented.spans(name)
        assert (spans.ends[spans.bounds[0] : spans.bounds[1]] <= 2).all()
        assert (spans.ends <= 5).all()


def test_the_last_column_is_remembered_by_its_memory():
    texts = column("one two", "three")
    first = segment(texts)
    assert segment(texts) is first
    assert segment(pa.table({"text": texts})["text"]) is first
    assert segment(texts.slice(1)) is not first
    assert strings(segment(texts.slice(1)).words("whitespace")) == [["three"]]
    assert segment(column("one two", "three")) is not first


NAMES = (*REFERENCES, "words:unicode", "words:spacy", "sentences:spacy")
rows_and_kept = st.lists(st.tuples(st.none() | texts, st.booleans(), st.booleans()), max_size=6)


@settings(deadline=None)  # the first call compiles
@given(rows_and_kept, st.booleans())
def test_rows_that_are_left_share_the_segments_of_all(rows, hashed):
    table = pa.table({"text": column(*(text for text, _, _ in rows))})
    first = segment(table["text"])
    for name in NAMES:
        assert not hashed or len(first.spans(name).hashes) == len(first.spans(name).starts)
    once = table.filter(pa.array([kept for _, kept, _ in rows], pa.bool_()))
    segment(once["text"])
    twice = once.filter(pa.array([still for _, kept, still in rows if kept], pa.bool_()))
    shared, alone = segment(twice["text"]), Segmented(twice["text"])
    for name in NAMES:
        ours, wanted = shared.spans(name), alone.spans(name)
        assert strings(ours) == strings(wanted)
        assert ours.hashes.tolist() == wanted.hashes.tolist()
        assert ours.characters.tolist() == wanted.characters.tolist()
        begins = np.repeat(shared.begins, ours.counts), np.repeat(alone.begins, wanted.counts)
        assert (ours.starts - begins[0]).tolist() == (wanted.starts - begins[1]).tolist()
    assert strings(shared.whole) == strings(alone.whole)
    assert shared.valid.tolist() == alone.valid.tolist()
    assert shared.count(("a",)).tolist() == alone.count(("a",)).tolist()


def test_rows_that_are_left_are_not_segmented_again(monkeypatch):
    texts = column("one two", "x" * 200, None, "three", "x" * 199 + "y", "four five")
    first = segment(texts)
    first.words("whitespace")
    assert segment(column(*texts.to_pylist())) is first
    monkeypatch.setattr(Segmented, "_find", None)  # nothing is to be computed
    left = segment(texts.take([0, 2, 4, 5]))
    assert strings(left.words("whitespace")) == [
        ["one", "two"],
        [],
        ["x" * 199 + "y"],
        ["four", "five"],
    ]
    assert strings(segment(texts.take([4])).words("whitespace")) == [["x" * 199 + "y"]]


@pytest.mark.parametrize(
    "rows", [["b", "a"], ["a", "a"], ["a", "c"], ["ab"], ["x" * 63 + "y" + "x" * 70]]
)
def test_rows_that_are_others_are_segmented_anew(rows):
    segment(column("a", "b", "x" * 134)).words("whitespace")
    assert strings(segment(column(*rows)).words("whitespace")) == [[text] for text in rows]


def test_memory_of_a_remembered_column_is_not_used_again():
    for i in range(50):
        assert strings(segment(column(f"{i:03d}")).words("whitespace")) == [[f"{i:03d}"]]


def test_a_share_of_nothing_is_zero():
    assert ratio(np.array([1, 0, 3]), np.array([2, 0, 4])).tolist() == [0.5, 0.0, 0.75]


def test_the_columns_that_are_remembered_do_not_pile_up():
    for n in range(100):
        segmented = module.segment(pa.chunked_array([[None if n % 2 else ""]], pa.large_string()))
        assert segmented.spans("words:whitespace").bounds.tolist() == [0, 0]
        assert segmented.depth <= module._LONGEST_CHAIN


def test_columns_of_nothing_follow_each_other():
    """Of an empty column a buffer may be empty, or absent."""
    empty = pa.chunked_array([[]], pa.large_string())
    taken = pa.chunked_array([["a"]], pa.large_string()).take(pa.array([], pa.int64()))
    for column in (empty, taken, empty):
        assert module.segment(column).rows == 0
