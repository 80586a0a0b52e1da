r"""The compiled loops of byte-level BPE: words as GPT-2's pattern cuts them, then merges by rank.

    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

A word that is a token of its own is found in a table by its bytes. In any other, the pair of
neighbours with the lowest rank is merged, the leftmost first, until none is known: in an array for
short words, with a heap for long ones, so that a megabyte without a space takes n log n.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.compiled import leaf
from shared.text.utf8 import Bytes, Int64Array, flags_at

UInt32Array = npt.NDArray[np.uint32]
UInt64Array = npt.NDArray[np.uint64]

LETTER, NUMBER, SPACE = 1, 2, 4
_APOSTROPHE, _BLANK = 0x27, 0x20
#: An entry of the table of merges: one bit that says it is used, then left, right and rank.
ID_BITS = 21
_USED = np.uint64(1 << 2 * ID_BITS)
_RANK_MASK = np.uint64((1 << ID_BITS) - 1)
#: No merge: greater than every rank.
NO_RANK = np.int64(1 << ID_BITS)
#: Words of up to so many bytes are merged in an array: n^2 / 4 steps there, n log n with a heap.
SHORT = 96
_FNV_BASIS = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Vocabulary(NamedTuple):
    """What the loops read. Tables are open, of a power of two of slots."""

    classes: Bytes  # of each code point
    byte_ids: UInt32Array  # (256,)
    sizes: Int64Array  # bytes of each id
    merges: UInt64Array  # left, right and rank in one word; 0 where a slot is free
    merged: UInt32Array  # the id that a rank's merge gives
    words: UInt32Array  # id + 1 of a word that is a token of its own, by the hash of its bytes
    blob: Bytes  # the bytes of all tokens,
    at: Int64Array  # and where each id's begin


@leaf
def _contraction(data: Bytes, at: int, end: int) -> int:
    """Bytes of an English contraction at an apostrophe, 0 where none is."""
    if at + 1 >= end:
        return 0
    first = data[at + 1]
    if first in (0x73, 0x74, 0x6D, 0x64):  # s t m d
        return 2
    if at + 2 >= end:
        return 0
    second = data[at + 2]
    if second == 0x65 and first in (0x72, 0x76):  # re ve
        return 3
    return 3 if first == 0x6C and second == 0x6C else 0  # ll


@leaf
def _word_end(data: Bytes, at: int, end: int, classes: Bytes) -> int:
    """Where the word that starts at a byte before `end` ends."""
    if data[at] == _APOSTROPHE:
        size = _contraction(data, at, end)
        if size:
            return at + size
    here = at + 1 if data[at] == _BLANK and at + 1 < end else at
    kind, size = flags_at(data, here, end, classes)
    if kind != SPACE:
        while here + size < end:
            here += size
            other, size = flags_at(data, here, end, classes)
            if other != kind:
                return here
        return end
    last, here = at, at  # where the last white space of the run begins
    while here < end:
        kind, size = flags_at(data, here, end, classes)
        if kind != SPACE:
            return here if last == at else last
        last, here = here, here + size
    return end


@leaf
def hash_bytes(data: Bytes, at: int, end: int) -> np.uint64:
    """FNV-1a, 64 bits."""
    h = _FNV_BASIS
    for i in range(at, end):
        h = np.uint64((h ^ np.uint64(data[i])) * _FNV_PRIME)
    return h


@leaf
def _slot(h: np.uint64, slots: int) -> np.int64:
    """Where to look for a hash in a table of a power of two of slots."""
    h = np.uint64(h * _GOLDEN)
    return np.int64((h >> np.uint64(32)) & np.uint64(slots - 1))


@leaf
def _token_of(data: Bytes, at: int, end: int, v: Vocabulary) -> np.int64:
    """The id of a word that is a token of its own, or -1."""
    slot = _slot(hash_bytes(data, at, end), len(v.words))
    while v.words[slot]:
        found = np.int64(v.words[slot]) - 1
        if v.sizes[found] == end - at:
            same = True
            start = v.at[found]
            for i in range(end - at):
                if v.blob[start + i] != data[at + i]:
                    same = False
                    break
            if same:
                return found
        slot = (slot + 1) & (len(v.words) - 1)
    return np.int64(-1)


@leaf
def _pair(left: np.uint32, right: np.uint32) -> np.uint64:
    """A pair of ids as the table of merges writes it, without the rank."""
    return np.uint64(_USED | (np.uint64(left) << np.uint64(ID_BITS)) | np.uint64(right))


@leaf
def _rank_of(left: np.uint32, right: np.uint32, merges: UInt64Array) -> np.int64:
    """The rank of a pair's merge, NO_RANK where there is none."""
    pair = _pair(left, right)
    slot = _slot(pair, len(merges))
    while merges[slot]:
        if merges[slot] >> np.uint64(ID_BITS) == pair:
            return np.int64(merges[slot] & _RANK_MASK)
        slot = (slot + 1) & (len(merges) - 1)
    return NO_RANK


@leaf
def _merge_short(ids: UInt32Array, count: int, ranks: Int64Array, v: Vocabulary) -> int:
    """Merge the first `count` ids in place; returns how many are left. `ranks` is room."""
    for i in range(count - 1):
        ranks[i] = _rank_of(ids[i], ids[i + 1], v.merges)
    while count > 1:
        best, place = NO_RANK, 0
        for i in range(count - 1):
            if ranks[i] < best:
                best, place = ranks[i], i
        if best == NO_RANK:
            break
        ids[place] = v.merged[best]
        for i in range(place + 1, count - 1):
            ids[i] = ids[i + 1]
            ranks[i - 1] = ranks[i]
        count -= 1
        if place > 0:
            ranks[place - 1] = _rank_of(ids[place - 1], ids[place], v.merges)
        if place < count - 1:
            ranks[place] = _rank_of(ids[place], ids[place + 1], v.merges)
    return count


