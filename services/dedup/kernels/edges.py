"""Keys made even, and the edges between entries of equal keys."""

import numpy as np

from services.dedup.kernels.compiled import Int64Array, UInt64Array, compiled
from services.dedup.kernels.shingling import mix64


@compiled
def mixed(digests: UInt64Array, salt: np.uint64) -> UInt64Array:
    """Keys of digests under a group's salt: evenly spread, different for different digests."""
    keys = np.empty(len(digests), np.uint64)
    for i in range(len(digests)):
        keys[i] = mix64(digests[i] ^ salt)
    return keys


@compiled
def mixed_bands(
    digests: UInt64Array, offsets: Int64Array, salt: np.uint64
) -> tuple[UInt64Array, Int64Array]:
    """Keys of lists of band digests, and for each the list that it comes from.

    The i-th digest of a list is told from an equal one at another position.
    """
    first, last = offsets[0], offsets[-1]
    keys = np.empty(last - first, np.uint64)
    owners = np.empty(last - first, np.int64)
    for owner in range(len(offsets) - 1):
        for i in range(offsets[owner], offsets[owner + 1]):
            band = mix64(np.uint64(i - offsets[owner] + 1))
            keys[i - first] = mix64(digests[i] ^ band ^ salt)
            owners[i - first] = owner
    return keys, owners


@compiled
def firsts(keys: UInt64Array, checks: UInt64Array) -> Int64Array:
    """For each of sorted keys the position of the first that equals it, often its own.

    `checks` holds a further word of each key that must be equal, or has no entries. Keys that
    agree in the first word only are all but impossible, so that trying each is quick enough.
    """
    first = np.arange(len(keys))
    head = 0  # where the entries of this key start
    for i in range(1, len(keys)):
        if keys[i] != keys[i - 1]:
            head = i
        elif len(checks) == 0 or checks[i] == checks[head]:
            first[i] = head
        else:
            for j in range(head + 1, i):
                if checks[j] == checks[i]:
                    first[i] = j
                    break
    return first


@compiled
def edge_ends(
    first: Int64Array,
    places: Int64Array,
    floor: int,
    chain: bool,  # noqa: FBT001 (compiled: no keyword-only arguments)
) -> tuple[Int64Array, Int64Array]:
    """Edges from the first entry of each key to every further one; lefts and rights.

    With `chain`, also from each further one to the next. Only edges whose right end is at `floor`
    or later; none from a document to itself.
    """
    edges = 0
    for i in range(len(first)):
        edges += int(first[i] != i) * (2 if chain else 1)
    left, right = np.empty(edges, np.int64), np.empty(edges, np.int64)
    n = 0
    for i in range(len(first)):
        place = places[i]
        if first[i] == i or place < floor:
            continue
        if places[first[i]] != place:
            left[n], right[n] = places[first[i]], place
            n += 1
        if chain and first[i] != i - 1 and first[i - 1] == first[i] and places[i - 1] != place:
            left[n], right[n] = places[i - 1], place
            n += 1
    return left[:n], right[:n]


@compiled
def edge_ends_across(
    first: Int64Array, places: Int64Array, part: Int64Array, row_bits: int
) -> tuple[Int64Array, Int64Array]:
    """The same for keys whose first part of shards keeps all its documents.

    `part` holds the part of each shard, ascending: edges lead to the documents of later parts.
    """
    left, right = np.empty(len(first), np.int64), np.empty(len(first), np.int64)
    n = 0
    for i in range(len(first)):
        centre = places[first[i]]
        if part[places[i] >> row_bits] > part[centre >> row_bits]:
            left[n], right[n] = centre, places[i]
            n += 1
    return left[:n], right[:n]
