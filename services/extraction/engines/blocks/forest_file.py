"""A forest as bytes: a version, then its arrays, compressed.

Each array is written byte plane by byte plane (all lowest bytes, then all second bytes), which
compresses better: 400 trees of 31 leaves take 91 kB of 182. Equal forests give equal bytes.
"""

import struct
import zlib
from itertools import pairwise
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from services.extraction.engines.blocks.forest import BITS, GROUP, Forest, Int32s, frozen
from shared.errors import PermanentError

_MAGIC: Final = b"forest\x00\x01"  # the last byte is the version
#: Columns, trees, words, groups.
_COUNTS: Final = struct.Struct("<4I")
#: More than the largest forest that makes sense, so that no file can fill the memory.
_MOST: Final = 1 << 28

Number = TypeVar("Number", np.int32, np.uint16, np.uint32, np.float32)


def to_bytes(forest: Forest) -> bytes:
    """The forest as bytes that `from_bytes` reads."""
    counts = (
        forest.columns,
        len(forest.tree_words) - 1,
        len(forest.word_groups) - 1,
        len(forest.feature),
    )
    arrays = (
        np.diff(forest.tree_words),
        np.diff(forest.word_groups),
        forest.feature,
        forest.threshold,
        forest.mask,
        forest.leaves,
    )
    planes = b"".join(array.reshape(-1, 1).view(np.uint8).T.tobytes() for array in arrays)
    return _MAGIC + zlib.compress(_COUNTS.pack(*counts) + planes, 9)


def from_bytes(data: bytes) -> Forest:
    """The forest, checked so far that no score reads outside its arrays."""
    if not data.startswith(_MAGIC):
        raise PermanentError("not a forest of this version: it begins with other bytes")
    plain = _decompress(data[len(_MAGIC) :])
    if len(plain) < _COUNTS.size:
        raise PermanentError("the forest is damaged: no counts")
    columns, trees, words, groups = _COUNTS.unpack_from(plain)
    sizes = [trees * 4, words * 4, *(groups * GROUP * size for size in (2, 4, 4)), words * BITS * 4]
    if len(plain) != _COUNTS.size + sum(sizes):
        raise PermanentError(
            f"the forest is damaged: {len(plain)} bytes, not {_COUNTS.size + sum(sizes)}"
        )
    ends = np.cumsum([_COUNTS.size, *sizes]).tolist()
    parts = [plain[a:b] for a, b in pairwise(ends)]
    forest = Forest(
        columns=columns,
        tree_words=_bounds("words of a tree", parts[0], words),
        word_groups=_bounds("groups of a word", parts[1], groups),
        feature=_array(parts[2], np.uint16, GROUP),
        threshold=_array(parts[3], np.float32, GROUP),
        mask=_array(parts[4], np.uint32, GROUP),
        leaves=_array(parts[5], np.int32, BITS),
    )
    if groups and forest.feature.max() >= columns:
        raise PermanentError(f"the forest is damaged: it reads a feature beyond its {columns}")
    return frozen(forest)


def _decompress(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, _MOST)
    except zlib.error as error:
        raise PermanentError(f"the forest is damaged: {error}") from error
    if not stream.eof:
        raise PermanentError("the forest is damaged: it is cut short")
    if stream.unused_data:
        raise PermanentError("the forest is damaged: bytes follow its end")
    return plain


def _array(planes: bytes, kind: type[Number], width: int) -> npt.NDArray[Number]:
    size = np.dtype(kind).itemsize
    rows = np.frombuffer(planes, np.uint8).reshape(size, -1).T
    return np.ascontiguousarray(rows).view(kind).reshape(-1, width)


def _bounds(name: str, planes: bytes, end: int) -> Int32s:
    counts = _array(planes, np.int32, 1).ravel().astype(np.int64)
    if (counts < 0).any() or counts.sum() != end:
        raise PermanentError(f"the forest is damaged: its {name} do not add up to {end}")
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
