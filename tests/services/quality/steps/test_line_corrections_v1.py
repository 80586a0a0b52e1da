"""Line-wise corrections: each rule from both sides, and DCLM's modifiers in plain Python."""

import gzip
import json
import re

import fasttext
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.quality.steps.line_corrections_v1 import (
    COLUMNS,
    LineCorrectionsParams,
    line_corrections,
)
from shared.errors import UsageError
from shared.resources import Resource
from shared.rules import KeepRule
from shared.schema import arrow_schema, conform
from shared.text.edits import apply_edits

EN = LineCorrectionsParams()
ZH = LineCorrectionsParams(language="zh")
KEPT = [
    KeepRule("has_words", "words_before > 0"),
    KeepRule("removed_words", "removed_words_frac <= 0.05"),
    KeepRule("not_empty", "words_after > 0"),
]


def run(*texts, params=EN):
    """The measures of each text, and what is left of it."""
    column = pa.chunked_array([texts], type=pa.large_string())
    table = line_corrections(pa.table({"text": column}), params)
    return table, apply_edits(column, table["edits"]).to_pylist()


def left(text, params=EN):
    return run(text, params=params)[1][0]


def counts(text, params=EN):
    table, _ = run(text, params=params)
    return {k: v for k, v in table.drop_columns(["edits"]).to_pylist()[0].items() if v}


def kept(table):
    columns = {name: table[name] for name in table.column_names}
    return [all(x) for x in zip(*(r.holds(columns).to_pylist() for r in KEPT), strict=True)]


# --- DCLM (mlfoundations/dclm): baselines/mappers/modifiers.py, filters/content_filters.py and the
# --- last steps of baselines/baselines_configs/dclm_baseline_refinedweb.yaml, over a str; None is a
# --- page that is dropped ---

COUNTER = re.compile(
    r"^\W*\d(?:,|\.|\d)*(?:K|k|M|m|B|b)?\s+(?:likes|shares|comments|retweets|reposts|quotes"
    r"|bookmarks|upvotes|downvotes|downloads|views|followers)\W*$"
)


def dclm_words(text):
    """word_counter_enricher: split_words(text, model="fasttext", ignore_punctuation=True)."""
    return len([w for w in fasttext.FastText.tokenize(text) if w[0].isalnum()])


def keep_lines(text, keep, *, strip=True):
    text = "\n".join(line for line in text.split("\n") if keep(line))
    return (text.strip() if strip else text) or None


def substring_line_modifier(text, banned, location):
    pattern = f"(?:{banned.lower()})"
    pattern = {"prefix": rf"^{pattern}\s?", "suffix": rf"\s?{pattern}$", "any": rf"\s?{pattern}"}[
        location
    ]
    lines = []
    for line in text.split("\n"):
        if len(line.split()) <= 10:
            modified = re.sub(pattern, "", line, flags=re.IGNORECASE)
            if line and (not modified or modified.isspace()):
                continue
            lines.append(modified)
        else:
            lines.append(line)
    return "\n".join(lines).strip() or None


def upper_ok(line):
    return not line or sum(c.isupper() for c in line) / len(line) <= 0.5


def digits_ok(line):
    return not line or sum(c.isdigit() for c in line) / len(line) <= 0.999999


DCLM = [
    lambda text: keep_lines(text, upper_ok),
    lambda text: keep_lines(text, digits_ok),
    lambda text: keep_lines(text, lambda line: not COUNTER.search(line.lower())),
    lambda text: keep_lines(text, lambda line: len(line.split()) >= 2 or not line, strip=False),
    lambda text: substring_line_modifier(text, "items in cart", "any"),
    lambda text: substring_line_modifier(text, "Read more...", "suffix"),
    lambda text: substring_line_modifier(text, "Sign-in", "prefix"),
]


def dclm(text):
    """The text after all modifiers and whether the page is kept."""
    before = dclm_words(text)
    for modify in DCLM:
        text = modify(text) if text else None
    if text is None or before == 0:
        return text or "", False
    return text, (before - dclm_words(text)) / before <= 0.05


pieces = st.sampled_from(
    ["a", "b c", "ABC", "É", "ß", "Read more...", "read more >>", "READ MORE", "Sign-in", "sign-in ", "SIGN-IN",
     "items in cart", "Items In Cart", "3", "12", "²", "1.2k likes", "3,000 views!", "(4 Comments)", "5 like",
     "7M\xa0followers", " ", " ", " ", "\t", "\u3000", "\n", "\n", "\n", "\n\n", "\r\n", ".", "…", "字", "😀", "\x00"]
)  # fmt: skip
texts_ = st.lists(pieces, max_size=25).map("".join) | st.text("aB1 \n.", max_size=30)


