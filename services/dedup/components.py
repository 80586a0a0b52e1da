"""Connected components of any number of edges, in memory that does not grow with them.

Places are cut into buckets, ranges whose documents and edges fit in memory, and the buckets are
gone through twice (after Sibeyn's external connected components):

    spread   each edge goes to the bucket of its later end, and a note of its earlier end to that
             end's bucket
    link     from the last bucket to the first: union-find over the bucket's nodes by least place.
             A node's parent may lie in an earlier bucket; where that joins two places of earlier
             buckets, they are an edge of the later one's bucket
    label    from the first to the last: a node has its parent's label, asked for by a message
             where the parent lies in an earlier bucket, and a root its own place

So each component is labelled by its least place, whatever the order of edges and the buckets.
An edge takes 48 bytes of disk, 8 more where its ends lie in two buckets, and 16 each time that it
moves; a node 52, and 28 more where its parent lies in another bucket.

Where links are not transitive (under an index), a node's parent is its least neighbour before it.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.dedup.buckets import Buckets
from services.dedup.edges import Int64Array

Float32Array: TypeAlias = npt.NDArray[np.float32]

#: Ends of edges that the cuts are estimated from: with 1,000 buckets 250 each, so that one in a
#: thousand is a fifth larger than meant.
SAMPLED_ENDS: Final = 2**18
#: Records handled at once, as a share of a bucket: little beside it, and yet so many that pieces of
#: buckets are few (10^9 edges in 400 buckets are 600,000 pieces, 10 MB).
AT_ONCE_OF_BUCKET: Final = 8
#: Labels of roots, by place: themselves, but for documents of earlier batches.
RootLabels: TypeAlias = Callable[[Int64Array], Int64Array]


class Components(NamedTuple):
    """The nodes of all edges by bucket; places ascend within a bucket and from one to the next.

    `nodes` holds for each `place`; `match`, the earlier place that it shares most keys with (the
    first of equals), or -1; `shared`, how many; and `measured`, the similarity of the two where an
    edge gave one, else NaN. `labels` holds each node's `label`, in the same order.
    """

    cuts: Int64Array  # (buckets - 1,), the first place of every bucket but the first
    nodes: Buckets
    labels: Buckets


class _Rounds(NamedTuple):
    """What passes between the rounds, by bucket."""

    at_once: int  # records handled at once
    pairs: Buckets  # edges at their later end
    ends: Buckets  # earlier ends of edges of other buckets
    moved: Buckets  # edges found while later buckets were linked
    parents: Buckets  # a node's parent, encoded as in `kernels.union_find`
    asked: Buckets  # places whose label a node of another bucket wants
    told: Buckets  # the labels


def components(
    edges: Iterable[pa.Table],
    capacity: int,
    opened: ExitStack,
    *,
    transitive: bool = True,
    root_labels: RootLabels = lambda places: places,
) -> Components:
    """Components of edges (`EDGES`, in any order), about `capacity` ends of edges in a bucket.

    The files of what is returned close with `opened`.
    """
    with ExitStack() as passing:
        spool = passing.enter_context(Buckets(1, right="i8", left="i8", shared="i4", measured="f4"))
        cuts = _spool(edges, spool, capacity)
        count = len(cuts) + 1

        def buckets(stack: ExitStack, **types: str) -> Buckets:
            return stack.enter_context(Buckets(count, **types))

        rounds = _Rounds(
            at_once=at_once(capacity),
            pairs=spool if count == 1 else buckets(passing, **spool.types),
            ends=buckets(passing, place="i8"),
            moved=buckets(passing, large="i8", small="i8"),
            parents=buckets(passing, parent="i8"),
            asked=buckets(passing, place="i8", bucket="i4", node="i4"),
            told=buckets(passing, node="i4", label="i8"),
        )
        found = Components(
            cuts,
            buckets(opened, place="i8", match="i8", shared="i4", measured="f4"),
            buckets(opened, label="i8"),
        )
        if count > 1:
            _spread(spool, rounds, cuts)
            spool.close()
        for bucket in reversed(range(count)):
            _link(bucket, rounds, found, transitive=transitive)
        for bucket in range(count):
            _label(bucket, rounds, found, root_labels)
    return found


def at_once(capacity: int) -> int:
    """Records that are handled at once, where a bucket holds `capacity`."""
    return max(1, capacity // AT_ONCE_OF_BUCKET)


def _spool(edges: Iterable[pa.Table], spool: Buckets, capacity: int) -> Int64Array:
    """Put all edges on disk; the cuts, estimated from a sample of their ends.

    The sample is drawn with a fixed seed; nothing but the sizes of buckets depends on it.
    """
    random = np.random.default_rng(0)
    sample: list[Int64Array] = []
    stride, sampled = 1, 0
    for table in edges:
        right, left = (np.asarray(table.column(n), np.int64) for n in ("right", "left"))
        measured = np.full(len(right), np.nan, np.float32)
        if "jaccard" in table.column_names:
            measured = np.asarray(table.column("jaccard").to_numpy(), np.float32)
        shared = np.asarray(table.column("shared"), np.int32)
        apart = right != left
        if not apart.all():
            right, left, shared, measured = (a[apart] for a in (right, left, shared, measured))
        spool.append(
            0,
            right=np.maximum(right, left),
            left=np.minimum(right, left),
            shared=shared,
            measured=measured,
        )
        if len(right):
            drawn = np.arange(len(right))
            if stride > 1:
                drawn = random.integers(0, len(right), random.poisson(len(right) / stride))
            sample.append(np.stack([right[drawn], left[drawn]]))
            sampled += 2 * len(drawn)
        while sampled > SAMPLED_ENDS:
            sample = [np.concatenate(sample, axis=1)[:, ::2]]
            stride, sampled = stride * 2, sample[0].size
    return _cuts(sample, -(-2 * spool.records // capacity))


def _cuts(sample: list[Int64Array], count: int) -> Int64Array:
    """The places that cut sampled edges into `count` parts alike; fewer where one is met often.

    An edge lies at its later end; its earlier one is a node, however many edges begin there.
    """
    if count < 2:
        return np.empty(0, np.int64)
    right, left = np.concatenate(sample, axis=1)
    ends = np.sort(np.concatenate([right, distinct(left)]))
    return distinct(ends[np.arange(1, count) * len(ends) // count])


def distinct(values: Int64Array) -> Int64Array:
    """Sorted, each value once (`np.unique` hashes first, and takes many times as long)."""
    values = np.sort(values)
    first = np.ones(len(values), np.bool_)
    first[1:] = values[1:] != values[:-1]
    return values[first]


def _spread(spool: Buckets, rounds: _Rounds, cuts: Int64Array) -> None:
    """Take edges to the bucket of their later end, and earlier ends to their own."""
    for edges in spool.read(0, rounds.at_once):
        right, left = edges["right"], edges["left"]
        rounds.pairs.scatter(right, cuts, **edges)
        away = left[np.searchsorted(cuts, left, "right") != np.searchsorted(cuts, right, "right")]
        rounds.ends.scatter(away, cuts, place=away)


def _link(bucket: int, rounds: _Rounds, found: Components, *, transitive: bool) -> None:
    """Give each node of a bucket a parent before it, where its edges lead to one."""
    from services.dedup.kernels.union_find import BELOW, number_table, numbers_of

    low = _low(bucket, found)
    pairs = rounds.pairs.all(bucket)
    places = _nodes(bucket, low, pairs, rounds)
    table = number_table(places)
    pairs["right"] = numbers_of(places, table, pairs["right"], low)
    least = _match(bucket, places, pairs, found)
    pairs["left"] = numbers_of(places, table, pairs["left"], low)
    parents = np.arange(len(places))
    if transitive:
        _join(parents, pairs["right"], pairs["left"], rounds, found)
        for moved in rounds.moved.read(bucket, rounds.at_once):
            large, small = (numbers_of(places, table, moved[n], low) for n in ("large", "small"))
            _join(parents, large, small, rounds, found)
    else:
        child = np.flatnonzero(least >= 0)
        parents[child] = numbers_of(places, table, least[child], low)
    rounds.parents.append(bucket, parent=parents)
    node = np.flatnonzero(parents < 0)
    asked = parents[node] - BELOW
    rounds.asked.scatter(
        asked, found.cuts, place=asked, bucket=np.full(len(node), bucket), node=node
    )


def _low(bucket: int, found: Components) -> int:
    """The first place of a bucket."""
    return int(found.cuts[bucket - 1]) if bucket else 0


def _nodes(bucket: int, low: int, pairs: dict[str, Any], rounds: _Rounds) -> Int64Array:
    """The places of a bucket that edges end at, ascending."""
    left = pairs["left"]
    places = distinct(np.concatenate([pairs["right"], left[left >= low]]))
    waiting, count = [places], 0
    for ends in rounds.ends.read(bucket, rounds.at_once):
        waiting.append(ends["place"])
        count += len(ends["place"])
        if count > len(waiting[0]):  # so that all together takes a few sorts
            waiting, count = [distinct(np.concatenate(waiting))], 0
    return distinct(np.concatenate(waiting))


def _match(bucket: int, places: Int64Array, pairs: dict[str, Any], found: Components) -> Int64Array:
    """Note each node's best match; the least place that it is joined with, or -1."""
    from services.dedup.kernels.union_find import best_pairs

    least, match, shared, measured = best_pairs(
        len(places), pairs["right"], pairs["left"], pairs["shared"], pairs["measured"]
    )
    found.nodes.append(bucket, place=places, match=match, shared=shared, measured=measured)
    return least


