"""MinHash signatures and band digests, one compiled pass a document.

A document is the set of its shingles: every `ngram` words (or characters) in a row of its normal
form. Words of the normal form are parted by single spaces, so a shingle is a range of its bytes,
hashed in place. Each of bands x rows functions keeps its least value over the shingles; two
documents of Jaccard similarity s agree on one with probability s, and on all rows of some band with
1 - (1 - s^rows)^bands. Only one 64-bit digest a band leaves the kernel: signatures would take 72 kB
a document in RefinedWeb's setting (specs 15.9).

The values themselves follow published code, so that they can be compared with it:

    datasketch         datasketch 2, scheme affine32: a h + b mod 2^32, a odd, h mixed before
    datasketch64       datasketch 2, scheme affine64: the same with 64 bits
    datasketch_legacy  datasketch 1: (a h + b mod 2^64) mod (2^61 - 1), low 32 bits
    datatrove          FineWeb: the same with a 64-bit h and all 61 bits

The last two wrap at 64 bits before the modulo as their numpy code does, so they are no true
universal hashing. 32 bits are enough within a document, and the digest of a band has 64.
"""

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.dedup.kernels.compiled import (
    BoolArray,
    ByteArray,
    Int64Array,
    Texts,
    UInt64Array,
    compiled,
    texts_of,
)
from services.dedup.kernels.normalise import SPACE, capacity, normalise
from services.dedup.kernels.sha1 import SCHEDULE_WORDS, sha1_prefix
from services.dedup.normalization import Normalization, Table, table_of

UInt32Array = npt.NDArray[np.uint32]
Scheme = Literal["datasketch", "datasketch64", "datasketch_legacy", "datatrove"]
Unit = Literal["words", "characters"]

_CODES: dict[Scheme, int] = {
    "datasketch": 0,
    "datasketch64": 1,
    "datasketch_legacy": 2,
    "datatrove": 3,
}
_MERSENNE_61 = (1 << 61) - 1
_LOW_32 = 0xFFFFFFFF


class Functions(NamedTuple):
    """The hash functions of a scheme: how shingles are cut, and a and b of each function."""

    scheme: int
    by_words: bool
    ngram: int
    a: UInt64Array
    b: UInt64Array


@cache
def functions(scheme: Scheme, unit: Unit, ngram: int, count: int, seed: int) -> Functions:
    """`count` functions, their parameters drawn as the scheme's library draws them."""
    draw = np.random.RandomState(seed).randint  # the published values come from the old generator
    if scheme == "datasketch_legacy":
        pairs = [
            (draw(1, _MERSENNE_61, dtype=np.uint64), draw(0, _MERSENNE_61, dtype=np.uint64))
            for _ in range(count)
        ]
        a, b = np.array(pairs, np.uint64).T
    elif scheme == "datatrove":
        a = draw(1, _MERSENNE_61, size=count, dtype=np.uint64)
        b = draw(0, _MERSENNE_61, size=count, dtype=np.uint64)
    else:
        bits, kind = (32, np.uint32) if scheme == "datasketch" else (64, np.uint64)
        a = draw(0, 1 << (bits - 1), size=count, dtype=kind) * kind(2) + kind(1)
        b = draw(0, 1 << bits, size=count, dtype=kind)
    wide = [np.ascontiguousarray(x, np.uint64) for x in (a, b)]
    for array in wide:
        array.flags.writeable = False
    return Functions(_CODES[scheme], unit == "words", ngram, *wide)


@compiled
def _mix32(h: np.uint32) -> np.uint32:
    """MurmurHash3's 32-bit finaliser, a bijection."""
    h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ np.uint32(h >> np.uint32(16)))


