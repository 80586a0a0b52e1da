"""Arrow columns with unit and meaning, the spine, edits and verdicts.

A mismatch between what a step declares and what it returns raises and shows both schemas.
"""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from shared.errors import PermanentError


@dataclass(frozen=True)
class Column:
    """One column that a step declares.

    `transient` columns (payload bytes) travel between the steps of one task and are never stored.
    """

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    transient: bool = False


#: Fault of a row: its reason. Every step's table has it; null where the row is sound.
ERROR: Final = Column("error", pa.string(), "why this row could not be computed")

#: Spans of the text that a step removes or replaces: byte offsets into the UTF-8 text before the
#: step, sorted, not overlapping; `text` replaces [start, end).
EDITS_TYPE: Final = pa.list_(
    pa.struct([("start", pa.int32()), ("end", pa.int32()), ("text", pa.string())])
)

#: Spans of the text that a step finds and leaves where they are: byte offsets [start, end) into the
#: UTF-8 text that the step reads, sorted, not overlapping. Who reads them beside a later text gets
#: them where the edits in between have moved them.
SPANS_TYPE: Final = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))

#: The blocks of text of a page, in its order: byte offsets [start, end) into the page as UTF-8, how
#: the block is written, the probability that it is main text, whether it was kept, its text. Large:
#: who looks at all of a document's values leaves it out, and asks for its blocks by the page.
BLOCKS_TYPE: Final = pa.list_(
    pa.struct(
        [
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("kind", pa.string()),
            ("probability", pa.float32()),
            ("kept", pa.bool_()),
            ("text", pa.large_string()),
        ]
    )
)

#: What the archive reader yields for each document of the spine. `document` is the archive's name
#: and the record's offset.
SPINE: Final = (
    Column("document", pa.string(), "id: archive name, colon, record offset"),
    Column("offset", pa.int64(), "where the record starts in the archive", "bytes, compressed"),
    Column("length", pa.int64(), "how far the record reaches", "bytes, compressed"),
    Column("record_id", pa.string(), "WARC-Record-ID, or the id field of a line"),
    Column("url", pa.string(), "target URI"),
    Column("date", pa.string(), "WARC-Date as written in the archive"),
    Column("record_type", pa.string(), "response, resource, conversion, revisit, line or row"),
    Column("http_status", pa.int16(), "HTTP status code; null where there was no HTTP"),
    Column("content_type", pa.string(), "media type as declared, lower case, with parameters"),
    Column("media_type", pa.string(), "content_type without its parameters"),
    Column("payload_digest", pa.string(), "blake3 of the decoded payload, 128 bits, hex"),
    Column("payload_bytes", pa.int64(), "decoded payload", "bytes"),
    Column("payload", pa.large_binary(), "decoded payload", "bytes", transient=True),
)

#: The cumulative verdict of a document after a stage, one row a document.
VERDICT_SCHEMA: Final = pa.schema(
    [
        ("state", pa.int8()),  # KEPT, DROPPED or FAILED
        ("rule", pa.string()),  # "<step>.<rule>" that dropped it; step name where it failed
        ("value", pa.string()),  # measured value at the rule, or the error
        ("threshold", pa.string()),  # the condition that did not hold
    ]
)
KEPT: Final = 0
DROPPED: Final = 1
FAILED: Final = 2
STATE_NAMES: Final = ("kept", "dropped", "failed")


def arrow_schema(columns: tuple[Column, ...], *, transient: bool = False) -> pa.Schema:
    """The stored schema of a step's columns, `error` last; with `transient`, those too."""
    chosen = [c for c in columns if transient or not c.transient]
    return pa.schema(
        [
            pa.field(c.name, c.type, metadata={"meaning": c.meaning, "unit": c.unit})
            for c in (*chosen, ERROR)
        ]
    )


def conform(table: pa.Table, schema: pa.Schema, rows: int, who: str) -> pa.Table:
    """`table` with exactly `schema`'s columns in order, `error` filled with nulls where absent.

    Raises PermanentError where a column is missing, foreign or of another type, or where the
    number of rows is not `rows`.
    """
    if ERROR.name not in table.column_names and ERROR.name in schema.names:
        table = table.append_column(ERROR.name, pa.nulls(table.num_rows, ERROR.type))
    if set(table.column_names) != set(schema.names):
        raise PermanentError(
            f"{who} returned columns {table.column_names}, it declares {schema.names}"
        )
    table = table.select(schema.names)
    if not table.schema.equals(schema, check_metadata=False):
        raise PermanentError(f"{who} returned\n{table.schema}\nit declares\n{schema}")
    if table.num_rows != rows:
        raise PermanentError(f"{who} returned {table.num_rows} rows for {rows}")
    return table.cast(schema)