@settings(deadline=None, max_examples=500)  # the first call compiles
@given(st.lists(texts_, max_size=4))
@example(
    [
        " 12\n 12",
        "a items in cart\nread items in cart more...",
        "sign-in items in cart",
        "x Read more... ",
    ]
)
@example(["\u3000a"])  # no word for fastText's tokenizer before, one after
def test_equals_dclm(texts):
    table, found = run(*texts)
    expected = [dclm(t) for t in texts]
    assert found == [text for text, _ in expected]
    assert kept(table) == [keep for _, keep in expected]
    assert table["words_before"].to_pylist() == [dclm_words(t) for t in texts]
    assert table["words_after"].to_pylist() == [dclm_words(t) for t, _ in expected]


@settings(deadline=None)
@given(texts_)
def test_lines_are_accounted_for(text):
    found = run(text)[0].drop_columns(["edits"]).to_pylist()[0]
    assert found["lines"] == text.count("\n") + 1
    dropped = sum(v for k, v in found.items() if k.startswith("lines_"))
    assert dropped + found["edited_lines"] <= found["lines"]


def test_real_texts_equal_dclm(data_path):
    with gzip.open(data_path / "text" / "open" / "quality_labels_en_dclm.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    table, found = run(*texts)
    expected = [dclm(t) for t in texts]
    assert found == [text for text, _ in expected]
    assert kept(table) == [keep for _, keep in expected]
    assert sum(kept(table)) > 10


# --- each rule, just kept and just dropped, between two lines that stay ---

PLAIN = "This line of text always stays."


def between(line, params=EN):
    """What is left of a line between two others; None where it went."""
    text = left(f"{PLAIN}\n{line}\n{PLAIN}", params)
    lines = text.split("\n")
    assert (lines[0], lines[-1]) == (PLAIN, PLAIN)
    return lines[1] if len(lines) == 3 else None


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("ABcd e", None),  # 2 of 6
        ("ABC de", None),  # half
        ("ABCD e", "lines_uppercase"),
        ("ÀÉÎ ab", None),
        ("ÀÉÎÕ b", "lines_uppercase"),
        ("ⅠⅡⅢⅣ b", "lines_uppercase"),  # Roman numerals are upper case
        ("2024²", "lines_digits"),
        ("٣٤٥", "lines_digits"),
        ("20 24", None),
        ("2024.", "lines_single_word"),
        ("3 likes", "lines_counter"),
        ("→ 3,4.5K  Likes ←", "lines_counter"),
        ("3 likes it", None),
        ("no 3 likes", None),
        ("3x likes", None),
        ("k likes", None),
        ("3_ likes", None),
        ("word", "lines_single_word"),
        (" \t", "lines_single_word"),
        ("two words", None),
        ("", None),
        ("Sign-in", "lines_single_word"),
        ("Sign-in sign-in", None),  # one is left
        ("Sign-in Read more...", "lines_pattern_removed"),
        ("3 items in cart", None),
    ],
)
def test_lines(line, rule):
    found = counts(f"{PLAIN}\n{line}\n{PLAIN}")
    names = {k for k in found if k.startswith("lines_")}
    assert names == ({rule} if rule else set())
    assert (between(line) is None) is (rule is not None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("one two three four five six seven eight Read more...", "one two three four five six seven eight"),
        ("one two three four five six seven eight nine Read more...", None),  # eleven words
        ("Go on: read more >>", "Go on:"),
        ("Go on: read more...!", None),
        ("Sign-in to see this", "to see this"),
        ("Sign-into see this", "to see this"),
        ("Please Sign-in now", None),
        ("You have 2 items in cart today", "You have 2 today"),
        ("items in cart, items in cart here", ", here"),
    ],
)  # fmt: skip
def test_pieces_of_lines(line, expected):
    assert between(line) == (line if expected is None else expected)
    assert counts(f"{PLAIN}\n{line}").get("edited_lines", 0) == (expected is not None)


def test_blank_lines_stay_but_at_the_ends():
    assert (
        left("\n \nTOP\n\none two\n\nTOP\n\n\nthree four\n\nTOP\n") == "one two\n\n\n\nthree four"
    )


