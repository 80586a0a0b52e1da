"""Components against sets merged by hand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels.union_find import components

graphs = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))
    )
)


def merged(nodes: int, edges: list[tuple[int, int]]) -> list[int]:
    groups = [{i} for i in range(nodes)]
    for a, b in edges:
        union = groups[a] | groups[b]
        for node in union:
            groups[node] = union
    return [min(group) for group in groups]


def run(nodes: int, edges: list[tuple[int, int]]) -> list[int]:
    ends = np.array(edges, np.int64).reshape(-1, 2)
    return components(nodes, ends[:, 0].copy(), ends[:, 1].copy()).tolist()


@settings(deadline=None)  # the first call compiles
@given(graphs)
def test_equals_merged_sets(graph):
    assert run(*graph) == merged(*graph)


@settings(deadline=None)  # the first call compiles
@given(graphs, st.randoms(use_true_random=False))
def test_order_of_edges_does_not_matter(graph, random):
    nodes, edges = graph
    shuffled = [edge if random.random() < 0.5 else edge[::-1] for edge in edges]
    random.shuffle(shuffled)
    assert run(nodes, shuffled) == run(nodes, edges)


def test_long_chain():
    assert set(run(10**5, [(i, i + 1) for i in reversed(range(10**5 - 1))])) == {0}
