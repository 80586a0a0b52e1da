"""The presets: the paper's, datatrove's and DCLM's rules, each just kept and just dropped.

Parameters and rules are what a recipe writes. What each reference decides is known from its code
(specs 2.5); datatrove's and DCLM's decisions on real texts are compared elsewhere.
"""

import math

import pyarrow as pa
import pytest
import yaml

from shared.rules import KeepRule
from shared.step import load_registry

PRESETS = yaml.safe_load(
    """
paper:
  quality.gopher_quality_v1:
    params: {}
    keep: &quality
      words_min: "words >= 50"
      words_max: "words <= 100000"
      word_length_min: "mean_word_length >= 3"
      word_length_max: "mean_word_length <= 10"
      hash_ratio: "hash_ratio <= 0.1"
      ellipsis_ratio: "ellipsis_ratio <= 0.1"
      bullet_lines: "bullet_lines_frac <= 0.9"
      ellipsis_lines: "ellipsis_lines_frac <= 0.3"
      alpha_words: "alpha_words_frac >= 0.8"
      stop_words: "stop_words >= 2"
  quality.gopher_repetition_v1:
    params: {convention: paper}
    keep: &repetition
      dup_para_frac: "dup_para_frac <= 0.30"
      dup_para_char_frac: "dup_para_char_frac <= 0.20"
      dup_line_frac: "dup_line_frac <= 0.30"
      dup_line_char_frac: "dup_line_char_frac <= 0.20"
      top_2_gram: "top_2_gram_char_frac <= 0.20"
      top_3_gram: "top_3_gram_char_frac <= 0.18"
      top_4_gram: "top_4_gram_char_frac <= 0.16"
      dup_5_gram: "dup_5_gram_char_frac <= 0.15"
      dup_6_gram: "dup_6_gram_char_frac <= 0.14"
      dup_7_gram: "dup_7_gram_char_frac <= 0.13"
      dup_8_gram: "dup_8_gram_char_frac <= 0.12"
      dup_9_gram: "dup_9_gram_char_frac <= 0.11"
      dup_10_gram: "dup_10_gram_char_frac <= 0.10"
datatrove:
  quality.gopher_repetition_v1:
    params: {convention: datatrove, words: spacy}
    keep: *repetition
  quality.gopher_quality_v1:
    params: {words: spacy, counted: not_punctuation, measured: not_punctuation, lines: with_blank}
    keep: *quality
dclm:
  quality.gopher_quality_v1:
    params:
      counted_words: fasttext
      counted: alphanumeric
      ellipses: ["...", ". . .", "…"]
      bullets: ["●", "•", "*", "-"]
      stop_words_counting: occurrences
      stop_words_lowercase: true
    keep:
      words_min: "words >= 50"
      words_max: "words <= 100000"
      word_length_min: "mean_word_length >= 3"
      word_length_max: "mean_word_length <= 10"
      symbol_ratio: "symbol_ratio <= 0.1"
      bullet_lines: "bullet_lines_frac <= 0.9"
      ellipsis_lines: "ellipsis_lines_frac <= 0.3"
      alpha_words: "alpha_words_frac >= 0.8"
      stop_words: "stop_words >= 2"
  quality.gopher_repetition_v1:
    params: {convention: dclm, words: uniseg}
    keep:
      dup_line_frac: "dup_line_frac <= 0.30"
      dup_para_frac: "dup_para_frac <= 0.30"
      dup_line_char_frac: "dup_line_char_frac <= 0.20"
      dup_para_char_frac: "dup_para_char_frac <= 0.20"
      top_2_gram: "top_2_gram_char_frac <= 0.20"
      top_3_gram: "top_3_gram_char_frac <= 0.18"
      top_4_gram: "top_4_gram_char_frac <= 0.16"
      dup_5_gram: "dup_5_gram_char_frac <= 0.15"
      dup_6_gram: "dup_6_gram_char_frac <= 0.14"
      dup_7_gram: "dup_7_gram_char_frac <= 0.13"
      dup_8_gram: "dup_8_gram_char_frac <= 0.12"
      dup_9_gram: "dup_9_gram_char_frac <= 0.11"
      dup_10_gram: "dup_10_gram_char_frac <= 0.10"
"""
)
MAXIMA = dict(
    zip(range(2, 11), (0.20, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.10), strict=True)
)


