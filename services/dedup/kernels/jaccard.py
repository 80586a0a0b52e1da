"""Similarity of sets of shingles, and the pairs of documents that may be similar.

A set is a range of ascending 64-bit hashes: set i of ragged values is
`values[offsets[i]:offsets[i + 1]]`.
"""

import math

import numpy as np
import numpy.typing as npt

from services.dedup.kernels.compiled import BoolArray, Int64Array, UInt64Array, compiled
from services.dedup.kernels.shingling import mix64


@compiled
def jaccard_similarities(
    values: UInt64Array, offsets: Int64Array, left: Int64Array, right: Int64Array
) -> npt.NDArray[np.float64]:
    """Jaccard similarity of sets `left[i]` and `right[i]`; of two empty sets 0."""
    found = np.zeros(len(left), np.float64)
    for i in range(len(left)):
        a, end = offsets[left[i]], offsets[left[i] + 1]
        b, stop = offsets[right[i]], offsets[right[i] + 1]
        union = end - a + stop - b
        common = 0
        while a < end and b < stop:
            # Without branches that nobody can predict: hashes are random.
            x, y = values[a], values[b]
            common += int(x == y)
            a += int(x <= y)
            b += int(y <= x)
        if union:
            found[i] = common / (union - common)
    return found


@compiled
def unite(parent: Int64Array, left: Int64Array, right: Int64Array) -> None:
    """Join the trees of `left[i]` and `right[i]`; the least node becomes the root.

    A root is its own parent, and parents come before their children.
    """
    for i in range(len(left)):
        a, b = left[i], right[i]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        parent[max(a, b)] = min(a, b)


@compiled
def flatten(parent: Int64Array) -> None:
    """Point every node at its root."""
    for i in range(len(parent)):
        parent[i] = parent[parent[i]]


@compiled
def prefixes(
    values: UInt64Array, offsets: Int64Array, components: Int64Array, least: float
) -> tuple[UInt64Array, Int64Array]:
    """Keys of which two sets of a component with Jaccard similarity `least` share at least one.

    Such sets have ceil(least n) elements in common, n being the size of the larger. So they cannot
    all lie beyond the first n - ceil(least n) + 1 of either, in any order that is the same for
    both (Chaudhuri et al. 2006); here that of the hashes. Returns keys, and whose each is.
    """
    sizes = np.empty(len(offsets) - 1, np.int64)
    for i in range(len(sizes)):
        size = offsets[i + 1] - offsets[i]
        # A hair less, since rounding must not shorten a prefix.
        sizes[i] = min(size, size - math.ceil(least * size - 1e-9) + 1)
    keys = np.empty(sizes.sum(), np.uint64)
    owners = np.empty(len(keys), np.int64)
    to = 0
    for i in range(len(sizes)):
        salt = mix64(np.uint64(components[i]))
        for k in range(sizes[i]):
            keys[to] = mix64(np.uint64(values[offsets[i] + k] ^ salt))
            owners[to] = i
            to += 1
    return keys, owners


@compiled
def pairs_of_keys(
    keys: UInt64Array, nodes: Int64Array, roots: Int64Array, open_: BoolArray, most: int
) -> tuple[Int64Array, Int64Array]:
    """Pairs of nodes with equal keys but different roots, at least one of them open.

    `keys` ascend, nodes of one key too. Of a key with more than `most` nodes each is paired with
    the first and the one before it only, so that n nodes never give n squared pairs.
    """
    left = np.empty(1024, np.int64)
    right = np.empty(1024, np.int64)
    count = 0
    begin = 0
    for i in range(1, len(keys)):
        if keys[i] != keys[begin]:
            begin = i
            continue
        many = i - begin >= most
        reached = 2 if many else i - begin
        for k in range(reached):
            a, b = nodes[begin if k == 0 else i - reached + k], nodes[i]
            if roots[a] == roots[b] or not (open_[a] or open_[b]):
                continue
            if count == len(left):
                left = np.concatenate((left, np.empty(count, np.int64)))
                right = np.concatenate((right, np.empty(count, np.int64)))
            left[count], right[count] = a, b
            count += 1
    return left[:count], right[:count]


@compiled
def parts_of(components: Int64Array, parts: int, skip: int) -> Int64Array:
    """A part of each component, by its hash; independent of that among `skip` parts."""
    found = np.empty(len(components), np.int64)
    for i in range(len(components)):
        found[i] = mix64(np.uint64(components[i])) // np.uint64(skip) % np.uint64(parts)
    return found
