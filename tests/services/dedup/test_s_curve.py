"""Pairs of planted Jaccard similarity meet in a band as often as theory says, for every preset.

A pair of documents is made of words that occur nowhere else, so its similarity is known exactly. It
meets with probability 1 - (1 - s^rows)^bands; over n independent pairs the share that does has the
standard error sqrt(p (1 - p) / n). Four of them are allowed: by chance 6e-5 of the cases fail, and
the seed is fixed.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from services.dedup.kernels.minhash import band_digests, functions
from services.dedup.shingles import ShingleParams, documents, shingle_hashes

#: Bands and rows of specs 15.9, and the pairs that a case takes.
PRESETS = {
    "refinedweb": (450, 20, 200),
    "fineweb": (14, 8, 1000),
    "redpajama 0.7": (14, 9, 1000),
    "redpajama 0.8, map_neo": (9, 13, 1000),
    "redpajama 0.9": (5, 25, 1000),
    "dclm": (93, 15, 400),
    "owt2, pile": (3, 3, 1000),
}
SIMILARITIES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
#: P(.7), P(.75), P(.8), P(.85), P(.9) as specs 15.9 prints them.
PRINTED = {
    "refinedweb": (0.302, 0.761, 0.995, 1, 1),
    "fineweb": (0.564, 0.772, 0.924, 0.988, 0.9996),
    "redpajama 0.7": (0.438, 0.665, 0.867, 0.975, 0.999),
    "redpajama 0.8, map_neo": (0.084, 0.195, 0.399, 0.686, 0.929),
    "redpajama 0.9": (0.001, 0.004, 0.019, 0.083, 0.311),
    "dclm": (0.358, 0.714, 0.964, 0.9998, 1),
    "owt2, pile": (0.716, 0.807, 0.884, 0.942, 0.980),
}
UNION = 120


def theory(similarity: float, bands: int, rows: int) -> float:
    return 1 - (1 - similarity**rows) ** bands


def planted(similarity: float, pairs: int) -> pa.ChunkedArray:
    """Pairs of texts, one after the other: of UNION words both hold a share of `similarity`."""
    draw = np.random.default_rng(int(similarity * 100))
    shared = round(similarity * UNION)
    half = shared + (UNION - shared) // 2
    pages = []
    for words in draw.integers(2**62, size=(pairs, UNION)):
        spelled = [f"{word:x}" for word in words]
        pages += [" ".join(spelled[:half]), " ".join(spelled[:shared] + spelled[half:])]
    return pa.chunked_array([pages])


@pytest.fixture(scope="module")
def pages() -> dict[float, pa.ChunkedArray]:
    return {s: planted(s, 1000) for s in SIMILARITIES}


@pytest.mark.parametrize("preset", PRESETS)
def test_specs_table(preset):
    bands, rows, _ = PRESETS[preset]
    computed = [theory(s, bands, rows) for s in SIMILARITIES[2:7]]
    assert computed == pytest.approx(PRINTED[preset], abs=0.001)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("scheme", ["datasketch", "datatrove", "fast"])
@pytest.mark.parametrize("preset", PRESETS)
def test_s_curve(pages, preset, scheme, similarity):
    bands, rows, pairs = PRESETS[preset]
    if scheme == "datatrove" and bands * rows > 1000:
        pairs //= 4  # its functions are 64 bits wide, and four times as slow
    cut = documents(
        pages[similarity].slice(0, 2 * pairs), ShingleParams(ngram=1, normalization="none")
    )
    digests, found = band_digests(cut, functions(scheme, bands * rows, 1), bands)
    assert found.all()
    met = (digests[0::2] == digests[1::2]).any(axis=1).mean()
    expected = theory(similarity, bands, rows)
    assert abs(met - expected) <= 4 * np.sqrt(expected * (1 - expected) / pairs) + 1e-12


@pytest.mark.parametrize("unit", ["words", "tokens"])
def test_shingles_of_five_follow_it_too(unit):
    """Runs of words that two pages share, cut out of longer ones: similarity as brute force has it."""
    draw = np.random.default_rng(8)
    params = ShingleParams(unit=unit, normalization="refinedweb")
    texts = []
    for words in draw.integers(2**24, size=(600, 300)):
        spelled = [f"w{word:x}" for word in words]
        changed = spelled.copy()
        for at in draw.integers(300, size=6):
            changed[at] = "changed"
        texts += [" ".join(spelled), " ".join(changed)]
    column = pa.chunked_array([texts])
    hashes, offsets = shingle_hashes(column, params)
    sets = [set(hashes[a:b].tolist()) for a, b in pairwise(offsets)]
    true = [len(a & b) / len(a | b) for a, b in zip(sets[0::2], sets[1::2], strict=True)]
    digests, _ = band_digests(documents(column, params), functions("datasketch", 112, 1), 14)
    met = (digests[0::2] == digests[1::2]).any(axis=1).mean()
    chances = np.array([theory(s, 14, 8) for s in true])
    assert 0.5 < np.mean(true) < 0.95
    assert abs(met - chances.mean()) < 4 * np.sqrt((chances * (1 - chances)).sum()) / len(chances)
