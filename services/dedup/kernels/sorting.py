"""Sorting 64-bit keys with a value each, in the order that equal keys came in.

Keys are digests, so they lie evenly over their range, and two passes by their leading bits leave
bins of a few entries, in cache: one pass over all of them, one within each bin of the first.
numpy's stable sort takes several times as long.
"""

import numpy as np

from services.dedup.kernels.compiled import Int64Array, UInt64Array, compiled

#: Bins of the first pass: as many as a core's table of pages and first cache follow at once.
FIRST_BITS = 10
#: Entries that a bin has at last, about.
SMALL = 8
#: A bin with more entries than these was not cut evenly, and is sorted by merging.
LARGE = 64


@compiled
def _leading(keys: UInt64Array) -> int:
    """How many leading bits all keys have in common, up to 63."""
    low, high = keys[0], keys[0]
    for key in keys:
        low, high = min(low, key), max(high, key)
    different = low ^ high
    common = 0
    while common < 63 and (different >> np.uint64(63 - common)) == 0:
        common += 1
    return common


@compiled
def _scatter(
    keys: UInt64Array,
    values: Int64Array,
    skipped: int,
    bits: int,
    out_keys: UInt64Array,
    out_values: Int64Array,
    starts: Int64Array,
) -> None:
    """Move entries to bins by `bits` bits after the first `skipped`; `starts` (2**bits + 1,)."""
    up, down = np.uint64(skipped), np.uint64(64 - bits)
    starts[: (1 << bits) + 1] = 0
    for key in keys:
        starts[np.int64((key << up) >> down) + 1] += 1
    for i in range(1 << bits):
        starts[i + 1] += starts[i]
    for i in range(len(keys)):
        digit = np.int64((keys[i] << up) >> down)
        to = starts[digit]
        starts[digit] = to + 1
        out_keys[to] = keys[i]
        out_values[to] = values[i]
    for i in range(1 << bits, 0, -1):
        starts[i] = starts[i - 1]
    starts[0] = 0


@compiled
def _insert(keys: UInt64Array, values: Int64Array) -> None:
    """Sort a few entries, or many that nearly are sorted."""
    for i in range(1, len(keys)):
        key, value = keys[i], values[i]
        to = i
        while to > 0 and keys[to - 1] > key:
            keys[to], values[to] = keys[to - 1], values[to - 1]
            to -= 1
        keys[to], values[to] = key, value


@compiled
def _sort_bin(keys: UInt64Array, values: Int64Array) -> None:
    """Sort a bin that further bits do not cut, or not evenly."""
    ordered = True
    for i in range(1, len(keys)):
        if keys[i - 1] > keys[i]:
            ordered = False
            break
    if ordered:
        return
    if len(keys) <= LARGE:
        _insert(keys, values)
        return
    order = np.argsort(keys, kind="mergesort")
    keys[:], values[:] = keys[order], values[order]


@compiled
def _bits(entries: int, most: int) -> int:
    """Bits that cut some entries into bins of `SMALL`, up to `most`."""
    bits = 0
    while bits < most and (entries >> (bits + 1)) >= SMALL:
        bits += 1
    return bits


@compiled
def sort_pairs(keys: UInt64Array, values: Int64Array) -> tuple[UInt64Array, Int64Array]:
    """Both sorted by key; values of equal keys in the order that they came in."""
    out_keys, out_values = np.empty_like(keys), np.empty_like(values)
    if len(keys) == 0:
        return out_keys, out_values
    skipped = _leading(keys)
    bits = min(_bits(len(keys), FIRST_BITS), 64 - skipped)
    if bits == 0:
        out_keys[:], out_values[:] = keys, values
        _sort_bin(out_keys, out_values)
        return out_keys, out_values
    starts = np.empty((1 << FIRST_BITS) + 1, np.int64)
    _scatter(keys, values, skipped, bits, out_keys, out_values, starts)
    most = np.max(np.diff(starts[: (1 << bits) + 1]))
    room_keys, room_values = np.empty(most, np.uint64), np.empty(most, np.int64)
    inner = np.empty((1 << 2 * FIRST_BITS) + 1, np.int64)
    for bin_ in range(1 << bits):
        a, b = starts[bin_], starts[bin_ + 1]
        further = min(_bits(b - a, 2 * FIRST_BITS), 64 - skipped - bits)
        if further == 0:
            _sort_bin(out_keys[a:b], out_values[a:b])
            continue
        room_keys[: b - a], room_values[: b - a] = out_keys[a:b], out_values[a:b]
        _scatter(
            room_keys[: b - a],
            room_values[: b - a],
            skipped + bits,
            further,
            out_keys[a:b],
            out_values[a:b],
            inner,
        )
        for i in range(1 << further):
            first, last = a + inner[i], a + inner[i + 1]
            if last - first > 1:
                _sort_bin(out_keys[first:last], out_values[first:last])
    return out_keys, out_values


@compiled
def places_ascend(keys: UInt64Array, places: Int64Array) -> bool:
    """Whether the places of equal keys, which stand together, are in order."""
    for i in range(1, len(keys)):
        if keys[i] == keys[i - 1] and places[i] < places[i - 1]:
            return False
    return True


@compiled
def order_of_places(keys: UInt64Array, places: Int64Array) -> Int64Array:
    """The order in which the places of equal keys, which stand together, ascend."""
    order = np.arange(len(keys))
    head = 0
    for i in range(1, len(keys) + 1):
        if i < len(keys) and keys[i] == keys[head]:
            continue
        if i - head > 1:
            order[head:i] = head + np.argsort(places[head:i], kind="mergesort")
        head = i
    return order


@compiled
def count_leading(keys: UInt64Array, bits: int, counts: Int64Array) -> None:
    """Add to `counts` (2**bits,) the keys by their leading bits."""
    for key in keys:
        counts[np.int64(key >> np.uint64(64 - bits))] += 1