@pytest.mark.parametrize(("removed", "keeps"), [(5, True), (6, False)])
def test_five_percent(removed, keeps):
    text = "\n".join(
        ["word"] * removed + ["two words"] * ((100 - removed) // 2) + ["a b c"] * (removed % 2)
    )
    table, _ = run(text)
    total = 100 - (100 - removed) % 2 + 3 * (removed % 2)
    assert table["words_before"].to_pylist() == [total]
    assert (removed / total <= 0.05) is keeps
    assert table["removed_words_frac"].to_pylist() == [removed / total]
    assert kept(table) == [keeps]


@pytest.mark.parametrize(("words", "keeps"), [(19, False), (20, True)])
def test_five_percent_exactly(words, keeps):
    table, _ = run("word\n" + "w " * (words - 1))
    assert table["removed_words_frac"].to_pylist() == [1 / words]
    assert kept(table) == [keeps]


@pytest.mark.parametrize("text", ["", "word", "TOP LINE", "\n\n", "...\n?? !!", None])
def test_what_ends_empty_is_dropped(text):
    assert kept(run(text)[0]) == [False]


@pytest.mark.parametrize(
    ("params", "line", "rule"),
    [
        ({"uppercase_frac": 0.4}, "ABC de", "lines_uppercase"),
        ({"digit_frac": 0.5}, "123 a", "lines_digits"),
        ({"min_words": 3}, "two words", "lines_single_word"),
        ({"min_words": 0}, "word", None),
        ({"max_pattern_words": 1}, "Go Read more...", None),
    ],
)
def test_every_number_is_a_parameter(params, line, rule):
    found = counts(f"{PLAIN}\n{line}\n{PLAIN}", LineCorrectionsParams(**params))
    assert {k for k in found if k.startswith("lines_")} == ({rule} if rule else set())
    assert "edited_lines" not in found


# --- Chinese: our own extension ---

STAYS = "这一行文字应当一直保留在这里。"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("首页", None),
        ("下一页", "下一页"),  # three characters
        ("Word", None),
        ("3.1416", None),
        ("二 Word", "二 Word"),
        ("Two words", "Two words"),
        ("", ""),
        ("1.2万 阅读", None),
        ("阅读 1.2万", None),
        ("评论(3)", None),
        ("点赞 12 收藏 3 转发5", None),
        ("120人关注", None),
        ("浏览：3,000次", None),
        ("10w+阅读", None),
        ("阅读 一百篇文章", "阅读 一百篇文章"),
        ("评论 3 写得好", "评论 3 写得好"),
        ("这是一篇文章的开头…展开", "这是一篇文章的开头…"),
        ("这是一篇文章的开头 展开全文", "这是一篇文章的开头"),
        ("这是一篇文章的开头展开全文", "这是一篇文章的开头"),
        ("花在春天慢慢展开", "花在春天慢慢展开"),  # a sentence
        ("他想要的其实更多", "他想要的其实更多"),
        ("登录 查看精彩内容", "查看精彩内容"),
        ("登录系统的方法", "登录系统的方法"),
        ("请加入购物车结算吧", "请结算吧"),
        ("更多>>", None),
        ("一二三四五六七八九十一二三四五六七八 更多", "一二三四五六七八九十一二三四五六七八"),  # twenty
        ("一二三四五六七八九十一二三四五六七八九 更多", "一二三四五六七八九十一二三四五六七八九 更多"),
    ],
)  # fmt: skip
def test_chinese_lines(line, expected):
    text = left(f"{STAYS}\n{line}\n{STAYS}", ZH)
    assert text == "\n".join([STAYS, *([] if expected is None else [expected]), STAYS])


def test_chinese_words_are_characters():
    table, _ = run("首页\n" + "字" * 38, params=ZH)
    assert table["words_before"].to_pylist() == [40]
    assert table["removed_words_frac"].to_pylist() == [0.05]
    assert kept(table) == [True]
    assert kept(run("首页\n" + "字" * 37, params=ZH)[0]) == [False]


# --- pattern files, rows, schema ---


def test_a_recipes_own_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "{words: whitespace, min_words: 1, max_words: 3, document_words: whitespace,"
        " end: ['Mehr{any}lesen'], counters: {number_first: ['Treffer'], space: false}}"
    )
    params = LineCorrectionsParams(patterns=Resource(uri=str(path)))
    assert left(
        "Ein Text\nMehr lesen\n12Treffer\nhier mehr-lesen\nund so etwas mehr lesen", params
    ) == ("Ein Text\nhier\nund so etwas mehr lesen")


@pytest.mark.parametrize(
    "text",
    [
        "- 1",
        "{words: letters, min_words: 1, max_words: 3, document_words: unicode}",
        "{end: [''",
        "end: ['{edge}']",
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="bad.yaml"):
        run("a", params=LineCorrectionsParams(patterns=Resource(uri=str(path))))


def test_the_shipped_file_is_part_of_the_parameters():
    assert EN.patterns.blake3
    assert EN.patterns.blake3 != ZH.patterns.blake3
    assert LineCorrectionsParams.model_validate(ZH.model_dump()) == ZH


@pytest.mark.parametrize("bad", [{"language": "de"}, {"uppercase_frac": 2}, {"max_words": 10}])
def test_unknown_parameters_are_refused(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        LineCorrectionsParams(**bad)


@settings(deadline=None)
@given(st.lists(st.none() | texts_, max_size=5), st.integers(0, 5))
def test_rows_are_independent(texts, cut):
    whole = run(*texts)[0].to_pylist()
    assert whole == run(*texts[:cut])[0].to_pylist() + run(*texts[cut:])[0].to_pylist()


def test_null_and_hostile_texts():
    texts = [None, "\x00" * 50, "\u0301" * 5000, "x" * 2_000_000, "😀 " * 50_000, "A\n" * 90_000]
    _, found = run(*texts)
    assert found[0] is None
    assert found[1:] == [dclm(t)[0] for t in texts[1:]]
    for texts in ([], ["a"], [None]):
        rows = pa.table({"text": pa.array(texts, pa.string())})
        conform(line_corrections(rows, EN), arrow_schema(COLUMNS), len(texts), "step")
