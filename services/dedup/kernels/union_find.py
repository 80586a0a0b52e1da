"""Connected components of the matched documents."""

import numpy as np

from services.dedup.kernels.compiled import Int64Array, compiled


@compiled
def components(nodes: int, left: Int64Array, right: Int64Array) -> Int64Array:
    """For each of `nodes` nodes the least node of its component; edge i joins left[i] and right[i].

    Union by least root with path halving, so the result does not depend on the order of the edges.
    """
    parent = np.arange(nodes)
    for i in range(len(left)):
        a, b = left[i], right[i]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    for i in range(nodes):  # parents come before their children
        parent[i] = parent[parent[i]]
    return parent
