"""Signatures against datasketch and datatrove's formula; collisions against their theory."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels import minhash
from services.dedup.kernels.documents import Documents
from services.dedup.kernels.minhash import Functions, band_digests, functions
from services.dedup.normalization import NORMALIZATIONS
from services.dedup.shingles import ShingleParams, documents, shingle_hashes

SCHEMES = {"datasketch": "affine32", "datasketch64": "affine64", "datasketch_legacy": "legacy"}
TEXT = "the quick brown fox jumps over the lazy dog while the quick brown cat sleeps all day long"


def cut(pages: list[str | None], unit: str, n: int, normalization: str = "none") -> Documents:
    column = pa.chunked_array([pa.array(pages, pa.large_string())])
    params = ShingleParams(unit=unit, ngram=n, normalization=normalization)
    return documents(column, params)


def signature(text: str, f: Functions, unit: str, n: int, normalization: str = "none"):
    return minhash.signature(cut([text], unit, n, normalization), f)


def shingles_of(text: str, n: int) -> list[bytes]:
    words = text.split()
    return [" ".join(words[i : i + n]).encode() for i in range(len(words) - n + 1)]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("count", [1, 112, 300])
@pytest.mark.parametrize("seed", [1, 42])
def test_equals_datasketch(scheme, count, seed):
    reference = MinHash(count, seed, scheme=SCHEMES[scheme])
    reference.update_batch(shingles_of(TEXT, 5))
    got = signature(TEXT, functions(scheme, count, seed), "words", 5)
    assert got.tolist() == reference.hashvalues.tolist()


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None)  # the first call compiles
@given(text=st.text(max_size=80), n=st.integers(1, 4))
def test_equals_datasketch_on_any_text(scheme, text, n):
    text = "".join(c for c in text if c.isascii())
    got = signature(text, functions(scheme, 16, 7), "words", n)
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
    got = signature(TEXT, functions("datatrove", 112, 1), "words", 5, "simplify")
    assert got.tolist() == expected.tolist()


def test_characters_and_ideographs():
    """Character shingles count code points; as words, ideographs need no spaces."""
    chinese = "道可道非常道名可名非常名"
    f = functions("datasketch", 32, 1)
    reference = MinHash(32, 1)
    reference.update_batch([chinese[i : i + 3].encode() for i in range(len(chinese) - 2)])
    assert signature(chinese, f, "characters", 3).tolist() == reference.hashvalues.tolist()
    spaced = MinHash(32, 1)
    spaced.update_batch(shingles_of(" ".join(chinese), 3))
    assert signature(chinese, f, "words", 3).tolist() == spaced.hashvalues.tolist()


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_shorter_than_a_shingle_has_none(unit):
    four, five = ("a b c d", "a b c d e") if unit == "words" else ("abcd", "abcde")
    f = functions("datasketch", 8, 1)
    assert signature(four, f, unit, 5, "simplify") is None
    assert signature(five, f, unit, 5, "simplify") is not None
    assert signature("", f, unit, 5, "simplify") is None


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_digests_are_equal_exactly_where_the_rows_are(normalization):
    f = functions("datasketch", 12, 1)
    pages = ["a b c d e f g", "a b c d e f h", "A  b c d e f g", None, "x"]
    digests, found = band_digests(cut(pages, "words", 2, normalization), f, 4)
    assert found.tolist() == [True, True, True, False, False]
    rows = [signature(p, f, "words", 2, normalization).reshape(4, 3) for p in pages[:3]]
    for i in range(3):
        for j in range(3):
            same = (rows[i] == rows[j]).all(axis=1)
            assert (digests[i] == digests[j]).tolist() == same.tolist()


def test_tokens_are_hashed_as_the_bytes_of_their_ids():
    """RefinedWeb's shingles, by hand: GPT-2's ids, four bytes each, five in a row."""
    text = "hello world hello world hello world"
    ids = np.array([31373, 995, 23748, 995, 23748, 995], "<u4")  # "hello", " world", " hello"
    reference = MinHash(24, 3)
    reference.update_batch([ids[i : i + 5].tobytes() for i in range(2)])
    f = functions("datasketch", 24, 3)
    got = signature("Hello, WORLD! " * 3, f, "tokens", 5, "refinedweb")
    assert got.tolist() == reference.hashvalues.tolist()
    assert signature(text, f, "tokens", 5).tolist() == got.tolist()
    assert signature("hello world hello world", f, "tokens", 5) is None


def test_jieba_cuts_chinese_into_words():
    text = "我来到北京清华大学，他来到了网易杭研大厦。"
    words = "我 来到 北京 清华大学 他 来到 了 网易 杭研 大厦"  # jieba's own example
    reference = MinHash(24, 3)
    reference.update_batch(shingles_of(words, 3))
    got = signature(text, functions("datasketch", 24, 3), "jieba", 3, "refinedweb")
    assert got.tolist() == reference.hashvalues.tolist()


def test_fast_takes_the_shingle_hashes_of_verification():
    hashes, _ = shingle_hashes(pa.chunked_array([[TEXT]]), ShingleParams(normalization="none"))
    reference = MinHash(64, 5, hashfunc=lambda h: h)
    reference.update_batch([int(h) & 0xFFFFFFFF for h in hashes])
    got = signature(TEXT, functions("fast", 64, 5), "words", 5)
    assert got.tolist() == reference.hashvalues.tolist()
