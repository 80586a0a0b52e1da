"""Parts of stored objects: byte ranges, and the rows of some shards out of keyed tables.

A phase's table may be much larger than what one shard needs of it. Keyed tables are sorted by
shard, so that the statistics of their row groups say which to fetch.
"""

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.columns import read_receipt
from shared.errors import NotFoundError
from shared.store import Store

#: Objects up to this size are fetched whole: one request costs more than the bytes.
SMALL_BYTES = 2**20


class ObjectReader(NamedTuple):
    """A stored object: its size, and `read(offset, length)`, fewer bytes only at its end."""

    size: int
    read: Callable[[int, int], bytes]


class _RangeFile(io.RawIOBase):
    """A read-only file over an object's byte ranges."""

    def __init__(self, source: ObjectReader) -> None:
        self._source, self._at = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._source.size - self._at if size is None or size < 0 else size
        data = self._source.read(self._at, max(0, wanted))
        self._at += len(data)
        return data


def open_object(store: Store, key: str) -> ObjectReader:
    """A reader of an object's ranges; NotFoundError where there is none."""
    size = store.stat(key).size
    return ObjectReader(size, store.range_reader(key, size))


def open_table(store: Store, folder: str, unit: str, *, pre_buffer: bool = False) -> pq.ParquetFile:
    """The committed table of a unit, read by ranges; NotFoundError where it is not committed.

    With `pre_buffer` all that a read asks for is fetched together: fewer requests, more memory.
    """
    receipt = read_receipt(store, folder, unit)
    if receipt is None:
        raise NotFoundError(f"{folder}{unit} is not committed")
    source = open_object(store, folder + receipt["data"])
    if source.size <= SMALL_BYTES:
        return pq.ParquetFile(pa.BufferReader(source.read(0, source.size)))
    return pq.ParquetFile(pa.PythonFile(_RangeFile(source), mode="r"), pre_buffer=pre_buffer)


def row_groups(file: pq.ParquetFile) -> Iterator[pa.Table]:
    """A table, one row group at a time; one empty table where it has no rows."""
    for group in range(file.num_row_groups):
        yield file.read_row_group(group, use_threads=False)
    if file.num_row_groups == 0:
        yield file.schema_arrow.empty_table()


def rows_of_shards(file: pq.ParquetFile, shards: range) -> Iterator[pa.Table]:
    """The rows whose `shard` lies in a range; other row groups are not fetched."""
    column = file.schema_arrow.get_field_index("shard")
    first, last = shards.start, shards.stop - 1
    for group in range(file.num_row_groups):
        about = file.metadata.row_group(group)
        if about.num_rows == 0:
            continue
        statistics = about.column(column).statistics
        if statistics.max < first or statistics.min > last:
            continue
        table = file.read_row_group(group, use_threads=False)
        shard = table.column("shard")
        mine = pc.and_(pc.greater_equal(shard, first), pc.less_equal(shard, last))
        yield table.filter(mine)


def rows_between(table: pa.Table, first: int, end: int) -> pa.Table:
    """Of a keyed table that is sorted by `row`, the rows from `first` up to `end`."""
    at = np.searchsorted(np.asarray(table.column("row"), np.int64), [first, end])
    return table.slice(int(at[0]), int(at[1] - at[0]))
