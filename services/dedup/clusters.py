"""Clusters of matched documents and their keepers: a phase and the join of every duplicate step.

    cluster    one task: connected components over all edges, a keeper each, ids to name them by
    join       each document learns whether it stays, for which other it leaves, and how alike the
               two are

Links are transitive (specs 1.7): a document may leave for one that it shares no key with. Under an
index they are not: a document leaves where an earlier one shares a key with it, and its keeper is
found by going from each to the earliest that it is matched with. So what a batch keeps depends on
what came before it only. (Which of several earlier documents it names may depend on the runs that
matching read, whether it goes does not.)

Memory is `scope.memory`, whatever the number of edges and documents.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.dedup.buckets import Buckets
from services.dedup.components import Components, components, distinct
from services.dedup.duplicates import DuplicateParams
from services.dedup.edges import Int64Array
from services.dedup.identities import Identities
from services.dedup.keepers import ROW_MASK, choose, preference_of, values_at
from services.dedup.matching import verified
from shared.index import ROW_BITS, IndexView
from shared.schema import Column
from shared.scope import Scope
from shared.step import GroupOutput

COLUMNS: Final = (
    Column("keeper", pa.bool_(), "stays: chosen from its cluster, or in none"),
    Column("cluster", pa.string(), "document that its cluster keeps; null where it is in none"),
    Column(
        "cluster_size",
        pa.int32(),
        "documents of this batch in its cluster, itself included",
        "documents",
    ),
    Column(
        "matched",
        pa.string(),
        "the earlier document that it shares most keys with; null where there is none",
    ),
    Column(
        "similarity",
        pa.float32(),
        "of the two: measured, or estimated from the keys that they share; 1 where all is one key",
    ),
)
#: What the phase leaves, a row for each document in a cluster.
CLUSTERED: Final = pa.schema(
    [
        ("shard", pa.int32()),  # of the batch
        ("row", pa.int64()),
        *((c.name, c.type) for c in COLUMNS),
        ("keeper_place", pa.int64()),  # the keeper's place, in the index where there is one
    ]
)
#: What it leaves where pairs are verified: `settle` finds the clusters then.
COMPONENTS: Final = pa.schema(
    [
        ("shard", pa.int32()),
        ("row", pa.int64()),
        ("label", pa.int64()),  # the least place of the component
    ]
)
#: Bytes that an end of an edge takes while its bucket is linked: half of the edge (24), of its ends
#: as numbers (16), its order (8) and what sorting ends takes (16); and the node's place (8), slots
#: (16 at most), parent (8) and best match (24).
END_BYTES: Final = 96
#: Bytes that a row takes while its two ids, of about 100 bytes, are fetched and written: as asked
#: for, ordered, as read from disk and as columns; pools keep as much again.
ROW_BYTES: Final = 2048
#: How many rows are written at once, at most.
MOST_ROWS: Final = 2**17

#: Similarity of documents that share some keys; NaN where it cannot be told.
Estimate = Callable[[npt.NDArray[np.int32]], npt.NDArray[np.float64]]


def cluster(
    scope: Scope, _partition: int, params: DuplicateParams, *, column: str, length: str
) -> GroupOutput:
    """Clusters of the documents that share keys; where pairs are verified, `COMPONENTS` alone."""
    edges = chain(scope.tables("sort"), scope.tables("match"))
    if verified(params):
        return _components_of(scope, edges)
    return clusters_of(
        scope, edges, params, length=length, estimate=estimate_of(scope, params, column)
    )


def estimate_of(scope: Scope, params: DuplicateParams, column: str) -> Estimate:
    """How alike documents are that share some keys: (shared / bands)^(1 / rows) by MinHash.

    Documents that share the only key that they have, of their text or URL, are equal.
    """
    if column != "bands":
        return lambda shared: np.ones(len(shared))
    mine = next((b for b in scope.recipe.steps if b.params is params), None)
    if mine is None:
        return lambda shared: np.full(len(shared), np.nan)
    signatures: Any = scope.recipe.steps[mine.inputs["bands"]].params
    bands, rows = signatures.bands, signatures.rows
    return lambda shared: (np.minimum(shared, bands) / bands) ** (1 / rows)


def clusters_of(
    scope: Scope,
    edges: Iterable[pa.Table],
    params: DuplicateParams,
    *,
    length: str,
    estimate: Estimate,
) -> GroupOutput:
    """Clusters of some edges, `CLUSTERED`; `length` is the column that `longest` goes by."""
    view = scope.index(params.index) if params.index is not None else None
    base = view.base << ROW_BITS if view else 0
    capacity = _capacity(scope)
    with ExitStack() as opened:
        found = components(
            edges,
            capacity,
            opened,
            transitive=view is None,
            root_labels=partial(_labels, view=view, base=base),
        )
        preference = preference_of(scope, params, length)
        chosen = choose(found, capacity, opened, preference=preference, base=base)
        rows = _Rows(found, chosen, base, max(1, min(MOST_ROWS, scope.memory // ROW_BYTES)))
        identities = Identities(rows.slices, found.cuts, opened)
        for number, part in enumerate(rows.parts()):
            identities.ask(number, part.named())
        identities.answer(partial(_documents, scope=scope, view=view, base=base), rows.most)
        files = opened.pop_all()
    counts: Counter[str] = Counter(clusters=0, documents=0)
    batches = _batches(rows, identities, estimate, files, counts)
    return GroupOutput(pa.RecordBatchReader.from_batches(CLUSTERED, batches), counts=counts)


def join(rows: pa.Table, keyed: pa.Table, _params: DuplicateParams) -> pa.Table:
    """Give each of a shard's documents its cluster; one that is in none stays, alone."""
    known = np.asarray(keyed.column("row"), np.int64)
    wanted = np.asarray(rows.column("row"), np.int64)
    at = np.searchsorted(known, wanted)
    inside = at < len(known)
    inside[inside] = known[at[inside]] == wanted[inside]
    found = keyed.select([c.name for c in COLUMNS]).take(pa.array(at, mask=~inside))
    for name, alone in (("keeper", True), ("cluster_size", 1)):
        at_column = found.column_names.index(name)
        found = found.set_column(at_column, name, pc.fill_null(found.column(name), alone))
    return found


