"""Distributions against numpy and plain counting, whatever the values."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import histogram
from services.gateway.histogram import Numbers, Values

INTEGERS = st.lists(st.integers(-(2**40), 2**40) | st.integers(-60, 60), min_size=1)
FLOATS = st.lists(st.floats(-1e300, 1e300) | st.floats(0, 1), min_size=1)


def numbers(values, *, integers=False, parts=3) -> Numbers:
    """Values in two groups by turns, added in some parts."""
    kind = pa.int64() if integers else pa.float64()
    found = Numbers(2, integers)
    groups = np.arange(len(values)) % 2
    for part in np.array_split(np.arange(len(values)), parts):
        column = pa.chunked_array([pa.array([values[i] for i in part], kind)])
        found.add(column, groups[part])
    return found


def check(values, told, *, shift=histogram.SHIFT) -> None:
    """The exact figures are exact, quantiles within a bucket, counts exact for the edges told."""
    array = np.array(values, float)
    assert told["min"] == min(values)
    assert told["max"] == max(values)
    for q, value in told["quantiles"].items():
        exact = np.quantile(array, float(q), method="inverted_cdf")
        assert value == pytest.approx(exact, rel=2.0 ** (shift - 51), abs=1e-300)
    found = told["histogram"]
    counts = np.array(found["counts"]).sum(axis=1)
    assert counts.sum() == len(values)
    if found["scale"] == "values":
        assert dict(zip(found["values"], counts.tolist(), strict=True)) == Counter(values)
    elif len(set(values)) > 1:
        assert counts.tolist() == np.histogram(array, found["edges"])[0].tolist()
        assert len(counts) <= histogram.BINS + 1


@given(INTEGERS)
def test_integers(values):
    check(values, numbers(values, integers=True).describe())


@given(FLOATS)
def test_floats(values):
    check(values, numbers(values).describe())


def test_few_integers_get_a_bin_each():
    told = numbers([200] * 7 + [404, 301], integers=True).describe()
    assert told["histogram"] == {
        "scale": "values",
        "values": [200, 301, 404],
        "counts": [[4, 3], [1, 0], [0, 1]],
    }


def test_the_scale_follows_the_data():
    rng = np.random.default_rng(1)
    lengths = rng.lognormal(6, 1.5, 5000).astype(int).tolist()
    assert numbers(lengths, integers=True).describe()["histogram"]["scale"] == "log"
    assert numbers([0, *lengths], integers=True).describe()["histogram"]["edges"][0] == 0
    fractions = (rng.random(5000) ** 8).tolist()
    assert numbers(fractions).describe()["histogram"]["scale"] == "linear"
    signed = rng.normal(0, 100, 5000).tolist()
    assert numbers(signed).describe()["histogram"]["scale"] == "linear"
    for values in (lengths, fractions, signed):
        assert 40 <= len(numbers(values).describe()["histogram"]["counts"]) <= 51


def test_too_many_buckets_are_joined(monkeypatch):
    monkeypatch.setattr(histogram, "BUCKETS", 64)
    values = np.random.default_rng(2).normal(5, 2, 3000).tolist()
    found = numbers(values, parts=20)
    told = found.describe()
    assert found.shift > histogram.SHIFT
    assert len(found._keys) <= 64
    check(values, told, shift=found.shift)


def test_none_at_all():
    told = Numbers(2, True).describe()
    assert told["min"] is told["max"] is told["mean"] is None
    assert told["histogram"]["counts"] == []


@given(st.lists(st.sampled_from(["en", "de", "", "zh"]) | st.text(max_size=3)))
def test_strings(values):
    found = Values(1)
    found.add(pa.chunked_array([pa.array(values, pa.string())]), np.zeros(len(values), int))
    told = found.describe()
    shown = {
        v: c[0]
        for v, c in zip(told["histogram"]["values"], told["histogram"]["counts"], strict=True)
    }
    assert told["distinct"] == len(set(values))
    assert all(Counter(values)[v] == c for v, c in shown.items())
    assert len(shown) == min(histogram.BINS, len(set(values)))
    assert list(shown.values()) == sorted(shown.values(), reverse=True)


def test_many_strings_leave_the_frequent_ones(monkeypatch):
    monkeypatch.setattr(histogram, "DISTINCT", 100)
    found = Values(1)
    for start in range(0, 1000, 50):
        values = [f"once {i}" for i in range(start, start + 50)] + ["often"] * 9
        found.add(pa.chunked_array([pa.array(values)]), np.zeros(len(values), int))
    told = found.describe()
    assert not told["exact"]
    assert told["distinct"] <= 100
    assert told["histogram"]["values"][0] == "often"
    assert told["histogram"]["counts"][0] == [180]


def test_truth_values():
    found = Values(1)
    found.add(pa.chunked_array([pa.array([True, False, True])]), np.zeros(3, int))
    assert found.describe()["histogram"]["values"] == [True, False]
