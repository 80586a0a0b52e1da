"""MinHash signatures and band digests, one compiled pass a document.

A document is the set of its shingles: every `ngram` words, characters or tokens in a row of its
normal form. They follow each other there, so a shingle is a range of bytes, hashed in place. Each
of bands x rows functions keeps its least value over the shingles; two documents of Jaccard
similarity s agree on one with probability s, and on all rows of some band with
1 - (1 - s^rows)^bands. Only one 64-bit digest a band leaves the kernel: signatures would take 72 kB
a document in RefinedWeb's setting (specs 15.9).

The values themselves follow published code, so that they can be compared with it:

    datasketch         datasketch 2, scheme affine32: a h + b mod 2^32, a odd, h mixed before
    datasketch64       datasketch 2, scheme affine64: the same with 64 bits
    datasketch_legacy  datasketch 1: (a h + b mod 2^64) mod (2^61 - 1), low 32 bits
    datatrove          FineWeb: the same with a 64-bit h and all 61 bits
    fast               this project's: the functions of `datasketch`

The first four take the first bytes of SHA-1 as the hash h of a shingle, most of the time of a
signature of few functions; `fast` takes the shingle hashes that verification compares, a third of
that time. The wide ones wrap at 64 bits before the modulo as their numpy code does, so they are no
true universal hashing. 32 bits are enough within a document, and the digest of a band has 64.
"""

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from services.dedup.kernels.compiled import BoolArray, UInt64Array, compiled
from services.dedup.kernels.documents import Documents, gap, units_of
from services.dedup.kernels.sha1_lanes import sha1_prefixes
from services.dedup.kernels.shingling import gram_hashes, mix64

UInt32Array = npt.NDArray[np.uint32]
Scheme = Literal["datasketch", "datasketch64", "datasketch_legacy", "datatrove", "fast"]

_CODES: dict[Scheme, int] = {
    "datasketch": 0,
    "datasketch64": 1,
    "datasketch_legacy": 2,
    "datatrove": 3,
    "fast": 4,
}
_MERSENNE_61 = (1 << 61) - 1
_LOW_32 = 0xFFFFFFFF


class Functions(NamedTuple):
    """The hash functions of a scheme: how a shingle is hashed, and a and b of each function."""

    scheme: int
    a: UInt64Array
    b: UInt64Array
    #: The same in 32 bits: eight products at once, where 64 bits take five times as long.
    a_low: UInt32Array
    b_low: UInt32Array


@cache
def functions(scheme: Scheme, count: int, seed: int) -> Functions:
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
        bits, kind = (64, np.uint64) if scheme == "datasketch64" else (32, np.uint32)
        a = draw(0, 1 << (bits - 1), size=count, dtype=kind) * kind(2) + kind(1)
        b = draw(0, 1 << bits, size=count, dtype=kind)
    wide = [np.ascontiguousarray(x, np.uint64) for x in (a, b)]
    low = [x.astype(np.uint32) for x in wide]
    for arrays in (wide, low):
        for array in arrays:
            array.setflags(write=False)
    return Functions(_CODES[scheme], wide[0], wide[1], low[0], low[1])


@compiled
def _mix32(h: np.uint32) -> np.uint32:
    """MurmurHash3's 32-bit finaliser, a bijection."""
    h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ np.uint32(h >> np.uint32(16)))


@compiled
def _minima_32(hashes: UInt64Array, a: UInt32Array, b: UInt32Array, out: UInt64Array) -> None:
    """Least a h + b mod 2^32; all are narrow, so that eight fit a register."""
    h = np.empty(len(hashes), np.uint32)
    for i in range(len(hashes)):
        h[i] = _mix32(np.uint32(hashes[i] & np.uint64(_LOW_32)))
    for k in range(len(a)):
        least = np.uint32(_LOW_32)
        for i in range(len(h)):
            least = min(least, np.uint32(a[k] * h[i] + b[k]))
        out[k] = least


@compiled
def _minima_64(hashes: UInt64Array, a: UInt64Array, b: UInt64Array, out: UInt64Array) -> None:
    """Least a h + b mod 2^64."""
    for i in range(len(hashes)):
        hashes[i] = mix64(hashes[i])
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
            value = min(value, np.uint64(value - prime))  # a negative one wraps: it is greater
            least = min(least, np.uint64(value & bits))
        out[k] = least


@compiled
def signature_of(d: Documents, row: int, f: Functions, out: UInt64Array) -> int:
    """Write the signature of a text to `out`; returns its shingles, 0 where it is too short."""
    text, starts = units_of(d, row)
    shingles = len(starts) - d.ngram
    if shingles <= 0:
        return 0
    hashes = np.empty(shingles, np.uint64)
    if f.scheme == 4:
        gram_hashes(text, starts, gap(d), d.ngram, hashes)
    else:
        sha1_prefixes(text, starts[:shingles], starts[d.ngram :] - gap(d), hashes)
    if f.scheme in (0, 4):
        _minima_32(hashes, f.a_low, f.b_low, out)
    elif f.scheme == 1:
        _minima_64(hashes, f.a, f.b, out)
    elif f.scheme == 2:
        _minima_61(hashes, f.a, f.b, np.uint64(_LOW_32), out)
    else:
        _minima_61(hashes, f.a, f.b, np.uint64(0xFFFFFFFFFFFFFFFF), out)
    return shingles


@compiled
def _digest_all(d: Documents, f: Functions, digests: UInt64Array, found: BoolArray) -> None:
    """Band digests of every text that has a shingle, one after the other.

    A digest of equal rows is equal; of different rows it is with probability 2^-64.
    """
    bands = digests.shape[1]
    rows = len(f.a) // bands
    signature = np.empty(len(f.a), np.uint64)
    for i in range(len(d.texts.valid)):
        if not d.texts.valid[i] or signature_of(d, i, f, signature) == 0:
            continue
        found[i] = True
        for band in range(bands):
            digest = np.uint64(rows)
            for row in range(rows):
                digest = mix64(np.uint64(digest + signature[band * rows + row]))
            digests[i, band] = digest


def band_digests(d: Documents, f: Functions, bands: int) -> tuple[UInt64Array, BoolArray]:
    """The digests (N, bands) of documents, and which of them have any (N,).

    `f` holds bands x rows functions; band i takes the i-th `rows` of them.
    """
    digests = np.zeros((len(d.texts.valid), bands), np.uint64)
    found = np.zeros(len(d.texts.valid), np.bool_)
    _digest_all(d, f, digests, found)
    return digests, found


def signature(d: Documents, f: Functions) -> UInt64Array | None:
    """The signature (functions,) of the first document, None where it has no shingle."""
    out = np.empty(len(f.a), np.uint64)
    return out if signature_of(d, 0, f, out) else None
