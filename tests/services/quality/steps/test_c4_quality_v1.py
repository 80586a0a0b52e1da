"""C4: each rule from both sides, and all of them against plain Python."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.quality.data.word_list import read_word_list
from services.quality.kernels.automaton import compiled, find_groups, fold
from services.quality.steps.c4_quality_v1 import COLUMNS, POLICIES, C4QualityParams, c4_quality
from shared.errors import UsageError
from shared.resources import Resource
from shared.rules import KeepRule
from shared.schema import arrow_schema, conform
from shared.text import characters
from shared.text.edits import apply_edits
from shared.text.segment import Segmented

CODE = C4QualityParams()
DATATROVE = C4QualityParams(terminal_marks=".?!\"'", min_words=3, words_counted="before_citations")
FINEWEB = DATATROVE.model_copy(update={"terminal_marks": ""})
LINE = "This line has quite enough words."


def reference():
    path = Path(__file__).parents[1] / "c4_reference.py"
    spec = importlib.util.spec_from_file_location("c4_reference", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


REFERENCE = reference()


def run(texts, params=CODE):
    rows = pa.table({"text": pa.chunked_array([texts], type=pa.large_string())})
    table = conform(c4_quality(rows, params), arrow_schema(COLUMNS), len(texts), "c4")
    cleaned = apply_edits(rows["text"], table["edits"])
    return table.drop(["edits", "error"]).to_pylist(), cleaned.to_pylist()


def one(text, params=CODE):
    measures, cleaned = run([text], params)
    return measures[0] | {"text": cleaned[0]}


def kept_lines(text, params=CODE):
    return one(text, params)["text"].split("\n")


def keeps(condition, value):
    rule = KeepRule("rule", condition)
    return rule.holds({rule.column: pa.chunked_array([[value]])}).to_pylist() == [True]


pieces = st.sampled_from(
    ["word", "two words here. ", "Ends well.", "x" * 8, "lorem ipsum", "LOREM", " Ipsum", "Java",
     "java", "script", "JAVASCRIPT", "{", "}", "use cooKies", "terms of use", "Privacy Policy",
     "\u212a", "coo\u212aies", "\u0130", "uses ", "[1]", "[", "]", "[]", "[edit]", "[Edit]",
     "[\u0661\u0662]", "[1\u00b2]", "[citation needed]", "[[2]]", "...", ".", "!", "?", '"', "'",
     '!"', ".)", " ", "  ", "\t", "\n", "\n\n", "\r\n", "\r", "\v", "\x1c", "\x85", "\u2028",
     "\u3000", "\xa0", "é", "字", "。", "😀", "\x00"]
)  # fmt: skip
texts_ = st.lists(pieces, max_size=30).map("".join) | st.text(max_size=20)
params_ = st.builds(
    C4QualityParams,
    lines=st.sampled_from(["splitlines", "filled"]),
    max_word_characters=st.sampled_from([5, 12, 1000]),
    remove_citations=st.booleans(),
    terminal_marks=st.sampled_from(['.?!"', ".?!\"'", "", "。."]),
    ellipsis=st.sampled_from(["...", "", ".."]),
    min_words=st.sampled_from([1, 2, 5]),
    words_counted=st.sampled_from(["after_citations", "before_citations"]),
    policies=st.sampled_from([POLICIES, (), ("ok", "字", "é")]),
)


@settings(deadline=None)  # the first call compiles
@given(st.lists(texts_, max_size=4), params_)
def test_equals_the_reference(texts, params):
    measures, cleaned = run(texts, params)
    expected = [REFERENCE.clean(t, params) for t in texts]
    assert cleaned == [text for _, text, _ in expected]
    assert measures == [m | {"bad_words": 0} for m, _, _ in expected]


@settings(deadline=None)
@given(st.lists(st.none() | texts_, max_size=5), st.integers(0, 5))
def test_rows_are_independent(texts, cut):
    first, second = run(texts[:cut]), run(texts[cut:])
    assert run(texts) == (first[0] + second[0], first[1] + second[1])


# --- lines, in the order of the rules (specs 3.2) ---


@pytest.mark.parametrize(("size", "kept"), [(1000, True), (1001, False)])
def test_a_word_of_a_thousand_characters(size, kept):
    found = one(f"{LINE}\nA word such as {'é' * size} here.")
    assert found["lines_long_word"] == (not kept)
    assert found["lines_kept"] == 1 + kept


@pytest.mark.parametrize(
    ("end", "kept"),
    [(".", True), ("?", True), ("!", True), ('"', True), ("'", False), ("...", False), ("…", False),
     ("..", True), ("....", False), (".)", False), ("”", False), (",", False), ("", False)],
)  # fmt: skip
def test_end_of_a_line(end, kept):
    line = f"Enough words stand in here{end}"
    found = one(f"{LINE}\n{line}")
    assert found["lines_no_terminal_punct"] == (not kept)
    assert found["text"] == (f"{LINE}\n{line}" if kept else LINE)


def test_datatrove_keeps_an_apostrophe_and_fineweb_any_end():
    assert one("He said 'enough words here'", DATATROVE)["lines_kept"] == 1
    assert one("He said so...", DATATROVE)["lines_kept"] == 0
    assert one("He said so...", FINEWEB)["lines_kept"] == 1
    assert one("no end at all", FINEWEB)["lines_kept"] == 1


@pytest.mark.parametrize(("params", "fewest"), [(CODE, 5), (DATATROVE, 3)])
def test_fewest_words(params, fewest):
    for count in (fewest - 1, fewest):
        found = one(" ".join(["word"] * count) + ".", params)
        assert found["lines_few_words"] == (count < fewest)
        assert found["lines_kept"] == (count >= fewest)


def test_a_citation_is_a_word_for_datatrove_only():
    line = "One two [1]."
    assert one(line, DATATROVE)["text"] == "One two ."
    assert one(line, C4QualityParams(min_words=3))["text"] == "One two ."
    spaced = "One [1] two."
    assert one(spaced, DATATROVE)["text"] == "One  two."
    assert one(spaced, C4QualityParams(min_words=3))["lines_few_words"] == 1


@pytest.mark.parametrize(
    ("citation", "goes"),
    [("[12]", True), ("[]", True), ("[edit]", True), ("[citation needed]", True),
     ("[\u0663]", True), ("[²]", False), ("[Edit]", False), ("[1, 2]", False), ("[1", False),
     ("(1)", False)],
)  # fmt: skip
def test_citations(citation, goes):
    text = f"Some words before{citation} and after it."
    assert one(text)["text"] == ("Some words before and after it." if goes else text)


def test_citations_are_cut_once_and_spaces_stay():
    assert one("Four words are here [[1]].")["text"] == "Four words are here []."
    ended = one("Four words are here. [1]")
    assert ended["lines_no_terminal_punct"] == 1  # ends in a space, as in the code
    assert one("[1] [2] [3]\n\n[4] a b c\nd e f [5]", FINEWEB)["text"] == "a b c\nd e f"
    assert one("a b c\n[1] [2] [3]\nd e f", FINEWEB)["text"] == "a b c\n  \nd e f"
    assert one("a b c\n[1][2] [3] [4]\nd e f", FINEWEB)["lines_kept"] == 3


@pytest.mark.parametrize("word", ["javascript", "JavaScript", "JAVASCRIPT", "ajavascripts"])
def test_javascript(word):
    found = one(f"{LINE}\nPlease enable {word} in your browser.")
    assert (found["lines_javascript"], found["text"]) == (1, LINE)
    assert one("Please enable java script in your browser.")["lines_javascript"] == 0


@pytest.mark.parametrize("phrase", [*POLICIES, "Use Coo\u212aies"])
def test_policies(phrase):
    found = one(f"{LINE}\nWe have {phrase} for all of you.")
    assert (found["lines_policy"], found["text"]) == (1, LINE)
    assert one(f"{LINE}\nWe have {phrase[:-1]} for all.")["lines_policy"] == 0


def test_phrases_are_found_without_their_citations():
    found = one("We use [2]cookies for all of you.\nPlease enable java[1]script for this page.")
    assert (found["lines_policy"], found["lines_javascript"]) == (1, 1)


@pytest.mark.parametrize(
    ("line", "lorem", "curly"),
    [
        ("Now follows Lorem Ipsum, dolor sit amet.", True, False),
        ("Now follows lorem, ipsum dolor sit amet.", False, False),
        ("A curly { bracket is in this.", False, True),
        ("A curly } bracket is in this.", False, False),
        ("lorem ipsum { has no terminal mark", False, False),
        ("Lorem ipsum {.", False, False),  # too few words
        ("The javascript code is { lorem ipsum }.", True, False),
        ("We use cookies { for all of you }.", False, True),
    ],
)
def test_what_speaks_against_a_page(line, lorem, curly):
    found = one(f"{LINE}\n{line}")
    assert (found["lorem_ipsum"], found["curly_bracket"]) == (lorem, curly)
    assert keeps("lorem_ipsum == false", found["lorem_ipsum"]) is not lorem
    assert keeps("curly_bracket == false", found["curly_bracket"]) is not curly


# --- the page ---


@pytest.mark.parametrize(("size", "kept"), [(190_000, True), (190_001, False)])
def test_longest_page(size, kept):
    assert keeps("characters <= 190000", one("é" * size)["characters"]) is kept


@pytest.mark.parametrize(("count", "kept"), [(2, False), (3, True)])
def test_fewest_sentences(count, kept):
    text = " ".join(["It has quite enough words."] * count)
    assert keeps("sentences >= 3", one(text)["sentences"]) is kept
    lines = "\n".join(["It has quite enough words."] * count + ["No end. No end. No end"])
    assert keeps("sentences >= 3", one(lines)["sentences"]) is kept


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("He came. She saw. They won.", 3),
        ("He came.She saw, version 1.2 of it.", 1),
        ('He said "Go!" Then he went.', 2),
        ("What?! No way. (Really.) Yes.", 4),
        ("Well... maybe they won it.", 1),
        ("Well... Maybe they won it.", 2),
        ("Dr. Smith came to us.", 2),  # Punkt knows the abbreviation
    ],
)
def test_sentences_by_their_marks(line, sentences):
    assert one(line)["sentences"] == sentences
    assert REFERENCE.count_sentences(line) == sentences


def test_sentences_by_spacy_are_those_of_each_line():
    spacy = FINEWEB.model_copy(update={"sentences": "spacy"})
    assert one("It came here\nand it went. It was so.", spacy)["sentences"] == 3
    assert one("Mr. Smith came to us.", spacy)["sentences"] == 1
    assert one("[1] came to us [2]. Then it went", spacy)["sentences"] == 2
    for count in (4, 5):
        found = one("\n".join(["It ends here."] * count), spacy)["sentences"]
        assert keeps("sentences >= 5", found) is (count == 5)


@settings(deadline=None, max_examples=50)
@given(st.lists(texts_, max_size=3))
def test_sentences_by_spacy_sum_over_the_kept_lines(texts):
    params = FINEWEB.model_copy(update={"sentences": "spacy"})
    kept = [REFERENCE.clean(t, params)[2] for t in texts]
    column = [pa.chunked_array([lines], pa.large_string()) for lines in kept]
    expected = [int(Segmented(c).sentences("spacy").counts.sum()) for c in column]
    assert [m["sentences"] for m in run(texts, params)[0]] == expected


def test_nothing_and_null():
    measures, cleaned = run([None, "", " \n\t\n"])
    assert cleaned == [None, "", ""]
    assert set(measures[0].values()) == {None}
    assert {**measures[1], "characters": 0} == measures[1]
    assert measures[2]["lines"] == measures[2]["sentences"] == 0


def test_text_without_a_fault_has_no_edits():
    text = "\n".join([LINE] * 3)
    rows = pa.table({"text": pa.chunked_array([[text, f" {text}\n"]], pa.large_string())})
    edits = c4_quality(rows, CODE)["edits"].to_pylist()
    assert edits[0] == []
    assert len(edits[1]) == 2


# --- bad words ---


def listed(tmp_path, *words, **changes):
    path = tmp_path / "words.json"
    path.write_text(json.dumps(words))
    return C4QualityParams(bad_words=Resource(uri=str(path)), **changes)


@pytest.mark.parametrize(
    ("line", "spaced", "word", "anywhere"),
    [
        ("It has a Zonk in the line.", 1, 1, 1),
        ("zonk starts the line over here.", 0, 1, 1),
        ('He wrote and said to her "zonk"', 1, 1, 1),
        ("They had zonkers in the line.", 0, 0, 1),
        ("They had 7zonk8 in the line.", 1, 0, 1),
        ("They had _zonk_ in the line.", 1, 0, 1),
        ("They had ézonké in the line.", 1, 0, 1),
        ("They had zonk zonk in the line.", 2, 2, 2),
        ("They had grand zonk in the line.", 2, 2, 2),
        ("They had grand  zonk in the line.", 1, 1, 1),
        ("They had a zon[1]k in the line.", 1, 1, 1),
        ("a zonk in a line without end", 0, 0, 0),
    ],
)
def test_bad_words(tmp_path, line, spaced, word, anywhere):
    expected = {"not_a_to_z": spaced, "no_word": word, "anything": anywhere}
    for beside, count in expected.items():
        params = listed(tmp_path, "zonk", "grand zonk", "", bad_words_beside=beside)
        found = one(line, params)["bad_words"]
        assert found == count, beside
        assert keeps("bad_words == 0", found) is (count == 0)


def test_allowed_words_and_lists_as_lines(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\ufeffzonk \n\nbonk\n", encoding="utf-8")
    assert read_word_list(path) == ("bonk", "zonk")
    params = C4QualityParams(bad_words=Resource(uri=str(path)), bad_words_allowed=("zonk",))
    assert one("Here are zonk and bonk together.", params)["bad_words"] == 1
    path.write_text('{"zonk": 1}')
    with pytest.raises(UsageError, match=r"words\.txt"):
        read_word_list(path)


words_ = st.lists(
    st.text(st.sampled_from("abzAKk_é ßΣσ字性9\u0130\u0307\u212aȺ"), min_size=1, max_size=4).filter(
        str.strip
    ),
    min_size=1,
    max_size=5,
)


@settings(deadline=None, max_examples=60)
@given(
    words_,
    st.lists(
        st.text(st.sampled_from("abzAKk_é ßΣσ字性9\u0130\u0307\u212aȺ."), max_size=15), max_size=3
    ),
    st.sampled_from(["not_a_to_z", "no_word", "anything"]),
)
def test_bad_words_equal_the_expression(tmp_path_factory, words, lines, beside):
    params = listed(
        tmp_path_factory.mktemp("w"), *words, bad_words_beside=beside, terminal_marks="",
        min_words=1,
    )  # fmt: skip
    text = "\n".join(lines)
    found = REFERENCE.expression([w.strip().replace("Σ", "σ") for w in words], beside)
    kept = [line.lower().replace("ς", "σ") for line in REFERENCE.clean(text, params)[2]]
    assert (one(text, params)["bad_words"] > 0) == any(map(found.search, kept))


def test_real_lists_on_their_own_words(data_path):
    for language, beside in (("en", "not_a_to_z"), ("de", "no_word"), ("zh", "anything")):
        path = data_path / "lists" / "badwords" / f"ldnoobw_{language}.json"
        params = C4QualityParams(
            bad_words=Resource(uri=str(path)),
            bad_words_beside=beside,
            policies=(),
            brackets=(),
            max_word_characters=5000,
        )
        words = read_word_list(path)
        measures, _ = run([f"1 2 3 4 ,{w}, 6." for w in words], params)
        assert all(m["bad_words"] > 0 for m in measures)


# --- the automaton ---


@settings(deadline=None)
@given(
    st.lists(st.text("abcß字", min_size=1, max_size=4), max_size=6),
    st.text("abcABCß字é\u212a", max_size=20),
)
def test_the_automaton_finds_what_python_finds(phrases, text):
    automaton = compiled(*((p,) for p in phrases))
    raw = np.frombuffer(text.encode(), np.uint8)
    folded = np.empty(2 * len(raw), np.uint8)
    size = fold(raw, 0, len(raw), characters.lower(), folded, 0)
    assert folded[:size].tobytes().decode() == text.lower()
    found = find_groups(automaton, folded, 0, size)
    assert [bool(found >> i & 1) for i in range(len(phrases))] == [
        p in text.lower() for p in phrases
    ]


def test_every_character_folds_as_in_python():
    text = "".join(chr(c) for c in range(0x20000) if not 0xD800 <= c < 0xE000)
    raw = np.frombuffer(text.encode(), np.uint8)
    folded = np.empty(2 * len(raw), np.uint8)
    size = fold(raw, 0, len(raw), characters.lower(), folded, 0)
    expected = "".join(c.lower() for c in text).replace("ς", "σ")
    assert folded[:size].tobytes().decode() == expected


def test_parameters_are_checked():
    for wrong in ({"min_words": 0}, {"policies": [""]}, {"lines": "split"}, {"sentences": "x"}):
        with pytest.raises(ValidationError):
            C4QualityParams(**wrong)
