"""The first step of every recipe: the documents of a shard, in the order of the archive.

The archive code is in `services.extraction.archive`; here its rows become Arrow tables.
"""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
from pydantic import Field

from services.extraction.archive.formats import Options, read_rows
from services.extraction.archive.row import Row
from services.extraction.archive.window import Window
from shared.schema import SPINE, arrow_schema
from shared.shards import ShardReader
from shared.step import Params, source_step

#: A table holds no more rows, and no more bytes of payload than these and one document.
_TABLE_ROWS: Final = 64
_TABLE_BYTES: Final = 4 * 2**20
_SCHEMA: Final = arrow_schema(SPINE, transient=True)
_COMPUTED: Final = ("media_type", "payload_digest", "payload_bytes")
_COPIED: Final = tuple(name for name in _SCHEMA.names if name not in _COMPUTED)


class RecordsParams(Params):
    """How archives are read."""

    #: A larger payload is a row with an error, in bytes after decoding.
    max_payload_bytes: int = Field(default=32 * 2**20, ge=1, le=2**30)
    #: Where JSONL and Parquet keep the text; the first that a document has.
    text_fields: tuple[str, ...] = Field(default=("text", "content", "raw_content"), min_length=1)


@source_step("extraction.records_v1", columns=SPINE, params=RecordsParams)
def records_v1(reader: ShardReader, params: RecordsParams) -> Iterator[pa.Table]:
    """One row for each response, resource, conversion and revisit record, JSONL line, Parquet row.

    Reads WARC and WET (gzip a record or whole, zstd, plain), JSONL (gzip, zstd, plain), Parquet. A
    damaged record, and bytes that are no record, are rows whose error names place and cause. All
    records are counted in `reader.records`. Refuses other formats with UsageError.
    """
    window = Window(reader.read, reader.size, expansion=reader.expansion)
    options = Options(params.max_payload_bytes, params.text_fields)
    span = (reader.start, reader.end)
    rows: list[Row] = []
    size = 0
    for row in read_rows(reader.archive, window, span, options, reader.records):
        rows.append(row)
        size += len(row.payload or b"")
        if len(rows) >= _TABLE_ROWS or size >= _TABLE_BYTES:
            yield _table(rows)
            rows, size = [], 0
    if rows:
        yield _table(rows)


def _table(rows: list[Row]) -> pa.Table:
    from blake3 import blake3

    columns = {name: [getattr(row, name) for row in rows] for name in _COPIED}
    columns["media_type"] = [_media_type(row.content_type) for row in rows]
    payloads = columns["payload"]
    columns["payload_bytes"] = [None if p is None else len(p) for p in payloads]
    columns["payload_digest"] = [
        None if p is None else blake3(p).digest(length=16).hex() for p in payloads
    ]
    return pa.table({name: columns[name] for name in _SCHEMA.names}, schema=_SCHEMA)


def _media_type(content_type: str | None) -> str | None:
    return (content_type or "").partition(";")[0].strip() or None
