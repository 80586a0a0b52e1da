"""The document that each cluster keeps, and its size, in the buckets of `components`.

    first     the cluster's label
    longest   greatest length, the first of equals; a document without one comes last
    best      the same by a score
    random    least hash of seed and id

Each bucket's documents are summed up by label, the sums are sent to the bucket that the label lies
in, and what comes of them goes back: a cluster of a million documents is one sum a bucket.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.dedup.buckets import Buckets
from services.dedup.components import Components, at_once
from services.dedup.duplicates import DuplicateParams
from services.dedup.edges import Int64Array
from shared.errors import PermanentError
from shared.index import ROW_BITS
from shared.scope import Scope

UInt64Array: TypeAlias = npt.NDArray[np.uint64]
#: Preferences for documents at places of the batch: the least stays, the first of equals.
Preference: TypeAlias = Callable[[Int64Array], UInt64Array]
ROW_MASK: Final = (1 << ROW_BITS) - 1
_SIGN: Final = np.uint64(2**63)


def preference_of(scope: Scope, params: DuplicateParams, length: str) -> Preference | None:
    """What decides which document of a cluster stays; None where the first does."""
    column = {"longest": length, "best": params.score, "random": "document"}.get(params.keeper)
    if column is None:
        return None

    def preference(places: Int64Array) -> UInt64Array:
        read = _drawn if params.keeper == "random" else _greatest_first
        parts = [read(values, params.seed) for values in values_at(scope, column, places)]
        return np.concatenate([np.empty(0, np.uint64), *parts])

    return preference


def values_at(scope: Scope, column: str, places: Int64Array) -> Iterator[pa.ChunkedArray]:
    """A column at ascending places of the batch, some at a time.

    Raises PermanentError where a place has no document that is still kept.
    """
    shards = places >> ROW_BITS
    starts = np.flatnonzero(np.diff(shards, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(places)], strict=False):
        shard, wanted = int(shards[start]), places[start:end] & ROW_MASK
        found = 0
        for _, rows in scope.rows((column,), range(shard, shard + 1)):
            known = np.asarray(rows.column("row"), np.int64)
            at = np.searchsorted(known, wanted)
            inside = np.flatnonzero(at < len(known))
            inside = inside[known[at[inside]] == wanted[inside]]
            found += len(inside)
            yield rows.column(column).take(pa.array(at[inside]))
        if found != len(wanted):
            raise PermanentError(
                f"shard {shard}: {len(wanted)} documents were matched, {found} are still kept"
            )


def _greatest_first(values: pa.ChunkedArray, _seed: int) -> UInt64Array:
    """Numbers as integers in the opposite order; null and NaN come last."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise PermanentError(f"the best document is found by numbers, not by {values.type}")
    numbers = pc.fill_null(values.cast(pa.float64()), float("nan")).to_numpy()
    numbers = np.where(numbers == 0, 0.0, numbers)  # -0.0 too
    bits = numbers.view(np.uint64)
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return np.where(np.isnan(numbers), ~np.uint64(0), ~ascending)


def _drawn(ids: pa.ChunkedArray, seed: int) -> UInt64Array:
    """A hash of seed and id."""
    drawn = (
        hashlib.blake2b(f"{seed}:{document}".encode(), digest_size=8).digest()
        for document in ids.to_pylist()
    )
    return np.frombuffer(b"".join(drawn), "<u8").astype(np.uint64)


def choose(
    found: Components,
    capacity: int,
    opened: ExitStack,
    *,
    preference: Preference | None = None,
    base: int = 0,
) -> Buckets:
    """The `keeper` (place) and `size` of each node's cluster, in the order of the nodes.

    `size` counts documents at `base` and after it. The files close with `opened`.
    """
    count = len(found.cuts) + 1
    chosen = opened.enter_context(Buckets(count, keeper="i8", size="i4"))
    with ExitStack() as passing:
        sums = passing.enter_context(
            Buckets(count, label="i8", bucket="i4", total="i8", preference="u8", place="i8")
        )
        told = passing.enter_context(Buckets(count, label="i8", keeper="i8", total="i8"))
        for bucket in range(count):
            _sum_up(bucket, found, sums, preference, base)
        for bucket in range(count):  # labels lie in their documents' bucket or one before it
            _elect(bucket, sums, told, capacity)
            _take(bucket, found, told, chosen)
    return chosen


def _sum_up(
    bucket: int, found: Components, sums: Buckets, preference: Preference | None, base: int
) -> None:
    """One sum for each label of a bucket's nodes, to the label's bucket."""
    from services.dedup.kernels.union_find import elect

    places = found.nodes.all(bucket, "place")["place"]
    labels = found.labels.all(bucket)["label"]
    order, totals = np.argsort(labels), (places >= base).astype(np.int64)
    if preference is None:
        preferences, places = np.zeros(len(places), np.uint64), labels
    else:
        preferences = preference(places)
    _, label, total, least, keeper = elect(order, labels, totals, preferences, places)
    sums.scatter(
        label,
        found.cuts,
        label=label,
        bucket=np.full(len(label), bucket),
        total=total,
        preference=least,
        place=keeper,
    )


def _elect(bucket: int, sums: Buckets, told: Buckets, capacity: int) -> None:
    """Tell each bucket that has documents of a label who stays, and how many there are."""
    from services.dedup.kernels.union_find import elect

    by_bucket = np.arange(1, told.count)
    parts = -(-sums.size(bucket) // capacity)
    for part in range(parts):
        records = _part(sums, bucket, part, parts, at_once(capacity))
        labels = records["label"]
        group, _, total, _, keeper = elect(
            np.argsort(labels), labels, records["total"], records["preference"], records["place"]
        )
        told.scatter(
            records["bucket"], by_bucket, label=labels, keeper=keeper[group], total=total[group]
        )


def _part(sums: Buckets, bucket: int, part: int, parts: int, most: int) -> dict[str, Any]:
    """The sums of a share of a bucket's labels: of all, where they fit in memory together."""
    if parts == 1:
        return sums.all(bucket)
    chosen = []
    for records in sums.read(bucket, most):
        mine = records["label"] % parts == part
        chosen.append({name: values[mine] for name, values in records.items()})
    return {name: np.concatenate([c[name] for c in chosen]) for name in sums.types}


def _take(bucket: int, found: Components, told: Buckets, chosen: Buckets) -> None:
    """What was told of each node's label."""
    from services.dedup.kernels.union_find import number_table, numbers_of

    news = told.all(bucket)
    table = number_table(news["label"])
    at = numbers_of(news["label"], table, found.labels.all(bucket)["label"], 0)
    chosen.append(bucket, keeper=news["keeper"][at], size=news["total"][at])
