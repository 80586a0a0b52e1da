"""Words and lines against the programs whose conventions they are."""

import gzip
import json

import fasttext
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from uniseg.wordbreak import words as uniseg_words

from services.quality import segments
from services.quality.kernels import characters
from services.quality.kernels.word_break import _NAMES, table
from shared.text.segment import Segmented

#: A character or more of each value of Word_Break, joiners and pictographs in particular.
BREAKS = [
    *"ab1._'\":, -\r\n\u0301\u200d\u00ad",
    "א",
    "ア",
    "ﾞ",
    "字",
    "½",
    "é",
    "😀",
    "Ⓜ",
    "🇩",
    "·",
    "\u3000",
    "٬",
]
broken = st.lists(st.sampled_from(BREAKS), max_size=15).map("".join) | st.text(max_size=20)


def segmented(text):
    return Segmented(pa.chunked_array([[text]], pa.large_string()))


def strings(spans):
    raw = bytes(spans.data)
    return [raw[a:b].decode() for a, b in zip(spans.starts, spans.ends, strict=True)]


@settings(deadline=None, max_examples=400)  # the first call compiles
@given(broken)
@example("א'a א\"א a\"a 1.5 a.5 1,a ア_1 __a a\u200d😀b \u0301a a\u0301'b")
def test_uniseg_words(text):
    expected = [w for w in uniseg_words(text) if w[0].isalnum()]
    assert strings(segments.words(segmented(text), "uniseg")) == expected


def test_the_table_of_word_breaks_is_unicodes():
    from uniseg.wordbreak import word_break

    for code in range(0x3000):
        assert _NAMES[table()[code] & 0x1F] == word_break(chr(code)).value, hex(code)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["a", "é", "字", ".", " ", "\xa0", "\u3000", "\n", "\r", "\v", "\x1c", "\x00"]
        ),
        max_size=20,
    ).map("".join)
)
def test_fasttext_words(text):
    expected = [w for w in fasttext.FastText.tokenize(text) if w != "</s>"]
    assert strings(segments.words(segmented(text), "fasttext")) == expected


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["a", "é", " ", "\n", "\r", "\r\n", "\x0b", "\x1d", "\x85", "\u2028", "\u2027"]
        ),
        max_size=20,
    ).map("".join)
)
def test_lines_with_blank(text):
    spans = segments.lines(segmented(text), "with_blank")
    assert strings(spans) == [line.strip() for line in text.splitlines()]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", " ", "\n", "\n\n", "\u3000"]), max_size=20).map("".join))
def test_stripped_paragraphs(text):
    spans = segments.stripped(segmented(text).paragraphs("split"))
    assert strings(spans) == [p.strip() for p in text.split("\n\n") if p.strip()]


def test_classes_are_what_python_says():
    for code in (*range(0x3000), 0xAA41, 0x1F130, 0x1D400, 0xE0100):
        flags, c = characters.classes()[code], chr(code)
        assert bool(flags & characters.UPPER) == c.isupper()
        assert bool(flags & characters.DIGIT) == c.isdigit()
        assert bool(flags & characters.DECIMAL) == c.isdecimal()
        assert bool(flags & characters.SPACE) == c.isspace()
        assert bool(flags & characters.ALNUM) == c.isalnum()


def test_chosen_words():
    words = segmented("a .. #1 ?! …x ％ 字 ☃ (b)").words("whitespace")
    assert strings(segments.filtered(words, "not_punctuation")) == [
        "a",
        "#1",
        "…x",
        "字",
        "☃",
        "(b)",
    ]
    assert strings(segments.filtered(words, "alphanumeric")) == ["a", "字"]


def test_real_texts_have_unisegs_words(data_path):
    with gzip.open(data_path / "text" / "open" / "quality_labels_en_dclm.jsonl.gz", "rt") as lines:
        texts = [json.loads(next(lines))["text"][:3000] for _ in range(20)]
    for text in texts:
        expected = [w for w in uniseg_words(text) if w[0].isalnum()]
        assert strings(segments.words(segmented(text), "uniseg")) == expected
