"""SHA-1 against hashlib, across the sizes at which its padding changes."""

import hashlib

import numpy as np
import pytest
from datasketch.hashfunc import sha1_hash32, sha1_hash64
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels.sha1 import SCHEDULE_WORDS, sha1_prefix
from services.dedup.kernels.sha1_lanes import sha1_prefixes


def prefix(data: bytes, start: int, end: int) -> int:
    room = np.empty(5, np.uint32), np.empty(SCHEDULE_WORDS, np.uint32)
    return int(sha1_prefix(np.frombuffer(data, np.uint8), start, end, *room))


@pytest.mark.parametrize("size", [*range(132), 1000, 2**20])
def test_every_padding(size):
    data = bytes(i * 7 % 256 for i in range(size))
    assert prefix(data, 0, size) == int.from_bytes(hashlib.sha1(data).digest()[:8], "little")


@settings(deadline=None)  # the first call compiles
@given(st.binary(max_size=300), st.integers(0, 50), st.integers(0, 50))
def test_ranges_equal_datasketch(data, skip, drop):
    start, end = min(skip, len(data)), max(min(skip, len(data)), len(data) - drop)
    assert prefix(data, start, end) == sha1_hash64(data[start:end])
    assert prefix(data, start, end) & 0xFFFFFFFF == sha1_hash32(data[start:end])


def prefixes(data: bytes, starts: list[int], ends: list[int]) -> list[int]:
    out = np.zeros(len(starts), np.uint64)
    bounds = np.array(starts, np.int64), np.array(ends, np.int64)
    sha1_prefixes(np.frombuffer(data, np.uint8), *bounds, out)
    return out.tolist()


def test_lanes_of_every_size():
    """Sizes from 0 to 200 in groups of sixteen: one, two, three and four blocks side by side."""
    data = bytes(i * 11 % 256 for i in range(500))
    sizes = [(i * 37) % 201 for i in range(201)]
    ends = [100 + size for size in sizes]
    assert prefixes(data, [100] * 201, ends) == [sha1_hash64(data[100:end]) for end in ends]


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=40))
def test_lanes_equal_one_after_the_other(data, cuts):
    cuts = sorted(min(cut, len(data)) for cut in cuts)
    starts, ends = cuts[:-1], cuts[1:]
    expected = [prefix(data, a, b) for a, b in zip(starts, ends, strict=True)]
    assert prefixes(data, starts, ends) == expected
