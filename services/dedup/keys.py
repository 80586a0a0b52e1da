"""Keys of documents: a column of hashes or bands as entries that sort evenly.

A key is one 64-bit digest. A band's number is mixed into it, and the salt of the group of documents
that are compared (`services.dedup.within`); then its bits are mixed, so that any digests lie evenly
over their range. Hashes of 128 bits keep their second half beside it, as `check`: documents are
equal where all 128 bits are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
