"""Normal forms: published cases by hand, and Python's string methods as the second opinion."""

import re
import string
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels.compiled import texts_of
from services.dedup.kernels.normalise import capacity, normalise, normalise_all
from services.dedup.normalization import NORMALIZATIONS, table_of

#: datatrove 0.10.1's punctuation beyond ASCII and the controls.
MORE_PUNCTUATION = (
    "\xab\xb4\xbb\u2013\u2014\u2019\u201c\u201d\u201e\u2026\u2236\u2501\u25ba\u3001\u3002\u3008"
    "\u3009\u300a\u300b\u300c\u300d\u3010\u3011\uff01\uff05\uff08\uff09\uff0c\uff0e\uff11\uff1a"
    "\uff1b\uff1f\uff5e"
)
CONTROLS = "".join(map(chr, [*range(9), 11, 12, *range(13, 32), *range(127, 160)]))
#: Folding that looks at neighbours, which the tables do not do (see the module): sigma at the end
#: of a word, and the order of marks.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="Σς"), max_size=60)
HOSTILE = [
    "",
    "\0",
    "\0a\0",
    " \t\n\u3000 ",
    "\u0301" * 50,
    "e\u0301\u0300\u0316",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "👩‍👩‍👧 \U0010ffff \ue000",
    "ﷺ ΐ \U0001d160 각 İstanbul ŉ ẞ",
    "...1.2.3,4,,5. 6",
]


def normal(text: str, name: str, *, split: bool = False) -> str:
    data = np.frombuffer(text.encode(), np.uint8)
    table = table_of(name)
    out = np.empty(capacity(len(data), table), np.uint8)
    return out[: normalise(data, 0, len(data), table, split, out, 0)].tobytes().decode()


def simplify(text: str) -> str:
    """What datatrove's simplify_text does, by whole strings."""
    digits = "".join(c for c in set(text.lower()) if unicodedata.category(c) == "Nd") or "0"
    text = re.sub(f"[{digits}]+([.,،٫⎖⎗⎘][{digits}]+)?", "0", text.lower())
    punctuation = string.punctuation + MORE_PUNCTUATION + CONTROLS
    text = text.translate(str.maketrans(punctuation, " " * len(punctuation)))
    return " ".join(unaccented(text).split())


def unaccented(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")


def refinedweb(text: str) -> str:
    kept = "".join(c for c in text.lower() if not unicodedata.category(c).startswith("P"))
    return " ".join(unaccented(kept).split())


def ascii_folded(text: str) -> str:
    return " ".join(text.lower().translate(str.maketrans("", "", string.punctuation)).split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,   World!", "hello world"),
        ("It's 1,234.5 km", "it s 0 0 km"),
        ("1|2 and 12", "0 0 and 0"),
        ("v3.14.15", "v0 0"),
        ("3.", "0"),
        ("3.a", "0 a"),
        ("٣٫١٤", "0"),
        ("Ça élève Ångström", "ca eleve angstrom"),
        ("a\u0301 \u0301 b", "a b"),
        ("你好，世界。", "你好 世界"),
        ("ガ", "カ"),
        ("ΟΔΟΣ οδος", "οδοσ οδοσ"),
        ("!?!", ""),
    ],
)
def test_simplify(text, expected):
    assert normal(text, "simplify") == expected


def test_other_foldings():
    assert normal("Don't, 3.5 É", "refinedweb") == "dont 35 e"
    assert normal("Don’t «É»", "refinedweb") == "dont e"
    assert normal("Don't É”", "redpajama") == "dont e\u0301”"
    assert normal("Don't É”", "map_neo") == "dont é”"
    assert normal(" A,\u00a0b\n", "none") == "A, b"


def test_scripts_without_spaces_are_split_where_asked():
    assert normal("你好 wor你ld. 3ไท", "none", split=True) == "你 好 wor 你 ld. 3 ไ ท"
    assert normal("你好 world", "none") == "你好 world"
    assert normal("한국어 텍스트", "none", split=True) == "한국어 텍스트"


@settings(deadline=None)  # the first call compiles
@given(texts)
def test_equals_whole_string_methods(text):
    assert normal(text, "simplify") == simplify(text)
    assert normal(text, "refinedweb") == refinedweb(text)
    assert normal(text, "map_neo") == ascii_folded(text)
    assert normal(text, "none") == " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts(text):
    assert normal(text, "simplify") == simplify(text)
    assert normal(text, "refinedweb") == refinedweb(text)
    assert normal(text, "map_neo") == ascii_folded(text)


def test_every_code_point_is_folded_as_its_string_is():
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    column = pa.chunked_array([pa.array(characters, pa.large_string())])
    out, offsets = normalise_all(texts_of(column), table_of("simplify"))
    forms = pa.LargeStringArray.from_buffers(
        len(characters), pa.py_buffer(offsets), pa.py_buffer(out)
    ).to_pylist()
    folded = {}
    blanks = set(string.punctuation + MORE_PUNCTUATION + CONTROLS)
    for c in characters:
        lower = c.lower()
        if unicodedata.category(lower[0]) == "Nd":
            folded[c] = "0"
        elif lower in blanks or lower.isspace():
            folded[c] = ""
        else:
            folded[c] = unaccented(lower)
    wrong = [c for c, form in zip(characters, forms, strict=True) if form != folded[c]]
    assert wrong == ["ς"]  # folded into sigma, on purpose


@settings(deadline=None)  # the first call compiles
@given(texts)
def test_normal_forms_are_stable_and_bounded(text):
    for name in NORMALIZATIONS:
        for split in (False, True):
            once = normal(text, name, split=split)
            assert len(once.encode()) <= capacity(len(text.encode()), table_of(name))
            assert once == once.strip(" ")
            assert "  " not in once
            if name != "redpajama":  # decomposed marks are not reordered
                assert normal(once, name, split=split) == once


def test_a_line_of_a_megabyte():
    assert normal("ΐ" * 2**20, "redpajama") == "ι\u0308\u0301" * 2**20