def _capacity(scope: Scope) -> int:
    """Ends of edges in a bucket."""
    return max(1, scope.memory // END_BYTES)


def _components_of(scope: Scope, edges: Iterable[pa.Table]) -> GroupOutput:
    """The component of each document in one."""

    def batches(found: Components, files: ExitStack) -> Iterator[pa.RecordBatch]:
        with files:
            for bucket in range(found.nodes.count):
                places = found.nodes.all(bucket, "place")["place"]
                labels = pa.array(found.labels.all(bucket)["label"])
                yield pa.record_batch([*_shards_and_rows(places), labels], schema=COMPONENTS)

    with ExitStack() as opened:
        found = components(edges, _capacity(scope), opened)
        files = opened.pop_all()
    return GroupOutput(pa.RecordBatchReader.from_batches(COMPONENTS, batches(found, files)))


def _labels(places: Int64Array, view: IndexView | None, base: int) -> Int64Array:
    """Labels of roots: themselves; for documents of earlier batches those that stayed for them."""
    earlier = int(np.searchsorted(places, base))
    if view is None or earlier == 0:
        return places
    return np.concatenate([view.keepers(places[:earlier]), places[earlier:]])


def _documents(places: Int64Array, scope: Scope, view: IndexView | None, base: int) -> pa.Array:
    """Ids at ascending places, of this batch and of earlier ones."""
    earlier = int(np.searchsorted(places, base))
    parts = [pa.array([], pa.string())]
    if view is not None and earlier:
        parts.append(view.documents(places[:earlier]))
    for ids in values_at(scope, "document", places[earlier:] - base):
        parts.extend(ids.chunks)
    return pa.concat_arrays(parts)


def _shards_and_rows(places: Int64Array) -> tuple[pa.Array, pa.Array]:
    return pa.array(places >> ROW_BITS, pa.int32()), pa.array(places & ROW_MASK)


class _Part(NamedTuple):
    """Some rows of the result, in order."""

    place: Int64Array
    match: Int64Array
    shared: npt.NDArray[np.int32]
    measured: npt.NDArray[np.float32]
    keeper: Int64Array
    size: npt.NDArray[np.int32]

    def named(self) -> Int64Array:
        """The places whose ids the rows hold."""
        return distinct(np.concatenate([self.keeper, self.match[self.match >= 0]]))


class _Rows:
    """The rows of all documents of this batch, in slices of at most `most`."""

    def __init__(self, found: Components, chosen: Buckets, base: int, most: int) -> None:
        self._found, self._chosen, self.base, self.most = found, chosen, base, most
        sizes = (found.nodes.size(bucket) for bucket in range(found.nodes.count))
        self.slices = max(1, sum(-(-size // most) for size in sizes))

    def parts(self) -> Iterator[_Part]:
        """The slices that have rows."""
        for bucket in range(self._found.nodes.count):
            columns = self._found.nodes.all(bucket) | self._chosen.all(bucket)
            places = columns["place"]
            for start in range(int(np.searchsorted(places, self.base)), len(places), self.most):
                yield _Part(**{n: v[start : start + self.most] for n, v in columns.items()})


def _batches(
    rows: _Rows,
    identities: Identities,
    estimate: Estimate,
    files: ExitStack,
    counts: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The result, a slice at a time; then its files are removed."""
    with files:
        for number, part in enumerate(rows.parts()):
            named, ids = part.named(), identities.get(number)
            alone = part.match < 0
            matched = pa.array(np.searchsorted(named, part.match), mask=alone)
            unmeasured = np.isnan(part.measured)
            similarity = np.where(unmeasured, estimate(part.shared), part.measured)
            keeper = part.keeper == part.place
            counts.update(clusters=int(keeper.sum()), documents=len(keeper))
            arrays = [
                *_shards_and_rows(part.place - rows.base),
                pa.array(keeper),
                ids.take(pa.array(np.searchsorted(named, part.keeper))),
                pa.array(part.size),
                ids.take(matched),
                pa.array(similarity.astype(np.float32), mask=alone | np.isnan(similarity)),
                pa.array(part.keeper),
            ]
            yield pa.record_batch(arrays, schema=CLUSTERED)
