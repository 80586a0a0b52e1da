"""Matching, clusters and their keepers: the two phases and the join of every duplicate step.

    match      one task a partition of the keys: star edges between documents of equal keys
    cluster    one task: connected components over all edges; a keeper each
    join       each document learns whether it stays, its cluster, and the cluster's size

Links are transitive (specs 1.7): a document may leave for one that it shares no key with. Memory of
`cluster` is that of the documents in clusters, not of the batch.
"""

import hashlib
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from services.dedup.keys import (
    Int64Array,
    KeyReader,
    equal_keys,
    partition_keys,
    places_of,
    split_places,
)
from shared.errors import PermanentError
from shared.schema import Column
from shared.scope import Scope
from shared.step import GroupOutput, Params

BoolArray: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]

COLUMNS = (
    Column("keeper", pa.bool_(), "stays: chosen from its cluster, or in none"),
    Column("cluster", pa.string(), "document that its cluster keeps; null where it is in none"),
    Column("cluster_size", pa.int32(), "documents in its cluster, itself included", "documents"),
)


class DuplicateParams(Params):
    """Which document of a cluster stays, and into how many tasks matching is cut.

    `first` in the order of the batch (sources by name, then offset); `longest`, the first of
    several; `random`, by a hash of `seed` and the document's id, so that it does not depend on the
    batch's order (RefinedWeb, specs 1.7).
    """

    keeper: Literal["first", "longest", "random"] = "first"
    seed: int = 0
    partitions: int = Field(default=4, ge=1, le=4096)


def match(
    scope: Scope, partition: int, params: DuplicateParams, *, column: str, reader: KeyReader
) -> GroupOutput:
    """Edges between the documents that share a key of this partition."""
    keys = partition_keys(scope, column, reader, partition, params.partitions)
    centres, members = equal_keys(keys)
    shards, rows = split_places(centres)
    member_shards, member_rows = split_places(members)
    return GroupOutput(
        pa.table(
            {"shard": shards, "row": rows, "member_shard": member_shards, "member_row": member_rows}
        )
    )


def cluster(scope: Scope, _partition: int, params: DuplicateParams, *, length: str) -> GroupOutput:
    """Clusters of two or more documents, a row each, sorted by shard and row."""
    from services.dedup.kernels.union_find import components

    edges = [_ends(table) for table in scope.tables("match")]
    centres, members = (np.concatenate([e[i] for e in edges]) for i in (0, 1))
    places, index = np.unique(np.concatenate([centres, members]), return_inverse=True)
    roots = components(len(places), index[: len(centres)], index[len(centres) :])
    ids, lengths = _describe(scope, places, length if params.keeper == "longest" else None)
    keepers = _keepers(roots, _preference(ids, lengths, params))
    shards, rows = split_places(places)
    sizes = np.bincount(roots, minlength=len(places))[roots]
    return GroupOutput(
        pa.table(
            {
                "shard": shards,
                "row": rows,
                "keeper": pa.array(keepers == np.arange(len(places))),
                "cluster": ids.take(pa.array(keepers)),
                "cluster_size": pa.array(sizes, pa.int32()),
            }
        )
    )


def join(rows: pa.Table, keyed: pa.Table, _params: DuplicateParams) -> pa.Table:
    """Give each of a shard's documents its cluster; one that is in none stays, alone."""
    wanted = np.asarray(rows.column("row"), np.int64)
    at, known = _find(np.asarray(keyed.column("row"), np.int64), wanted)
    found = keyed.select([c.name for c in COLUMNS]).take(pa.array(at, mask=~known))
    keeper = pc.fill_null(found.column("keeper"), True)
    size = pc.fill_null(found.column("cluster_size"), 1)
    return pa.table({"keeper": keeper, "cluster": found.column("cluster"), "cluster_size": size})


def _find(known: Int64Array, wanted: Int64Array) -> tuple[Int64Array, BoolArray]:
    """Where each wanted value stands among sorted known ones, and whether it does."""
    at = np.searchsorted(known, wanted)
    inside = at < len(known)
    inside[inside] = known[at[inside]] == wanted[inside]
    return at, inside


def _ends(edges: pa.Table) -> tuple[Int64Array, Int64Array]:
    """Both ends of edges, as places."""
    shards, rows, member_shards, member_rows = (
        np.asarray(edges.column(name), np.int64)
        for name in ("shard", "row", "member_shard", "member_row")
    )
    return places_of(shards, rows), places_of(member_shards, member_rows)


def _describe(scope: Scope, places: Int64Array, length: str | None) -> tuple[pa.Array, Int64Array]:
    """Ids of the documents at sorted places, and their lengths where a column of those is named.

    An unknown length is below every other. Raises PermanentError where a place has no document.
    """
    ids: list[pa.Array] = [pa.array([], pa.string())]
    lengths: list[Int64Array] = [np.empty(0, np.int64)]
    for shard, rows in scope.rows(("document", length) if length else ("document",)):
        _, known = _find(places, places_of(shard, np.asarray(rows.column("row"), np.int64)))
        chosen = rows.filter(pa.array(known))
        ids.extend(chosen.column("document").chunks)
        if length:
            lengths.append(np.asarray(pc.fill_null(chosen.column(length), -1), np.int64))
    found = pa.concat_arrays(ids)
    if len(found) != len(places):
        raise PermanentError(f"{len(places)} documents were matched, {len(found)} are still kept")
    return found, np.concatenate(lengths)


def _preference(ids: pa.Array, lengths: Int64Array, params: DuplicateParams) -> AnyArray:
    """The keeper of a cluster is the document with the least of these, the first of equals."""
    if params.keeper == "first":
        return np.zeros(len(ids), np.int64)
    if params.keeper == "longest":
        return -lengths
    drawn = (
        hashlib.blake2b(f"{params.seed}:{document}".encode(), digest_size=8).digest()
        for document in ids.to_pylist()
    )
    return np.frombuffer(b"".join(drawn), "<u8")


def _keepers(roots: Int64Array, preference: AnyArray) -> Int64Array:
    """For each document the index of its cluster's keeper."""
    order = np.lexsort((preference, roots))  # stable: equals stay in the order of the batch
    heads = np.ones(len(order), np.bool_)
    heads[1:] = roots[order[1:]] != roots[order[:-1]]
    keeper = np.empty(len(order), np.int64)
    keeper[roots[order[heads]]] = order[heads]
    return np.asarray(keeper[roots])
