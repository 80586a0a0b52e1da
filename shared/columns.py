"""Columns in the store: Parquet objects named by their content, committed by receipts.

    columns/<step>-<fingerprint>/<unit>-<content hash>.parquet     immutable
    columns/<step>-<fingerprint>/<unit>.json                       receipt, written last

The bytes follow from the rows alone (fixed writer settings, row groups cut by row count and size),
so a retry writes the same object under the same name.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from shared.errors import NotFoundError
from shared.store import Store, to_json

#: A row group is closed at the first of these; both count towards a worker's memory.
ROW_GROUP_ROWS = 8192
ROW_GROUP_BYTES = 48 * 2**20
#: Rows handed on at a time when stored columns are read.
READ_ROWS = 512


class ColumnWriter:
    """Collects the rows of one object in a temporary file, then commits it."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._file = tempfile.NamedTemporaryFile(suffix=".parquet")  # noqa: SIM115 (closed by commit or discard)
        self._writer = pq.ParquetWriter(
            self._file.name, schema, compression="zstd", compression_level=3
        )
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._pending_bytes = 0

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self._pending.append(table)
        self._pending_rows += table.num_rows
        self._pending_bytes += table.nbytes
        self.rows += table.num_rows
        if self._pending_rows >= ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            table = pa.concat_tables(self._pending).combine_chunks()
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    def commit(self, store: Store, folder: str, unit: str, receipt: dict[str, Any]) -> bool:
        """Upload the object and write its receipt; False where another writer was first."""
        self._flush()
        self._writer.close()
        path = Path(self._file.name)
        content = blake3(max_threads=1)
        content.update_mmap(path)
        name = f"{unit}-{content.hexdigest(16)}.parquet"
        if not store.exists(folder + name):
            store.upload(path, folder + name)
        self._file.close()
        return commit_receipt(
            store,
            folder,
            unit,
            {**receipt, "data": name, "rows": self.rows, "schema": str(self.schema.names)},
        )

    def discard(self) -> None:
        """Forget the rows."""
        self._writer.close()
        self._file.close()


def commit_receipt(store: Store, folder: str, unit: str, receipt: dict[str, Any]) -> bool:
    """Write a receipt where there is none."""
    return store.put_if_absent(f"{folder}{unit}.json", to_json(receipt))


def read_receipt(store: Store, folder: str, unit: str) -> dict[str, Any] | None:
    """The receipt of a committed output, None where it is not committed."""
    try:
        receipt: dict[str, Any] = store.get_json(f"{folder}{unit}.json")
    except NotFoundError:
        return None
    return receipt


def committed_units(store: Store, folder: str) -> set[str]:
    """Units of a folder that have a receipt."""
    return {
        e.key.rsplit("/", 1)[-1].removesuffix(".json")
        for e in store.list(folder)
        if e.key.endswith(".json") and e.key.count("/") == folder.count("/")
    }


def open_columns(store: Store, folder: str, unit: str) -> pq.ParquetFile:
    """The committed object of a unit; NotFoundError where it is not committed."""
    receipt = read_receipt(store, folder, unit)
    if receipt is None:
        raise NotFoundError(f"{folder}{unit} is not committed")
    return pq.ParquetFile(pa.BufferReader(store.get(folder + receipt["data"])))


def read_columns(
    store: Store, folder: str, unit: str, columns: list[str] | None = None
) -> pa.Table:
    """The rows of a committed unit."""
    return open_columns(store, folder, unit).read(columns=columns, use_threads=False)


class RowCursor:
    """Reads a stored table forwards, any number of rows at a time."""

    def __init__(self, file: pq.ParquetFile, columns: list[str]) -> None:
        self.rows = file.metadata.num_rows
        self._schema = file.schema_arrow
        self._columns = columns
        self._batches: Iterator[pa.RecordBatch] = file.iter_batches(
            batch_size=READ_ROWS, columns=columns, use_threads=False
        )
        self._pending: list[pa.Table] = []
        self._have = 0

    def take(self, rows: int) -> pa.Table:
        """The next `rows` rows, fewer only at the end."""
        while self._have < rows:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._pending.append(pa.Table.from_batches([batch]))
            self._have += batch.num_rows
        if not self._pending:
            return pa.schema([self._schema.field(c) for c in self._columns]).empty_table()
        table = pa.concat_tables(self._pending)
        head, rest = table.slice(0, rows), table.slice(rows)
        self._pending = [rest] if rest.num_rows else []
        self._have = rest.num_rows
        return head
