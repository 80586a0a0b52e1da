"""What the trees know of a block: each kind of feature on pages made for it."""

import numpy as np
import pytest

from services.extraction.engines.blocks import counts, features
from services.extraction.engines.blocks.context import NAMES as CONTEXT
from services.extraction.engines.blocks.context import context_features
from services.extraction.engines.blocks.forest import UNIT
from services.extraction.engines.blocks.lexicon import BUCKETS, bucket, lexicon_features
from services.extraction.engines.blocks.lexicon import NAMES as LEXICON
from services.extraction.engines.blocks.scan import scan_page


class Columns:
    """The features of a page, by name."""

    def __init__(self, names, matrix):
        self._at = {name: i for i, name in enumerate(names)}
        self._matrix = matrix

    def __getitem__(self, name):
        return self._matrix[:, self._at[name]].tolist()


def columns(html):
    scan = scan_page(html)
    measures = features.measure(scan)
    matrix = np.zeros((len(measures.sizes), len(features.NAMES)), np.float32)
    features.block_features(matrix, scan, measures)
    return Columns(features.NAMES, matrix)


def context(html, odds):
    scan = scan_page(html)
    measures = features.measure(scan)
    scores = (np.array(odds) * UNIT).astype(np.int32)
    matrix = np.zeros((len(scores), len(CONTEXT)), np.float32)
    context_features(matrix, 0, scan, measures.sizes, scores, measures.groups)
    return Columns(CONTEXT, matrix)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("Two words", counts.WORDS, 2),
        ("it's one and don’t two", counts.WORDS, 5),
        ("中文字", counts.WORDS, 3),
        ("中文字", counts.CJK, 3),
        ("naïve Ünïcode", counts.WORDS, 2),
        ("A. B! C? v1.2", counts.STOPS, 3),
        ("好。对！吗？", counts.STOPS, 3),
        ("a, b; c", counts.COMMAS, 2),
        ("一，二、三", counts.COMMAS, 2),
        ("Home | News » More", counts.SIGNS, 2),
        ("in 2026", counts.DIGITS, 4),
        ("NASA and ESA", counts.UPPER, 7),
        ("a b c", counts.BYTES, 3),
    ],
)
def test_counts_of_a_text(text, name, value):
    scan = scan_page(f"<p>{text}")
    assert counts.count_blocks(scan.text, scan.blocks)[0, name] == value


def test_links_headings_and_prose():
    page = columns(
        f"<title>All of it</title><h2>All of it</h2><p>{'A sentence, and more. ' * 9}</p>"
        "<p><a href=x>linked</a> text<p><a href=y>only a link</a>"
    )
    assert page["link"] == pytest.approx([0, 0, 0.6, 1])
    assert page["title_share"] == [1, 0, 0, 0]
    assert page["since_heading"] == [9999, 1, 2, 3]
    assert page["heading_level"] == [9, 2, 2, 2]
    assert page["since_title"] == [9999, 1, 2, 3]
    prose = 9 * len("Asentence,andmore.")
    assert page["prose_before"] == [0, 0, prose, prose]
    assert page["page_prose"][0] == pytest.approx(prose / page["page_bytes"][0])


def test_ancestors_each_hold_more_than_the_one_before():
    page = columns("<main><div><section><p>one<p>two</section></div><ul><li>three</ul></main>")
    assert page["up0_count"] == [1, 1, 1]
    assert page["up1_count"] == [2, 2, 3]
    assert page["up2_count"] == [3, 3, 3]
    assert page["up1_place"] == pytest.approx([0, 0.5, 2 / 3])
    assert page["up1_share"] == pytest.approx([6 / 11, 6 / 11, 1])
    assert page["in_main"] == [4, 4, 3]
    assert page["in_li"] == [0, 0, 1]
    assert page["in_nav"] == [0, 0, 0]


def test_templates_and_repeated_texts():
    page = columns(
        '<div class="post a1"><p>first</div><div class="post a2"><p>second</div>'
        '<div class="side"><p>first</div>'
    )
    assert page["template2_count"] == [2, 2, 1]
    assert page["template0_count"] == [3, 3, 3]
    assert page["same_text"] == [2, 1, 2]
    assert page["near1_same_template"] == [1, 1, -1]
    assert page["near-1_bytes"] == [-1, 5, 6]


def test_hidden_elements_count():
    page = columns("<div hidden><p aria-hidden=true>a</div><p style='display: none'>b<p>c")
    assert page["hidden"] == [2, 1, 0]


def test_words_have_scores():
    scan = scan_page('<div class="entryContent"><p>more here</div><div id=side-bar><p>again more')
    tokens, words = (np.zeros(BUCKETS, np.int8) for _ in range(2))
    of_div = [e for e in range(len(scan.elements.tag)) if scan.elements.token_bounds[e + 1] >
              scan.elements.token_bounds[e]]  # fmt: skip
    first, second = (scan.elements.tokens[scan.elements.token_bounds[e]] for e in of_div)
    tokens[bucket(first)], tokens[bucket(second)] = 40, -50
    for table in (tokens, words):
        table.setflags(write=False)
    matrix = np.zeros((2, len(LEXICON)), np.float32)
    lexicon_features(matrix, 0, scan, tokens, words)
    page = Columns(LEXICON, matrix)
    assert page["token_up_high"] == [40, 0]
    assert page["token_up_low"] == [0, -50]
    assert page["token_sum"] == [40, -50]
    assert page["token_near_up"] == [1, 1]


def test_context_of_scores():
    html = "<main><p>aaaa<p>bbbb<div><h2>hhhh</h2><p>cccc</div></main><p>dddd"
    page = context(html, [3, 3, -1, 3, -8])
    assert page["score"] == [3, 3, -1, 3, -8]
    assert page["score1"] == [3, -1, 3, -8, -12]
    assert page["score-1"] == [-12, 3, 3, -1, 3]
    assert page["since_kept"] == [999, 1, 1, 2, 1]
    assert page["until_kept"] == [1, 2, 1, 999, 999]
    assert page["since_first"] == [-1, 1, 2, 3, 4]
    assert page["until_last"] == [3, 2, 1, -1, -1]
    assert page["in_best50"] == [1, 1, 1, 1, 0]
    assert page["heading_score"] == [-12, -12, -12, -1, -1]
    high = 1 / (1 + np.exp(-3))
    assert page["section_mean"][2] == pytest.approx((high + 1 / (1 + np.exp(8))) / 2, abs=0.01)
    assert page["up_recall1"][0] == pytest.approx(1, abs=0.01)
