"""Winnowing and window hashes against plain Python."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels import substrings
from services.dedup.kernels.substrings import Selected, hash_windows, select_all

units = st.lists(st.integers(0, 3), max_size=40)


def select(values: list[int], gram: int, grams: int, dtype: type = np.uint8) -> Selected:
    """The selected grams of one document."""
    size = len(values)
    out = Selected(
        np.zeros(size + 1, np.int64),
        *(np.zeros(size + 1, np.uint32) for _ in range(3)),
        np.zeros(size + 1, np.uint64),
    )
    begins, ends = np.zeros(1, np.int64), np.array([size])
    count = select_all(np.array(values, dtype), begins, ends, gram, grams, np.uint64(0), out)
    return Selected._make(column[:count] for column in out)


@settings(deadline=None)  # the first call compiles
@given(units, st.integers(1, 5), st.integers(1, 6))
def test_each_window_selects_one_gram_by_what_it_holds(values, gram, grams):
    found = select(values, gram, grams)
    windows = max(0, len(values) - gram - grams + 2)
    assert found.windows.sum() == windows
    assert found.window.tolist() == np.cumsum([0, *found.windows.tolist()])[:-1].tolist()
    assert np.all(np.diff(found.at.astype(int)) > 0)
    choice, fingerprints = {}, {}
    for at, first, count, fingerprint in zip(
        found.at, found.window, found.windows, found.fingerprint, strict=True
    ):
        for window in range(first, first + count):
            assert window <= at < window + grams
            content = tuple(values[window : window + gram + grams - 1])
            assert choice.setdefault(content, at - window) == at - window
        content = tuple(values[at : at + gram])
        assert fingerprints.setdefault(content, fingerprint) == fingerprint
    assert len(set(fingerprints.values())) == len(fingerprints)


def test_density_of_random_units():
    """2 / (grams + 1) of all positions, here 2 / 27 of 200,000 (standard deviation 0.0004)."""
    values = np.random.default_rng(7).integers(0, 50257, 200_000)
    found = select(values.tolist(), 25, 26, np.uint32)
    assert abs(len(found.at) / 200_000 - 2 / 27) < 0.002
    # The selected are those of least order; their fingerprints are even over all 64 bits.
    counts = np.bincount((found.fingerprint >> np.uint64(60)).astype(int), minlength=16)
    assert counts.min() > 0.85 * len(found.at) / 16


def window_hashes(
    values: list[int], length: int, salt: int = 0, fingerprint: int = 0
) -> list[tuple[int, int]]:
    """Both words of all windows of a document."""
    data = np.array(values, np.uint32)
    count = len(data) - length + 1
    keys, checks = np.empty(count, np.uint64), np.empty(count, np.uint64)
    begins, heads = np.zeros(1, np.int64), np.array([fingerprint], np.uint64)
    hash_windows(data, begins, np.array([count]), heads, length, np.uint64(salt), keys, checks)
    return list(zip(keys.tolist(), checks.tolist(), strict=True))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=30),
    st.integers(2, 6),
    st.integers(0, 2**64 - 1),
)
def test_window_hashes_are_of_their_units_alone(values, length, salt):
    values = values * 2
    seen: dict[tuple[int, ...], tuple[int, int]] = {}
    for i, both in enumerate(window_hashes(values, length, salt)):
        assert seen.setdefault(tuple(values[i : i + length]), both) == both
        assert window_hashes(values[i : i + length], length, salt) == [both]
    for words in zip(*seen.values(), strict=True):
        assert len(set(words)) == len(seen)


def test_window_hashes_are_polynomials_mod_2_61_minus_1():
    """Against Python's integers; the mixer of the kernel is taken as it is."""
    values = [2**32 - 1, 0, 77, 2**31, 5]
    prime, head = 2**61 - 1, 0xAB
    hashes = window_hashes(values, 3, salt=9, fingerprint=head << 56 | 12345)
    for i, (key, check) in enumerate(hashes):
        one, two = (
            sum((v + 1) * pow(point, 2 - j, prime) for j, v in enumerate(values[i : i + 3])) % prime
            for point in (substrings._POINT_1, substrings._POINT_2)
        )
        assert key >> 56 == head
        assert key % 2**56 == int(substrings.mix64(np.uint64(one + 9))) % 2**56
        assert check == int(substrings.mix64(np.uint64(two ^ 9)))