@compiled
def _mix64(h: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser, a bijection."""
    h = np.uint64((h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD))
    h = np.uint64((h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53))
    return np.uint64(h ^ (h >> np.uint64(33)))


@compiled
def _minima_32(hashes: UInt64Array, a: UInt64Array, b: UInt64Array, out: UInt64Array) -> None:
    """Least a h + b mod 2^32; the hashes are narrowed first, so that eight fit a register."""
    h = np.empty(len(hashes), np.uint32)
    for i in range(len(hashes)):
        h[i] = _mix32(np.uint32(hashes[i] & np.uint64(_LOW_32)))
    for k in range(len(a)):
        factor, addend = np.uint32(a[k]), np.uint32(b[k])
        least = np.uint32(_LOW_32)
        for i in range(len(h)):
            least = min(least, np.uint32(factor * h[i] + addend))
        out[k] = least


@compiled
def _minima_64(hashes: UInt64Array, a: UInt64Array, b: UInt64Array, out: UInt64Array) -> None:
    """Least a h + b mod 2^64."""
    for i in range(len(hashes)):
        hashes[i] = _mix64(hashes[i])
    for k in range(len(a)):
        least = np.uint64(0xFFFFFFFFFFFFFFFF)
        for i in range(len(hashes)):
            least = min(least, np.uint64(a[k] * hashes[i] + b[k]))
        out[k] = least


@compiled
def _minima_61(
    hashes: UInt64Array, a: UInt64Array, b: UInt64Array, bits: np.uint64, out: UInt64Array
) -> None:
    """Least (a h + b mod 2^64) mod (2^61 - 1), hashes and values cut to the mask `bits`."""
    prime = np.uint64(_MERSENNE_61)
    for k in range(len(a)):
        least = np.uint64(0xFFFFFFFFFFFFFFFF)
        for i in range(len(hashes)):
            value = np.uint64(a[k] * (hashes[i] & bits) + b[k])
            value = np.uint64((value & prime) + (value >> np.uint64(61)))
            value = np.uint64(value - prime) if value >= prime else value
            least = min(least, np.uint64(value & bits))
        out[k] = least


@compiled
def _starts(text: ByteArray, size: int, by_words: bool) -> Int64Array:  # noqa: FBT001 (compiled: no keyword-only arguments)
    """Where each word (or character) of a normal form starts, and one past its end.

    The last entry is `size + 1` for words, as if a space followed, so that word i ends one before
    the start of word i + 1.
    """
    count = 0
    for i in range(size):
        count += int(text[i] == SPACE) if by_words else int(text[i] & 0xC0 != 0x80)
    starts = np.empty(count + 2, np.int64)
    units = 0
    if by_words and size > 0:
        starts[0] = 0
        units = 1
    for i in range(size):
        if by_words:
            if text[i] == SPACE:
                starts[units] = i + 1
                units += 1
        elif text[i] & 0xC0 != 0x80:
            starts[units] = i
            units += 1
    starts[units] = size + 1 if by_words else size
    return starts[: units + 1]


@compiled
def signature_of(
    data: ByteArray, at: int, end: int, table: Table, f: Functions, out: UInt64Array
) -> int:
    """Write the signature of a text to `out`; returns its shingles, 0 where it is too short."""
    text = np.empty(capacity(end - at, table), np.uint8)
    size = normalise(data, at, end, table, f.by_words, text, 0)
    starts = _starts(text, size, f.by_words)
    shingles = len(starts) - f.ngram
    if shingles <= 0:
        return 0
    hashes = np.empty(shingles, np.uint64)
    h, w = np.empty(5, np.uint32), np.empty(SCHEDULE_WORDS, np.uint32)
    gap = 1 if f.by_words else 0
    for i in range(shingles):
        hashes[i] = sha1_prefix(text, starts[i], starts[i + f.ngram] - gap, h, w)
    if f.scheme == 0:
        _minima_32(hashes, f.a, f.b, out)
    elif f.scheme == 1:
        _minima_64(hashes, f.a, f.b, out)
    elif f.scheme == 2:
        _minima_61(hashes, f.a, f.b, np.uint64(_LOW_32), out)
    else:
        _minima_61(hashes, f.a, f.b, np.uint64(0xFFFFFFFFFFFFFFFF), out)
    return shingles


@compiled
def _digest_all(
    texts: Texts, table: Table, f: Functions, digests: UInt64Array, found: BoolArray
) -> None:
    """Band digests of every text that has a shingle, one after the other.

    A digest of equal rows is equal; of different rows it is with probability 2^-64.
    """
    bands = digests.shape[1]
    rows = len(f.a) // bands
    signature = np.empty(len(f.a), np.uint64)
    for i in range(len(texts.valid)):
        at, end = texts.offsets[i], texts.offsets[i + 1]
        if not texts.valid[i] or signature_of(texts.data, at, end, table, f, signature) == 0:
            continue
        found[i] = True
        for band in range(bands):
            digest = np.uint64(rows)
            for row in range(rows):
                digest = _mix64(np.uint64(digest + signature[band * rows + row]))
            digests[i, band] = digest


def band_digests(
    column: pa.ChunkedArray, f: Functions, bands: int, normalization: Normalization
) -> tuple[UInt64Array, BoolArray]:
    """The digests (N, bands) of a column of texts, and which rows have any (N,).

    `f` holds bands x rows functions; band i takes the i-th `rows` of them.
    """
    digests = np.zeros((len(column), bands), np.uint64)
    found = np.zeros(len(column), np.bool_)
    _digest_all(texts_of(column), table_of(normalization), f, digests, found)
    return digests, found


def signature(text: str, f: Functions, normalization: Normalization) -> UInt64Array | None:
    """The signature (functions,) of one text, None where it has no shingle; for traces."""
    data = np.frombuffer(text.encode(), np.uint8)
    out = np.empty(len(f.a), np.uint64)
    return out if signature_of(data, 0, len(data), table_of(normalization), f, out) else None