def answers(preset, text):
    """What each rule of a preset says of a text, in order."""
    rows = pa.table({"text": pa.array([text], pa.large_string())})
    result = {}
    for name, spec in PRESETS[preset].items():
        step = load_registry()[name]
        table = step.row(rows, step.params.model_validate(spec["params"]))
        columns = {c: table[c] for c in table.column_names}
        for rule, condition in spec["keep"].items():
            result[rule] = KeepRule(rule, condition).holds(columns)[0].as_py()
    return result


def letters(i):
    """A word of 4 letters, another one for each i."""
    return "".join(chr(ord("a") + i // 26**k % 26) for k in range(4))


def lines(marked, plain, mark=lambda word: word):
    """Ten lines of one word, of which so many are marked."""
    return "\n".join([mark("word")] * marked + ["word"] * plain)


def copies(count, end):
    """Ten segments, so many of them the same."""
    return end.join([letters(0)] * count + [letters(i) for i in range(1, 11 - count)])


def ngrams(n, size):
    """One n-gram twice, in a text of so many characters, white space and all."""
    gram = " ".join(letters(i) for i in range(n))
    rest = size - 2 * len(gram) - 3
    return f"{gram} {'x' * (rest // 2)} {gram} {'y' * (rest - rest // 2)}"


def bullet(word):
    return f"- {word}"


def ellipsis(word):
    return f"{word}..."


QUALITY = {
    "words_min": ("word " * 50, "word " * 49),
    "words_max": ("word " * 100_000, "word " * 100_001),
    "word_length_min": ("abc " * 100, "abc " * 99 + "ab"),
    "word_length_max": ("a" * 10 + (" " + "b" * 10) * 99, "a" * 11 + (" " + "b" * 10) * 99),
    "hash_ratio": ("word " * 9 + "#", "word " * 8 + "#"),
    "ellipsis_ratio": ("word " * 9 + "…", "word " * 8 + "…"),
    "symbol_ratio": ("word " * 18 + "# ...", "word " * 17 + "# ..."),
    "bullet_lines": (lines(9, 1, bullet), lines(10, 0, bullet)),
    "ellipsis_lines": (lines(3, 7, ellipsis), lines(4, 6, ellipsis)),
    "alpha_words": ("word " * 8 + "12 34", "word " * 7 + "12 34 56"),
    "stop_words": ("the cat of", "the cat on"),
}


def repetition(preset):
    """Texts just kept and just dropped: in datatrove the first copy does not count, blanks do."""
    first = 1 if preset == "datatrove" else 0
    long, shorter = ("x" * 10, "x" * 9) if first else ("x" * 32, "x" * 31)
    far, nearer = ("x" * 8, "x" * 7) if first else (long, shorter)
    cases = {
        "dup_line_frac": (copies(3 + first, "\n"), copies(4 + first, "\n")),
        "dup_para_frac": (copies(3 + first, "\n\n"), copies(4 + first, "\n\n")),
        "dup_line_char_frac": (f"abcd\n{long}\nabcd", f"abcd\n{shorter}\nabcd"),
        "dup_para_char_frac": (f"abcd\n\n{far}\n\nabcd", f"abcd\n\n{nearer}\n\nabcd"),
    }
    for n, most in MAXIMA.items():
        counted = (4 * n if n >= 5 else 2 * (5 * n - 1)) if first else 8 * n
        whole = math.ceil(round(counted / most, 6))  # characters, of words where not datatrove
        blanks = 0 if first else 2 * (n - 1) + 3
        cases[f"{'top' if n < 5 else 'dup'}_{n}_gram"] = (
            ngrams(n, whole + blanks),
            ngrams(n, whole + blanks - 1),
        )
    return cases


@pytest.mark.parametrize("preset", PRESETS)
def test_every_rule_from_both_sides(preset):
    cases = QUALITY | repetition(preset)
    rules = [rule for spec in PRESETS[preset].values() for rule in spec["keep"]]
    for rule in rules:
        kept, dropped = cases[rule]
        assert answers(preset, kept)[rule], (rule, kept[:80])
        assert not answers(preset, dropped)[rule], (rule, dropped[:80])


# --- specs 15.5 ---


@pytest.mark.parametrize("preset", PRESETS)
def test_the_vectors(preset):
    distinct = answers(preset, copies(1, "\n"))
    assert all(keeps for rule, keeps in distinct.items() if rule.startswith("dup_line"))
    four = answers(preset, copies(4, "\n"))
    assert four["dup_line_frac"] is (preset == "datatrove")
    assert not four["dup_line_char_frac"]
    pair = answers(preset, "\n".join([letters(0)] * 2 + [letters(i) for i in range(1, 11)]))
    assert pair["dup_line_frac"]
    assert pair["dup_line_char_frac"]
    sentence = "Subscribers everywhere newsletter to our we it at by on"
    ten = answers(preset, "\n\n".join([sentence] * 10))
    assert not any(keeps for rule, keeps in ten.items() if rule.startswith(("dup", "top")))
    three = answers(preset, "just three words")
    assert all(three[f"dup_{n}_gram"] for n in range(5, 11))
    assert three["top_4_gram"]
    # datatrove exempts no n-gram that occurs once
    assert three["top_2_gram"] is three["top_3_gram"] is (preset != "datatrove")


# --- where the three decide differently ---


@pytest.mark.parametrize(
    ("text", "rule", "keeping"),
    [
        # datatrove's tokens of punctuation are no words, DCLM's words begin with a letter or digit
        ("word " * 49 + "--", "words_min", {"paper"}),
        ("word " * 49 + "(word)", "words_min", {"paper", "datatrove"}),
        ("word " * 49 + "word-word's", "words_min", {"paper", "datatrove", "dclm"}),
        # a no-break space parts words for Python, not for fastText's tokenizer
        ("word " * 48 + "word\xa0word", "words_min", {"paper", "datatrove"}),
        ("ab, " * 50, "word_length_min", {"paper", "dclm"}),
        ("the The", "stop_words", {"dclm"}),
        ("the the", "stop_words", {"dclm"}),
        ("the, of.", "stop_words", {"datatrove"}),
        ("the of", "stop_words", {"paper", "datatrove", "dclm"}),
        ("* item\n" * 10, "bullet_lines", {"paper", "datatrove"}),
        # blank lines are lines for datatrove
        ("- item\n\n" * 10, "bullet_lines", {"datatrove"}),
        ("so...\n\n" * 3 + "so\n" * 6, "ellipsis_lines", {"datatrove"}),
        ("word. . .\n" * 4 + "word\n" * 6, "ellipsis_lines", {"paper", "datatrove"}),
        # datatrove's shares of lines are of the whole text
        (f"abcd\n{'x' * 28}\nabcd", "dup_line_char_frac", {"datatrove"}),
        # overlapping copies: each character once in the paper, as often as it occurs in DCLM
        ("ab ab ab " + "x" * 34, "top_2_gram", {"paper", "dclm"}),
        ("ab ab ab " + "x" * 33, "top_2_gram", {"paper"}),
        ("ab ab ab " + "x" * 23, "top_2_gram", set()),
    ],
)
def test_where_they_differ(text, rule, keeping):
    assert {preset for preset in PRESETS if answers(preset, text)[rule]} == keeping


def test_symbols_are_summed_by_dclm_only():
    text = "word " * 17 + "# ..."
    assert not answers("dclm", text)["symbol_ratio"]
    for preset in ("paper", "datatrove"):
        found = answers(preset, text)
        assert found["hash_ratio"]
        assert found["ellipsis_ratio"]
