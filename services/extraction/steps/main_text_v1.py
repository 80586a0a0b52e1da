"""The main text of a page: what a reader came for, without navigation, adverts and comments."""

import sys
from typing import Final

import pyarrow as pa
from blake3 import blake3

from services.extraction.main_text import MainTextParams, page_text, reset_engines
from services.extraction.memory import Memory, remember
from services.extraction.page import read_page
from shared.schema import ERROR, Column
from shared.step import row_step

COLUMNS: Final = (
    Column("text", pa.large_string(), "main text, NFC, no control characters but newline and tab"),
    Column("charset", pa.string(), "in which the payload was read (WHATWG name)"),
    Column("characters", pa.int64(), "length of the main text", "characters"),
)
#: (text, charset, error)
_Row = tuple[str | None, str | None, str | None]
#: Texts of the pages that came last, since crawls have pages that are byte for byte the same.
_texts: Memory[_Row] = remember(8 * 2**20)


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
    engine is the row's error. Null payloads stay null. Of payloads that are equal a worker
    extracts one.
    """
    rows = [
        _row(payload.as_py(), content_type, params)
        for payload, content_type in zip(
            table["payload"], table["content_type"].to_pylist(), strict=True
        )
    ]
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
    """The text of a payload, or of one that is equal and came before."""
    if payload is None:
        return None, None, None
    key = blake3(payload).digest(length=16), content_type, params
    row = _texts.find(key)
    if row is None:
        row = _extract(payload, content_type, params)
        if row[0] is not None:  # a fault may be the moment's
            _texts.keep(key, row, sys.getsizeof(row[0]))
    return row


def _extract(payload: bytes, content_type: str | None, params: MainTextParams) -> _Row:
    page = read_page(payload, content_type)
    if page is None:
        return "", None, None
    try:
        return page_text(page, params), page.charset, None
    except Exception as error:  # noqa: BLE001  # engines raise anything; here it is the row's fault
        return None, None, f"{params.engine}: {type(error).__name__}: {error}"[:500]
