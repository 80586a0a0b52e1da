"""Loops of the components that do not fit in memory: one bucket of places at a time.

Within a bucket nodes are numbered in the order of their places. A node's parent is such a number,
or a place below the bucket, less 2**63: so these are negative, and all in the places' order.
"""

import numpy as np
import numpy.typing as npt

from services.dedup.kernels.compiled import Int64Array, UInt64Array, compiled

Int32Array = npt.NDArray[np.int32]
Float32Array = npt.NDArray[np.float32]

#: Added to a place below the bucket.
BELOW = -(2**63)
#: Pairs of one document up to this many are sorted by insertion.
SMALL = 24
#: Fibonacci hashing: the leading bits of the product are the slot.
_SPREAD = 0x9E3779B97F4A7C15


@compiled
def order_by_bucket(keys: Int64Array, cuts: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Stable order of keys by bucket (how many `cuts` a key reaches), and the buckets' bounds."""
    bucket = np.empty(len(keys), np.int32)
    bounds = np.zeros(len(cuts) + 2, np.int64)
    for i in range(len(keys)):
        low, high = 0, len(cuts)
        while low < high:
            middle = (low + high) >> 1
            if cuts[middle] <= keys[i]:
                low = middle + 1
            else:
                high = middle
        bucket[i] = low
        bounds[low + 1] += 1
    bounds = np.cumsum(bounds)
    at = bounds[:-1].copy()
    order = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        order[at[bucket[i]]] = i
        at[bucket[i]] += 1
    return order, bounds


@compiled
def number_table(values: Int64Array) -> Int32Array:
    """A hash table of distinct values: slots hold the number of a value, or -1."""
    bits = 3
    while (1 << bits) < 2 * len(values):
        bits += 1
    table = np.full(1 << bits, -1, np.int32)
    shift, mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
    for i in range(len(values)):
        slot = (np.uint64(values[i]) * np.uint64(_SPREAD)) >> shift
        while table[slot] != -1:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = i
    return table


@compiled
def numbers_of(values: Int64Array, table: Int32Array, wanted: Int64Array, low: int) -> Int64Array:
    """The number of each wanted value; -1 where it is not known, below `low` encoded as such."""
    bits = 0
    while (1 << bits) < len(table):
        bits += 1
    shift, mask = np.uint64(64 - bits), np.uint64(len(table) - 1)
    out = np.empty(len(wanted), np.int64)
    for i in range(len(wanted)):
        if wanted[i] < low:
            out[i] = wanted[i] + BELOW
            continue
        slot = (np.uint64(wanted[i]) * np.uint64(_SPREAD)) >> shift
        while table[slot] != -1 and values[table[slot]] != wanted[i]:
            slot = (slot + np.uint64(1)) & mask
        out[i] = table[slot]
    return out


@compiled
def link(
    parents: Int64Array, right: Int64Array, left: Int64Array, large: Int64Array, small: Int64Array
) -> int:
    """Join right[i] and left[i], both encoded: Rem's union by least place, with splicing.

    A node whose parent is itself is a root. Where two places below the bucket are found to be of
    one component, they go to `large` and `small`; returns how many did.
    """
    moved = 0
    for i in range(len(right)):
        x, y = right[i], left[i]
        while True:
            px = parents[x] if x >= 0 else x
            py = parents[y] if y >= 0 else y
            if px == py:
                break
            if px < py:
                x, y, px, py = y, x, py, px
            if x < 0:  # and so is py, which is smaller
                large[moved], small[moved] = px - BELOW, py - BELOW
                moved += 1
                break
            parents[x] = py
            if x == px:
                break
            x = px
    return moved


@compiled
def resolve(parents: Int64Array, labels: Int64Array) -> None:
    """Labels of all nodes, given those of roots and of nodes with a parent below the bucket."""
    for i in range(len(parents)):
        if parents[i] >= 0:
            labels[i] = labels[parents[i]]  # parents come before their children


@compiled
def _sort(keys: Int64Array, first: Int32Array, second: Float32Array) -> None:
    """Sort a few keys, with two values each."""
    if len(keys) > SMALL:
        order = np.argsort(keys)
        keys[:], first[:], second[:] = keys[order], first[order], second[order]
        return
    for i in range(1, len(keys)):
        key, one, two, to = keys[i], first[i], second[i], i
        while to > 0 and keys[to - 1] > key:
            keys[to], first[to], second[to] = keys[to - 1], first[to - 1], second[to - 1]
            to -= 1
        keys[to], first[to], second[to] = key, one, two


@compiled
def best_pairs(
    nodes: int, right: Int64Array, left: Int64Array, shared: Int32Array, measured: Float32Array
) -> tuple[Int64Array, Int64Array, Int32Array, Float32Array]:
    """The least of the places `left` that each node is paired with as `right`, and the best.

    The best has the greatest sum of `shared` (the first of equals), and comes with that sum and
    its greatest measure. -1 and NaN where there is none.
    """
    ends = np.zeros(nodes + 1, np.int64)
    for i in range(len(right)):
        ends[right[i] + 1] += 1
    ends = np.cumsum(ends)
    at = ends[:-1].copy()
    places, keys, values = np.empty_like(left), np.empty_like(shared), np.empty_like(measured)
    for i in range(len(right)):
        to = at[right[i]]
        at[right[i]] += 1
        places[to], keys[to], values[to] = left[i], shared[i], measured[i]
    least, best = np.full(nodes, -1, np.int64), np.full(nodes, -1, np.int64)
    most, measure = np.zeros(nodes, np.int32), np.full(nodes, np.nan, np.float32)
    for node in range(nodes):
        i, end = ends[node], ends[node + 1]
        if end == i:
            continue
        _sort(places[i:end], keys[i:end], values[i:end])
        least[node] = places[i]
        while i < end:
            place, total, greatest = places[i], np.int32(0), np.float32(np.nan)
            while i < end and places[i] == place:
                total += keys[i]
                if np.isnan(greatest) or values[i] > greatest:
                    greatest = values[i]
                i += 1
            if best[node] < 0 or total > most[node]:
                best[node], most[node], measure[node] = place, total, greatest
    return least, best, most, measure


@compiled
def elect(
    order: Int64Array,
    labels: Int64Array,
    totals: Int64Array,
    preferences: UInt64Array,
    places: Int64Array,
) -> tuple[Int64Array, Int64Array, Int64Array, UInt64Array, Int64Array]:
    """Group records by label, given an order of all by label.

    Returns the group of each record, and of each group the label, the sum of `totals`, the least
    preference and the least place with it.
    """
    group = np.empty(len(order), np.int64)
    label, total = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    least, keeper = np.empty(len(order), np.uint64), np.empty(len(order), np.int64)
    last = -1
    for record in order:
        place, preference = places[record], preferences[record]
        if last < 0 or labels[record] != label[last]:
            last += 1
            label[last], total[last] = labels[record], 0
            least[last], keeper[last] = preference, place
        group[record] = last
        total[last] += totals[record]
        if preference < least[last] or (preference == least[last] and place < keeper[last]):
            least[last], keeper[last] = preference, place
    groups = last + 1
    return group, label[:groups], total[:groups], least[:groups], keeper[:groups]