def _join(
    parents: Int64Array, right: Int64Array, left: Int64Array, rounds: _Rounds, found: Components
) -> None:
    """Union of the ends of edges, encoded; what joins earlier buckets moves there."""
    from services.dedup.kernels.union_find import link

    large, small = (np.empty(min(len(right), rounds.at_once), np.int64) for _ in range(2))
    for at in range(0, len(right), rounds.at_once):
        part = slice(at, at + rounds.at_once)
        moved = link(parents, right[part], left[part], large, small)
        rounds.moved.scatter(large[:moved], found.cuts, large=large[:moved], small=small[:moved])


def _label(bucket: int, rounds: _Rounds, found: Components, root_labels: RootLabels) -> None:
    """Label a bucket's nodes, and tell the labels that nodes of later buckets asked for."""
    from services.dedup.kernels.union_find import number_table, numbers_of, resolve

    places = found.nodes.all(bucket, "place")["place"]
    parents = rounds.parents.all(bucket)["parent"]
    labels = np.zeros(len(places), np.int64)
    root = parents == np.arange(len(places))
    labels[root] = root_labels(places[root])
    for told in rounds.told.read(bucket, rounds.at_once):
        labels[told["node"]] = told["label"]
    resolve(parents, labels)
    found.labels.append(bucket, label=labels)
    table = number_table(places)
    by_bucket = np.arange(1, len(found.cuts) + 1)
    for asked in rounds.asked.read(bucket, rounds.at_once):
        at = numbers_of(places, table, asked["place"], _low(bucket, found))
        rounds.told.scatter(asked["bucket"], by_bucket, node=asked["node"], label=labels[at])
