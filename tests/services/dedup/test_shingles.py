"""Sets of shingles against Python's own, by their Jaccard similarity."""

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.shingles import ShingleParams, shingle_hashes
from shared.testing import HOSTILE_TEXTS

PAGES = (
    *HOSTILE_TEXTS,
    "a b c d e f g",
    "A  b c d e f g",
    "a b c d e f h",
    "道可道非常道",
    "b a b a b a",
)


def python_shingles(text: str | None, unit: str, n: int) -> set[object]:
    words = (text or "").split()
    units = words if unit == "words" else list(" ".join(words))
    return {tuple(units[i : i + n]) for i in range(len(units) - n + 1)}


def sets_of(texts: list[str | None], **params) -> list[list[int]]:
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    hashes, offsets = shingle_hashes(column, ShingleParams.model_validate(params))
    assert len(offsets) == len(texts) + 1
    return [hashes[a:b].tolist() for a, b in pairwise(offsets)]


def check(texts: list[str | None], unit: str, n: int) -> None:
    """The same number of shingles, and the same number in common, for every two texts."""
    got = sets_of(texts, unit=unit, ngram=n, normalization="none")
    expected = [python_shingles(t, unit, n) for t in texts]
    for a, found in enumerate(got):
        assert found == sorted(set(found))
        for b in range(a + 1):
            assert len(set(found) & set(got[b])) == len(expected[a] & expected[b])


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("unit", ["words", "characters"])
def test_hostile_pages(unit, n):
    unspaced = ("中", "道", "例")  # characters of their own as words; Python splits at spaces
    check(
        [t for t in PAGES if unit != "words" or not any(c in (t or "") for c in unspaced)], unit, n
    )


@settings(deadline=None)  # the first call compiles
@given(
    texts=st.lists(st.text(st.sampled_from("abé \n"), max_size=30), min_size=1, max_size=4),
    unit=st.sampled_from(["words", "characters"]),
    n=st.integers(1, 6),
)
def test_any_texts(texts, unit, n):
    check(texts, unit, n)


def test_normalised_and_split_at_ideographs():
    one, other = sets_of(["Hello, World 42!", "hello world 7"], ngram=2)
    assert one == other
    assert [len(s) for s in sets_of(["道可道,非常道", None, "道"], ngram=2)] == [5, 0, 0]


def test_tokens_and_jieba():
    one, other, part = sets_of(
        ["The quick, brown fox jumps!", "the quick brown fox jumps", "quick brown fox jumps"],
        unit="tokens", ngram=2, normalization="refinedweb",
    )  # fmt: skip
    assert one == other
    assert len(one) == 4
    assert len(set(part) & set(one)) == 2  # "quick" at the start is another token than " quick"
    pages = sets_of(["北京 清华大学", "北京清华大学", "a b", None], unit="jieba", ngram=2)
    assert pages[0] == pages[1]
    assert [len(s) for s in pages] == [1, 1, 1, 0]


@pytest.mark.parametrize("unit", ["tokens", "jieba"])
def test_hostile_texts_in_other_units(unit):
    sets = sets_of(list(PAGES), unit=unit, ngram=3)
    assert all(s == sorted(set(s)) for s in sets)
    assert sum(map(bool, sets)) > 5
