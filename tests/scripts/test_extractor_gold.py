"""The supervision of the learned extractor: labels, alignment, the fast measure, folds."""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.extractor.align import align
from scripts.extractor.gold import Page, folds, groups
from scripts.extractor.labels import label, label_page, label_snippets
from scripts.extractor.scoring import PageScorer
from scripts.extractor.summary import METRIC, difference, evaluate, metric, summary
from scripts.extractor.tokens import tokenize

PARAGRAPH = "the mill grinds slowly but every grain that enters leaves as flour in the end"


@pytest.fixture(scope="module")
def measure():
    if not METRIC.is_file():
        pytest.skip(f"{METRIC} is not there: it comes with the test data")
    return metric()


def page(number=0, **fields):
    standard = {
        "record_id": f"<{number}>",
        "id": f"wcxb/{number}",
        "source": "wcxb",
        "site": f"site{number}.example",
        "language": "en",
        "page_type": "article",
        "kind": "full",
        "url": "",
        "html": "",
        "gold_text": PARAGRAPH,
    }
    return Page(**(standard | fields))


WORDS = st.lists(
    st.sampled_from(["a", "b", "C", "ß", "ﬁ", "é", "中", "文", "，", "x1", "_", "你好"]),
    max_size=12,
).map(" ".join)


@given(st.lists(st.tuples(WORDS, st.booleans()), max_size=6), WORDS, st.sampled_from(["en", "zh"]))
def test_the_fast_measure_is_the_evaluations(measure, blocks, gold, language):
    texts = [text for text, _ in blocks]
    kept = np.array([keep for _, keep in blocks], bool)
    joined = "\n".join(text for text, keep in blocks if keep)
    grams = measure.grams
    expected = measure.prf(grams(joined, language), grams(gold, language))[2]
    assert PageScorer(texts, gold, language).f1(kept) == expected


def test_a_repeated_short_block_is_labelled_where_the_gold_has_it():
    texts = ["Share", "Results", PARAGRAPH, "Share", "Results", PARAGRAPH[::-1], "Share"]
    gold = f"{PARAGRAPH}\nResults\n{PARAGRAPH[::-1]}"
    assert label(texts, gold, "en").tolist() == [0, 0, 1, 0, 1, 1, 0]


def test_gold_out_of_order_is_labelled():
    first, second = PARAGRAPH, PARAGRAPH.replace("the", "a").upper()[::-1]
    assert label([first, "Menu", second], f"{second}\n{first}", "en").tolist() == [1, 0, 1]


def test_a_block_of_which_the_gold_has_a_part():
    assert label([f"{PARAGRAPH} Comment Save Print"], PARAGRAPH, "en")[0] == pytest.approx(15 / 18)


def test_characters_where_words_have_no_spaces():
    assert label(
        ["首页", "今天天气很好，我们去公园。", "分享"], "今天天气很好，我们去公园。", "zh"
    ).tolist() == [0, 1, 0]


def test_no_blocks_and_no_gold():
    assert label([], PARAGRAPH, "en").tolist() == []
    assert label(["a", ""], "", "en").tolist() == [0, 0]


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), max_size=40))
def test_alignment_never_matches_more_than_both_have(page, gold):
    belongs = align(np.array(page, np.int32), np.array(gold, np.int32))
    for token in range(4):
        matched = sum(t == token and b for t, b in zip(page, belongs, strict=True))
        assert matched <= gold.count(token)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_a_text_is_all_of_itself(tokens):
    numbers = np.array(tokens, np.int32)
    assert align(numbers, numbers).all()


def test_alignment_of_a_long_page():
    """200,000 tokens, of which the gold has a tenth: anchors keep the programme's gaps small."""
    generator = np.random.default_rng(1)
    numbers = generator.integers(0, 3000, 200_000).astype(np.int32)
    belongs = align(numbers, numbers[90_000:110_000])
    assert belongs[90_000:110_000].all()
    assert belongs.sum() == 20_000


def test_alignment_where_nothing_is_unique():
    """No anchor and too many pairs: nothing is claimed, in bounded time."""
    assert not align(np.zeros(200_000, np.int32), np.zeros(20_000, np.int32)).any()


def test_snippets():
    texts = ["Home", "An Example of a text", "that goes on. Privacy matters.", "Privacy", "Rest"]
    found, known = label_snippets(texts, ["of a text that goes on"], ["PRIVACY", "not there"])
    assert known.tolist() == [False, True, True, True, False]
    assert found.tolist() == [0, 1, 1, 0, 0]


def test_a_snippet_that_occurs_twice_says_nothing():
    _, known = label_snippets(["Title", "Title", "x"], ["Title", ""], ["…"])
    assert not known.any()


def test_labels_by_kind_of_gold():
    texts = ["Menu", PARAGRAPH, "Another paragraph of the text"]
    for kind, known in (("full", [True] * 3), ("partial", [False, True, False])):
        assert label_page(texts, page(kind=kind))[1].tolist() == known
    words = page(kind="first_words", gold_text=None, first_words="the mill grinds slowly but")
    assert label_page(texts, words)[1].tolist() == [False, True, False]


def test_folds_keep_sites_and_near_duplicates_together():
    pages = [page(n, site=f"s{n % 40}", near=("wcxb/7",) if n == 3 else ()) for n in range(200)]
    fold, group = folds(pages, 5, 1), groups(pages)
    of_group = defaultdict(set)
    for g, f in zip(group, fold, strict=True):
        of_group[g].add(f)
    assert all(len(found) == 1 for found in of_group.values())
    assert group[3] == group[7]
    assert (
        sorted(fold.count(f) for f in range(5)) == [40] * 5 or max(map(fold.count, range(5))) <= 45
    )
    assert fold == folds(pages, 5, 1)
    assert fold != folds(pages, 5, 2)


def test_summary_and_difference():
    pages = [page(n, source="ab"[n % 2], site=f"s{n // 4}") for n in range(60)]
    f1s = {p.record_id: 1.0 if p.source == "a" else n / 60 for n, p in enumerate(pages)}
    found = summary(pages, f1s)
    assert found["mean"].value == pytest.approx(np.mean(list(f1s.values())))
    assert found["macro"].value == pytest.approx((1 + found["source b"].value) / 2)
    assert found["source a"].error == 0
    assert all(
        a <= b for a, b in pairwise([found["macro"].low, found["macro"].value, found["macro"].high])
    )
    assert difference(pages, f1s, f1s)["macro"].value == 0


def test_evaluation(measure):
    pages = [page(n, with_=("mill grinds",), without=("menu",)) for n in range(12)]
    texts = {p.record_id: PARAGRAPH for p in pages[:6]}
    found = evaluate(pages, texts)
    assert found.overall["macro"] == 0.5
    assert found.overall["with"] == 0.5
    assert found.overall["empty"] == 0.5
    assert found.f1s["<0>"] == 1


def test_tokens_are_numbered_from_the_gold():
    tokens = tokenize(["b a", "c"], "a b", "en")
    assert tokens.gold.tolist() == [0, 1]
    assert tokens.page.tolist() == [1, 0, 2]
    assert tokens.bounds.tolist() == [0, 2, 3]
    assert tokens.known == 2
