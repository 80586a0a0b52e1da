"""Parquet: a document a row; a shard owns the row groups whose first byte lies in its range."""

import io
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from services.extraction.archive.lines import DATE_FIELDS, ID_FIELDS, URL_FIELDS, fill_document
from services.extraction.archive.row import DAMAGED, Row, document_id
from services.extraction.archive.window import Window, most_output
from shared.errors import UsageError

ROW: Final = "row"
_BATCH_ROWS: Final = 64


class _File(io.RawIOBase):
    """A window as a file, for pyarrow."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._window.size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._window.size - self._position)
        data = self._window.get(self._position, left if size is None or size < 0 else size)
        self._position += len(data)
        return data


def read_table(
    archive: str,
    window: Window,
    span: tuple[int, int],
    limit: int,
    text_fields: tuple[str, ...],
    counts: Counter[str],
) -> Iterator[Row]:
    """Rows of the row groups that start in `span`.

    Raises UsageError where the file cannot be opened or has none of `text_fields`. A row group
    that cannot be read is one row with an error.
    """
    try:
        file = pq.ParquetFile(pa.PythonFile(_File(window), mode="r"))
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{archive} cannot be read as Parquet: {error}") from error
    names = file.schema_arrow.names
    if not any(name in names for name in text_fields):
        raise UsageError(
            f"{archive} has the columns {', '.join(names)}, none of {', '.join(text_fields)}; "
            "name the column of the text in text_fields",
            field="steps.0.params.text_fields",
        )
    known = (*text_fields, *ID_FIELDS, *URL_FIELDS, *DATE_FIELDS)
    columns = [name for name in names if name in known]
    for group in range(file.metadata.num_row_groups):
        offset, length = _extent(file.metadata.row_group(group))
        if not span[0] <= offset < span[1]:
            continue
        if _inflated(file.metadata.row_group(group)) > most_output(length, window.expansion):
            counts[DAMAGED] += 1
            message = f"row group {group} expands to more than {window.expansion} times its bytes"
            document = document_id(archive, offset)
            yield Row(document, offset, length, record_type=DAMAGED, error=message)
        else:
            yield from _group_rows(
                archive, file, group, (offset, length), columns, limit, text_fields, counts
            )


def _group_rows(
    archive: str,
    file: pq.ParquetFile,
    group: int,
    extent: tuple[int, int],
    columns: list[str],
    limit: int,
    text_fields: tuple[str, ...],
    counts: Counter[str],
) -> Iterator[Row]:
    position = 0
    try:
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns):
            for value in batch.to_pylist():
                row = Row(document_id(archive, extent[0], position), *extent, record_type=ROW)
                fill_document(row, value, text_fields, limit)
                position += 1
                counts[ROW] += 1
                yield row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        counts[DAMAGED] += 1
        message = f"row group {group} cannot be read after {position} rows: {error}"
        document = document_id(archive, extent[0], position)
        yield Row(document, *extent, record_type=DAMAGED, error=message)


def _inflated(group: Any) -> int:
    """Bytes that a row group says it expands to. One that lies is the memory limit's to stop."""
    return sum(group.column(i).total_uncompressed_size for i in range(group.num_columns))


def _extent(group: Any) -> tuple[int, int]:
    """(offset, length) of a row group in bytes."""
    chunks = [group.column(i) for i in range(group.num_columns)]
    starts = [
        c.data_page_offset
        if not c.dictionary_page_offset
        else min(c.dictionary_page_offset, c.data_page_offset)
        for c in chunks
    ]
    ends = [s + c.total_compressed_size for s, c in zip(starts, chunks, strict=True)]
    return min(starts), max(ends) - min(starts)
