"""SHA-1 against hashlib, across the sizes at which its padding changes."""

import hashlib

import numpy as np
import pytest
from datasketch.hashfunc import sha1_hash32, sha1_hash64
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels.sha1 import SCHEDULE_WORDS, sha1_prefix


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