@leaf
def _push(heap: UInt64Array, size: int, rank: np.int64, place: int | np.integer) -> int:
    """Add a pair where it has a rank; returns the heap's size. Least rank first, then leftmost."""
    if rank == NO_RANK:
        return size
    entry = np.uint64((np.uint64(rank) << np.uint64(32)) | np.uint64(place))
    at = size
    while at > 0 and heap[(at - 1) >> 1] > entry:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = entry
    return size + 1


@leaf
def _pop(heap: UInt64Array, size: int) -> np.uint64:
    """Take the least of `size` entries out."""
    least, entry = np.uint64(heap[0]), heap[size - 1]
    size -= 1
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        child += int(child + 1 < size and heap[child + 1] < heap[child])
        if heap[child] >= entry:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = entry
    return least


@njit(cache=True, nogil=True)
def _merge_long(ids: UInt32Array, v: Vocabulary) -> int:
    """Merge ids in place; returns how many are left. Three entries of the heap an id at most."""
    count = len(ids)
    after, before = np.arange(1, count + 1), np.arange(-1, count - 1)
    heap, size = np.empty(3 * count, np.uint64), 0
    for at in range(count - 1):
        size = _push(heap, size, _rank_of(ids[at], ids[at + 1], v.merges), at)
    gone = np.zeros(count, np.bool_)
    while size:
        entry = _pop(heap, size)
        size -= 1
        rank, i = np.int64(entry >> np.uint64(32)), np.int64(entry & np.uint64(0xFFFFFFFF))
        j = after[i]
        if gone[i] or j == count or _rank_of(ids[i], ids[j], v.merges) != rank:
            continue
        ids[i] = v.merged[rank]
        gone[j] = True
        after[i] = after[j]
        if after[j] < count:
            before[after[j]] = i
            size = _push(heap, size, _rank_of(ids[i], ids[after[i]], v.merges), i)
        if before[i] >= 0:
            size = _push(heap, size, _rank_of(ids[before[i]], ids[i], v.merges), before[i])
    left = 0
    for at in range(count):
        if not gone[at]:
            ids[left] = ids[at]
            left += 1
    return left


@njit(cache=True, nogil=True)
def _merge(
    data: Bytes, at: int, end: int, v: Vocabulary, ids: UInt32Array, ranks: Int64Array
) -> UInt32Array:
    """The tokens of a word, in `ids` where it is short."""
    size = end - at
    room = ids if size <= SHORT else np.empty(size, np.uint32)
    for i in range(size):
        room[i] = v.byte_ids[data[at + i]]
    left = _merge_short(room, size, ranks, v) if size <= SHORT else _merge_long(room, v)
    return room[:left]


@njit(cache=True, nogil=True)
def encode_rows(
    data: Bytes,
    bounds: Int64Array,
    v: Vocabulary,
    values: UInt32Array,
    starts: Int64Array,
    offsets: Int64Array,
) -> None:
    """Write the tokens of each text `data[bounds[i]:bounds[i + 1]]`, and where they start in it.

    `values` and `starts` have an entry a byte; `offsets` says where each text's tokens begin.
    """
    ids, ranks = np.empty(SHORT, np.uint32), np.empty(SHORT, np.int64)
    to = 0
    offsets[0] = 0
    for row in range(len(bounds) - 1):
        begin, end = bounds[row], bounds[row + 1]
        at = begin
        while at < end:
            stop = _word_end(data, at, end, v.classes)
            token = _token_of(data, at, stop, v)
            if token >= 0:
                values[to], starts[to] = token, at - begin
                to += 1
            else:
                start = at - begin
                for one in _merge(data, at, stop, v, ids, ranks):
                    values[to], starts[to] = one, start
                    start += v.sizes[one]
                    to += 1
            at = stop
        offsets[row + 1] = to


@njit(cache=True, nogil=True)
def merge_table(pairs: UInt32Array) -> UInt64Array:
    """The table of merges: pairs (M, 2) by rank; the first of equal pairs counts."""
    slots = 4
    while slots < 2 * len(pairs):
        slots *= 2
    table = np.zeros(slots, np.uint64)
    for rank in range(len(pairs)):
        left, right = pairs[rank, 0], pairs[rank, 1]
        if _rank_of(left, right, table) != NO_RANK:
            continue
        slot = _slot(_pair(left, right), slots)
        while table[slot]:
            slot = (slot + 1) & (slots - 1)
        table[slot] = (_pair(left, right) << np.uint64(ID_BITS)) | np.uint64(rank)
    return table


@njit(cache=True, nogil=True)
def word_table(v: Vocabulary) -> UInt32Array:
    """The table of words: tokens that merging their own bytes gives back."""
    slots = 4
    while slots < 2 * len(v.sizes):
        slots *= 2
    table = np.zeros(slots, np.uint32)
    ids, ranks = np.empty(SHORT, np.uint32), np.empty(SHORT, np.int64)
    for token in range(len(v.sizes)):
        at, end = v.at[token], v.at[token] + v.sizes[token]
        if at == end:
            continue
        merged = _merge(v.blob, at, end, v, ids, ranks)
        if len(merged) == 1 and merged[0] == token:
            slot = _slot(hash_bytes(v.blob, at, end), slots)
            while table[slot]:
                slot = (slot + 1) & (slots - 1)
            table[slot] = token + 1
    return table
