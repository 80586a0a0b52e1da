"""The main text of a page: what a reader came for, without navigation, adverts and comments."""

from typing import Final

import pyarrow as pa

from services.extraction.main_text import MainTextParams, page_text, reset_engines
from services.extraction.page import read_page, sample
from shared.schema import ERROR, Column
from shared.step import row_step

COLUMNS: Final = (
    Column("text", pa.large_string(), "main text, NFC, no control characters but newline and tab"),
    Column("charset", pa.string(), "in which the payload was read (WHATWG name)"),
    Column("characters", pa.int64(), "length of the main text", "characters"),
)
#: (text, charset, error)
_Row = tuple[str | None, str | None, str | None]


@row_step(
    "extraction.main_text_v1",
    reads=("payload", "content_type"),
    columns=COLUMNS,
    params=MainTextParams,
)
def main_text_v1(table: pa.Table, params: MainTextParams) -> pa.Table:
    """Decode a payload and extract its main text; plain text (WET, JSONL, Parquet) passes through.

    UTF-8 is tried first, then what header and page declare, then detection. A page without main
    text, and a media type that is no text, have "" (keep rule: `characters > 0`); a fault of the
    engine is the row's error. Null payloads stay null. Equal payloads are extracted once.
    """
    rows: list[_Row] = []
    earlier: dict[object, int] = {}
    payloads, content_types = table["payload"], table["content_type"].to_pylist()
    for n, (scalar, content_type) in enumerate(zip(payloads, content_types, strict=True)):
        payload = scalar.as_py()
        alike = earlier.setdefault(sample(payload or b"", content_type), n)
        if alike < n and payload == payloads[alike].as_py():
            rows.append(rows[alike])
        else:
            rows.append(_row(payload, content_type, params))
    if params.engine == "trafilatura" and rows:
        reset_engines()
    texts, charsets, errors = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "charset": pa.array(charsets, pa.string()),
            "characters": pa.array([None if t is None else len(t) for t in texts], pa.int64()),
            ERROR.name: pa.array(errors, ERROR.type),
        }
    )


def _row(payload: bytes | None, content_type: str | None, params: MainTextParams) -> _Row:
    if payload is None:
        return None, None, None
    page = read_page(payload, content_type)
    if page is None:
        return "", None, None
    try:
        return page_text(page, params), page.charset, None
    except Exception as error:  # noqa: BLE001  # engines raise anything; here it is the row's fault
        return None, None, f"{params.engine}: {type(error).__name__}: {error}"[:500]
