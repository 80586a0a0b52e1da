"""Polynomial hashes: arithmetic against Python's integers, tables against a dict."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text import hashing

PRIME, BASE = int(hashing.PRIME), int(hashing.BASE)
residues = st.integers(0, PRIME - 1) | st.sampled_from([0, 1, PRIME - 1])


def polynomial(raw):
    value = 0
    for byte in raw:
        value = (value * BASE + byte + 1) % PRIME
    return value


def hashed(*raws):
    data = np.frombuffer(b"".join(raws), np.uint8)
    ends = np.cumsum([len(r) for r in raws], dtype=np.int64)
    return hashing.hash_spans(data, ends - [len(r) for r in raws], ends).tolist()


def test_the_modulus_is_the_mersenne_prime():
    assert PRIME == 2**61 - 1
    assert 1 < BASE < PRIME


@settings(deadline=None)  # the first call compiles
@given(residues, residues)
def test_multiply(a, b):
    assert hashing.multiply(np.uint64(a), np.uint64(b)) == a * b % PRIME


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 2**40))
def test_power(exponent):
    assert hashing.power(exponent) == pow(BASE, exponent, PRIME)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_hash_spans(raws):
    assert hashed(*raws) == [polynomial(r) for r in raws]


def test_leading_zero_bytes_count():
    assert len(set(hashed(b"", b"\0", b"\0\0", b"a", b"\0a"))) == 5


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(0, 5) | st.integers(0, 2**61), max_size=60))
def test_first_occurrence(keys):
    array = np.array(keys, np.uint64)
    slots = hashing.table_for(60)
    bits = hashing.clear(slots, len(keys))
    first = [hashing.find_or_insert(slots, bits, array, i) for i in range(len(keys))]
    assert first == [keys.index(k) for k in keys]
