"""Signatures against datasketch and datatrove's formula; collisions against their theory."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels.minhash import band_digests, functions, signature
from services.dedup.normalization import NORMALIZATIONS

SCHEMES = {"datasketch": "affine32", "datasketch64": "affine64", "datasketch_legacy": "legacy"}
TEXT = "the quick brown fox jumps over the lazy dog while the quick brown cat sleeps all day long"


def shingles_of(text: str, n: int) -> list[bytes]:
    words = text.split()
    return [" ".join(words[i : i + n]).encode() for i in range(len(words) - n + 1)]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("count", [1, 112, 300])
@pytest.mark.parametrize("seed", [1, 42])
def test_equals_datasketch(scheme, count, seed):
    reference = MinHash(count, seed, scheme=SCHEMES[scheme])
    reference.update_batch(shingles_of(TEXT, 5))
    got = signature(TEXT, functions(scheme, "words", 5, count, seed), "none")
    assert got.tolist() == reference.hashvalues.tolist()


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None)  # the first call compiles
@given(text=st.text(max_size=80), n=st.integers(1, 4))
def test_equals_datasketch_on_any_text(scheme, text, n):
    text = "".join(c for c in text if c.isascii())
    got = signature(text, functions(scheme, "words", n, 16, 7), "none")
    shingles = shingles_of(text, n)
    if not shingles:
        assert got is None
        return
    reference = MinHash(16, 7, scheme=SCHEMES[scheme])
    reference.update_batch(shingles)
    assert got.tolist() == reference.hashvalues.tolist()


def test_equals_datatroves_formula():
    """FineWeb's signature: datatrove, pipeline/dedup/minhash.py, with its 64-bit SHA-1."""
    prime = np.uint64(2**61 - 1)
    draw = np.random.RandomState(1)
    a = draw.randint(1, prime, dtype=np.uint64, size=(1, 112))
    b = draw.randint(0, prime, dtype=np.uint64, size=(1, 112))
    digests = [hashlib.sha1(s).digest()[:8] for s in shingles_of(TEXT, 5)]
    hashes = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 1)
    expected = ((hashes * a + b) % prime).min(axis=0)
    got = signature(TEXT, functions("datatrove", "words", 5, 112, 1), "simplify")
    assert got.tolist() == expected.tolist()


def test_characters_and_ideographs():
    """Character shingles count code points; as words, ideographs need no spaces."""
    chinese = "道可道非常道名可名非常名"
    by_characters = functions("datasketch", "characters", 3, 32, 1)
    reference = MinHash(32, 1)
    reference.update_batch([chinese[i : i + 3].encode() for i in range(len(chinese) - 2)])
    assert signature(chinese, by_characters, "none").tolist() == reference.hashvalues.tolist()
    by_words = functions("datasketch", "words", 3, 32, 1)
    spaced = MinHash(32, 1)
    spaced.update_batch(shingles_of(" ".join(chinese), 3))
    assert signature(chinese, by_words, "none").tolist() == spaced.hashvalues.tolist()


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_shorter_than_a_shingle_has_none(unit):
    four, five = ("a b c d", "a b c d e") if unit == "words" else ("abcd", "abcde")
    f = functions("datasketch", unit, 5, 8, 1)
    assert signature(four, f, "simplify") is None
    assert signature(five, f, "simplify") is not None
    assert signature("", f, "simplify") is None


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_digests_are_equal_exactly_where_the_rows_are(normalization):
    f = functions("datasketch", "words", 2, 12, 1)
    pages = ["a b c d e f g", "a b c d e f h", "A  b c d e f g", None, "x"]
    digests, found = band_digests(pa.chunked_array([pages]), f, 4, normalization)
    assert found.tolist() == [True, True, True, False, False]
    rows = [signature(p, f, normalization).reshape(4, 3) for p in pages[:3]]
    for i in range(3):
        for j in range(3):
            same = (rows[i] == rows[j]).all(axis=1)
            assert (digests[i] == digests[j]).tolist() == same.tolist()


@pytest.mark.parametrize("similarity", [0.5, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("scheme", ["datasketch", "datatrove"])
def test_s_curve(similarity, scheme):
    """Pairs of planted Jaccard similarity share a band as often as 1 - (1 - s^8)^14 says."""
    pairs, union = 400, 200
    draw = np.random.default_rng(3)
    shared = round(similarity * union)
    pages = []
    for _ in range(pairs):
        words = [f"{w:x}" for w in draw.integers(2**60, size=union)]
        both, rest = words[:shared], words[shared:]
        half = len(rest) // 2
        pages += [" ".join(both + rest[:half]), " ".join(both + rest[half:])]
    f = functions(scheme, "words", 1, 112, 1)
    digests, _ = band_digests(pa.chunked_array([pages]), f, 14, "none")
    met = (digests[0::2] == digests[1::2]).any(axis=1).mean()
    expected = 1 - (1 - similarity**8) ** 14
    assert abs(met - expected) < 4 * np.sqrt(expected * (1 - expected) / pairs)
