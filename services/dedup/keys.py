"""Keys of documents as arrays, and the edges between documents whose keys are equal.

A document's place in the batch is one integer, shard and row, so that places sort in the order of
the batch. A partition holds the keys whose last word leaves a given remainder; equal keys fall into
the same one, so the partitions are independent, and a task's memory is that of its own keys: about
60 bytes each while they are sorted.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.scope import Scope

Int64Array: TypeAlias = npt.NDArray[np.int64]
UInt64Array: TypeAlias = npt.NDArray[np.uint64]

#: Bits of a place that hold the row; the rest hold the shard.
ROW_BITS = 32


class Keys(NamedTuple):
    """Key i belongs to the document at `places[i]` and is the i-th entry of every word."""

    places: Int64Array
    words: tuple[UInt64Array, ...]


#: A column of keys to the index of each key's document in it, and the keys' words.
KeyReader: TypeAlias = Callable[[pa.ChunkedArray], tuple[Int64Array, tuple[UInt64Array, ...]]]


def places_of(shards: int | Int64Array, rows: Int64Array) -> Int64Array:
    """Places of rows of one shard, or of a shard each."""
    return (shards << ROW_BITS) | rows


def split_places(places: Int64Array) -> tuple[pa.Array, pa.Array]:
    """Shards (int32) and rows (int64) of places."""
    return pa.array(places >> ROW_BITS, pa.int32()), pa.array(places & ((1 << ROW_BITS) - 1))


def binary_keys(column: pa.ChunkedArray) -> tuple[Int64Array, tuple[UInt64Array, ...]]:
    """Keys of 16 bytes as two words; nulls have none."""
    index = np.flatnonzero(np.asarray(column.is_valid()))
    data = b"".join(column.drop_null().to_pylist())
    words = np.frombuffer(data, "<u8").reshape(-1, 2)
    return index, (words[:, 0], words[:, 1])


def band_keys(column: pa.ChunkedArray) -> tuple[Int64Array, tuple[UInt64Array, ...]]:
    """Each band's number and digest as two words; null lists have none."""
    sizes = np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)
    index = np.repeat(np.arange(len(sizes)), sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    bands = np.arange(len(index)) - first
    return index, (bands.astype(np.uint64), np.asarray(pc.list_flatten(column), np.uint64))


def partition_keys(
    scope: Scope, column: str, reader: KeyReader, partition: int, partitions: int
) -> Keys:
    """The keys of all kept rows that belong to one partition."""
    places, words = [], []
    for shard, rows in scope.rows((column,)):
        index, found = reader(rows.column(column))
        mine = found[-1] % np.uint64(partitions) == partition
        places.append(places_of(shard, np.asarray(rows.column("row"), np.int64)[index[mine]]))
        words.append([word[mine] for word in found])
    if not places:
        return Keys(np.empty(0, np.int64), (np.empty(0, np.uint64),))
    return Keys(np.concatenate(places), tuple(map(np.concatenate, zip(*words, strict=True))))


def equal_keys(keys: Keys) -> tuple[Int64Array, Int64Array]:
    """Star edges: the first document of each key, and every further one; sorted, each edge once.

    One edge a further document, never a pair of every two: a key of n documents has n - 1 edges.
    """
    order = np.lexsort((keys.places, *keys.words))
    places = keys.places[order]
    same = np.zeros(len(order), np.bool_)  # whether a key equals the one before it
    if len(order) > 1:
        same[1:] = np.all([w[order[1:]] == w[order[:-1]] for w in keys.words], axis=0)
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    centres, members = places[first[same]], places[same]
    order = np.lexsort((members, centres))
    centres, members = centres[order], members[order]
    repeated = np.zeros(len(order), np.bool_)
    repeated[1:] = (centres[1:] == centres[:-1]) & (members[1:] == members[:-1])
    return centres[~repeated], members[~repeated]
