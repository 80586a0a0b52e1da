"""The choice of blocks, and the chances that it is made from."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extraction.engines.blocks.context import probabilities
from services.extraction.engines.blocks.counts import BYTES, COUNTS, LINK, STOPS
from services.extraction.engines.blocks.decide import PAGE_NAMES, choose
from services.extraction.engines.blocks.forest import UNIT


def counts_of(sizes, links=0, stops=0):
    counts = np.zeros((len(sizes), COUNTS), np.int32)
    counts[:, BYTES], counts[:, LINK], counts[:, STOPS] = sizes, links, stops
    return counts


def expected(kept, chances, sizes):
    """Twice the expected main text that is kept over the kept and all expected main text."""
    mass = [c * s for c, s in zip(chances, sizes, strict=True)]
    inside = sum(m for m, k in zip(mass, kept, strict=True) if k)
    size = sum(s for s, k in zip(sizes, kept, strict=True) if k)
    return 2 * inside / (size * UNIT + sum(mass))


@given(
    st.lists(st.tuples(st.integers(0, UNIT), st.integers(1, 3000)), min_size=1, max_size=8).filter(
        lambda blocks: max(chance for chance, _ in blocks) >= UNIT * 3 // 10
    )
)
def test_no_other_choice_has_a_higher_expected_f1(blocks):
    chances, sizes = zip(*blocks, strict=True)
    kept = choose(np.array(chances, np.int64), counts_of(sizes)).kept
    best = max(
        expected(every, chances, sizes)
        for every in product((False, True), repeat=len(blocks))
        if any(every)
    )
    assert expected(kept, chances, sizes) == pytest.approx(best)


def test_a_doubtful_page_keeps_blocks_that_a_clear_one_leaves():
    sizes = counts_of([100] * 4)
    clear = choose(np.array([UNIT, UNIT, UNIT, UNIT * 2 // 5]), sizes).kept
    doubtful = choose(np.array([UNIT // 2] + [UNIT * 2 // 5] * 3), sizes).kept
    assert clear.tolist() == [True, True, True, False]
    assert doubtful.all()


def test_a_page_without_main_text_keeps_nothing():
    sizes = counts_of([100] * 3)
    assert not choose(np.array([UNIT * 3 // 10 - 1] * 3), sizes).kept.any()
    assert not choose(np.zeros(0, np.int64), counts_of([])).kept.any()
    assert choose(np.array([UNIT * 3 // 10] * 3), sizes).kept.all()


@pytest.mark.parametrize(
    ("links", "stops", "kept"), [(91, 0, False), (90, 0, True), (100, [0, 1, 0], True)]
)
def test_a_menu_is_no_main_text(links, stops, kept):
    """More than nine tenths of its bytes are in links, and no sentence ends."""
    choice = choose(np.array([UNIT] * 3), counts_of([100] * 3, links, stops))
    assert choice.kept.all() == choice.kept.any() == kept


def test_what_the_confidence_is_computed_from():
    choice = choose(np.array([UNIT, UNIT // 4, 0]), counts_of([300, 100, 600]))
    found = dict(zip(PAGE_NAMES, choice.features[0].tolist(), strict=True))
    assert choice.kept.tolist() == [True, False, False]
    assert found["expected_f1"] == pytest.approx(2 * 300 / (300 + 325))
    assert found["kept_share"] == pytest.approx(0.3)
    assert (found["kept_blocks"], found["kept_bytes"], found["blocks"]) == (1, 300, 3)
    assert found["left_share"] == pytest.approx(25 / 325)
    assert found["doubt"] == pytest.approx(0.1)


def test_probabilities_are_the_logistic_function_to_a_hundredth():
    scores = np.arange(-12 * UNIT, 12 * UNIT, 4099, dtype=np.int32)
    found = probabilities(scores) / UNIT
    exact = [1 / (1 + math.exp(-score / UNIT)) for score in scores.tolist()]
    assert np.abs(found - exact).max() < 0.01
    assert (np.diff(found) >= 0).all()
    extremes = np.array([np.iinfo(np.int32).min, np.iinfo(np.int32).max], np.int32)
    assert 0 <= probabilities(extremes)[0] < probabilities(extremes)[1] <= UNIT
