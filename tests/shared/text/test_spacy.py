"""spaCy's words and sentences against datatrove 0.10.1: stored answers, and the live reference."""

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.text.segment import Segmented
from shared.text.spacy_en.strings import find, string_set
from shared.text.spacy_en.tables import FILE, SPACE, tables

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-bench/bin/python"
SERVER = ROOT / "scripts/parity/segmentation_server.py"
VECTORS = json.loads(Path(__file__).with_name("segmentation_vectors.json").read_text())
KNOWN = json.loads(FILE.read_text())

specials = st.sampled_from([rule.replace(" ", "") for rule in KNOWN["specials"]])
patterns = st.sampled_from([rule.replace(" ", "") for rule in KNOWN["patterns"]])
tails = st.sampled_from(KNOWN["after_digit"]).map(lambda tail: "5" + tail)
marks = st.sampled_from(
    [*".,:;!?'\"()[]{}<>+-*/^=~_#&%$|\\@\u2013\u2014\u2026\u2019\u201c\u201d°€§"]
)
words = st.sampled_from(
    [
        *[
            "a",
            "B",
            "7",
            "word",
            "Word",
            "WORD",
            "example",
            ".com",
            "www.",
            "http://",
            "8.8.",
            "10.",
        ],
        *[
            "é",
            "É",
            "ж",
            "Ж",
            "字",
            "。",
            "か",
            "א",
            "ع",
            "٣",
            "😀",
            "\u200d",
            "\u0301",
            "\u00ad",
            "\x00",
        ],
        *["US$", "--", "'s", "..."],
    ]
)
spaces = st.sampled_from([" ", " ", " ", "  ", "\n", " \n", "\n\n", "\t", "\u3000"])
chunks = st.lists(
    specials | patterns | tails | marks | words | st.characters(codec="utf-8"),
    min_size=1,
    max_size=5,
)
texts = st.lists(chunks.map("".join) | spaces | st.just(" "), max_size=8).map("".join)


def strings(spans):
    raw = spans.data.tobytes()
    found = [raw[a:b].decode() for a, b in zip(spans.starts, spans.ends, strict=True)]
    return [found[a:b] for a, b in zip(spans.bounds[:-1], spans.bounds[1:], strict=True)]


def ours(*rows):
    segmented = Segmented(pa.chunked_array([rows], pa.large_string()))
    return strings(segmented.words("spacy")), strings(segmented.sentences("spacy"))


@pytest.fixture(scope="module")
def reference():
    """A function from a text to the reference's words and sentences."""
    if not PYTHON.is_file():
        pytest.skip("datatrove's environment is absent: make .venv-bench/installed")
    with subprocess.Popen(
        [PYTHON, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def ask(text):
            server.stdin.write(json.dumps(text) + "\n")
            server.stdin.flush()
            return json.loads(server.stdout.readline())

        yield ask


@pytest.mark.parametrize("kind", VECTORS)
def test_equals_the_stored_answers(kind):
    cases = VECTORS[kind]
    found_words, found_sentences = ours(*(case["text"] for case in cases))
    assert found_words == [case["words"] for case in cases]
    assert found_sentences == [[s.strip() for s in case["sentences"]] for case in cases]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts)
@example("IS_ALPHA ORTH")
@example("x:) y:)z : )")
def test_equals_the_reference(reference, text):
    words, sentences = reference(text)
    found_words, found_sentences = ours(text)
    assert found_words == [words]
    assert found_sentences == [[s.strip() for s in sentences]]


def test_the_stored_answers_are_the_references(reference):
    for case in [case for kind in VECTORS.values() for case in kind]:
        assert reference(case["text"]) == [case["words"], case["sentences"]]


@settings(deadline=None)  # the first call compiles
@given(st.lists(texts, max_size=4))
def test_words_are_all_but_white_space_in_order(rows):
    found, sentences = ours(*rows)
    assert ["".join(row) for row in found] == ["".join(text.split()) for text in rows]
    assert ["".join("".join(row).split()) for row in sentences] == [
        "".join(t.split()) for t in rows
    ]
    assert all(sentences)


def test_a_null_has_the_segments_of_an_empty_text():
    assert ours(None, "", "a.") == ([[], [], ["a."]], [[""], [""], ["a."]])


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=4))
def test_bytes_that_are_no_utf8_are_read_within_their_text(rows):
    places = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    buffers = [None, pa.py_buffer(places.tobytes()), pa.py_buffer(b"".join(rows))]
    broken = pa.Array.from_buffers(pa.large_string(), len(rows), buffers)
    segmented = Segmented(pa.chunked_array([broken]))
    for spans in (segmented.words("spacy"), segmented.sentences("spacy")):
        for row in range(len(rows)):
            part = slice(spans.bounds[row], spans.bounds[row + 1])
            assert (spans.starts[part] >= places[row]).all()
            assert (spans.ends[part] <= places[row + 1]).all()
            assert (spans.starts[part] <= spans.ends[part]).all()


@pytest.mark.parametrize(
    "unit",
    [
        "(",
        ".",
        ",",
        "'s",
        "a.",
        "a-",
        "--",
        "@",
        "a@b.",
        "5km",
        ":)",
        "1.1.1.1",
        "://",
        "字",
        "😀",
        "\u2026",
        "e.g.",
        "a\u0301",
    ],
)
def test_long_chunks_take_time_in_proportion(unit):
    text = unit * (1_000_000 // len(unit.encode()))
    ours("warm")
    started = time.process_time()
    found, _ = ours(text)
    assert time.process_time() - started < 2
    assert "".join(found[0]) == text


def test_look_up_finds_exactly_its_strings():
    members = [rule.replace(" ", "") for rule in KNOWN["specials"]]
    memory = string_set(members)
    for text in [*members, *(m[:-1] for m in members), *(m + "x" for m in members), "x" * 70]:
        raw = np.frombuffer(text.encode(), np.uint8)
        assert find(raw, 0, len(raw), memory, 0) == (members.index(text) if text in members else -1)


def test_look_up_refuses_strings_whose_length_is_no_bit():
    for wrong in ("", "x" * 63):
        with pytest.raises(ValueError, match="1 to 62 bytes"):
            string_set([wrong])


def test_flags_are_those_of_the_file():
    table = tables().flags
    wanted = np.zeros(len(table), np.uint16)
    for bit, runs in enumerate(KNOWN["classes"].values()):
        for run in runs.split():
            first, _, last = run.partition("-")
            wanted[int(first, 16) : int(last or first, 16) + 1] |= 1 << bit
    assert (table == wanted).all()
    assert [c for c in range(len(table)) if table[c] & SPACE] == [
        c for c in range(len(table)) if chr(c).isspace()
    ]
