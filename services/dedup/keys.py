"""Keys of documents: a column of hashes or bands as entries that sort evenly.

A key is one 64-bit digest. A band's number is mixed into it, and the salt of the group of documents
that are compared (`services.dedup.within`); then its bits are mixed, so that any digests lie evenly
over their range. Hashes of 128 bits keep their second half beside it, as `check`: documents are
equal where all 128 bits are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.dedup.index.run import AnyArray, Entries
from services.dedup.within import Within, salts_of
from shared.index import ROW_BITS
from shared.scope import Scope

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

#: Keys of a column's part: (keys, position of each key's document, further columns).
Keys = tuple[UInt64Array, Int64Array, dict[str, AnyArray]]
#: Keys that are made from a shard's column at once: 24 bytes each, beside those that wait.
SLICE_KEYS = 2**18


@dataclass(frozen=True)
class KeyColumn:
    """A column that holds keys, and how they are read: `(values, salt)` to keys."""

    name: str
    read: Callable[[pa.Array, int], Keys]


def read_hashes(values: pa.Array, salt: int) -> Keys:
    """Keys of hashes of 16 bytes; nulls have none."""
    from services.dedup.kernels.edges import mixed

    index = np.flatnonzero(np.asarray(values.is_valid()))
    found = values.drop_null()
    words = np.frombuffer(found.buffers()[1], "<u8", 2 * len(found), 16 * found.offset)
    halves = words.reshape(-1, 2)
    keys = mixed(np.ascontiguousarray(halves[:, 0]), np.uint64(salt))
    return keys, index, {"check": np.ascontiguousarray(halves[:, 1])}


def read_bands(values: pa.Array, salt: int) -> Keys:
    """Keys of lists of band digests; null lists have none."""
    from services.dedup.kernels.edges import mixed_bands

    valid = np.asarray(values.is_valid())
    found = values.drop_null()
    offsets = np.asarray(found.offsets, np.int64)
    keys, owners = mixed_bands(np.asarray(found.values, np.uint64), offsets, np.uint64(salt))
    return keys, np.flatnonzero(valid)[owners], {}


def entries_of(
    scope: Scope, column: KeyColumn, shards: range, within: Within, parts: int
) -> Iterator[Entries]:
    """The keys of some shards' kept rows, unsorted, in the order of their places."""
    salts = salts_of(scope.batch, within, parts)
    for shard, rows in scope.rows((column.name,), shards):
        salt = 0 if salts is None else int(salts[shard])
        places = (shard << ROW_BITS) | np.asarray(rows.column("row"), np.int64)
        for at, values in _slices(rows.column(column.name)):
            keys, index, columns = column.read(values, salt)
            yield Entries(keys, places[at + index], columns)


def _slices(column: pa.ChunkedArray) -> Iterator[tuple[int, pa.Array]]:
    """A column in parts of about `SLICE_KEYS` keys, and where each begins."""
    at = 0
    for chunk in column.chunks:
        keys = max(1, len(chunk.flatten()) if pa.types.is_list(chunk.type) else len(chunk))
        step = max(1, SLICE_KEYS * len(chunk) // keys)
        for start in range(0, len(chunk), step):
            yield at + start, chunk.slice(start, step)
        at += len(chunk)


# OLD, until clusters.py is replaced
class OldKeys(NamedTuple):
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
) -> OldKeys:
    """The keys of all kept rows that belong to one partition."""
    places, words = [], []
    for shard, rows in scope.rows((column,)):
        index, found = reader(rows.column(column))
        mine = found[-1] % np.uint64(partitions) == partition
        places.append(places_of(shard, np.asarray(rows.column("row"), np.int64)[index[mine]]))
        words.append([word[mine] for word in found])
    if not places:
        return OldKeys(np.empty(0, np.int64), (np.empty(0, np.uint64),))
    return OldKeys(np.concatenate(places), tuple(map(np.concatenate, zip(*words, strict=True))))


def equal_keys(keys: OldKeys) -> tuple[Int64Array, Int64Array]:
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
