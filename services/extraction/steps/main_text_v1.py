"""The main text of a page: what a reader came for, without navigation, adverts and comments."""

from typing import Final

import pyarrow as pa

from services.extraction.main_text import Engine, page_text, reset_engines
from shared.schema import ERROR, Column
from shared.step import Params, row_step


class MainTextParams(Params):
    """Which engine, and how strict."""

    #: "trafilatura" (RefinedWeb, FineWeb) or "resiliparse" (DCLM).
    engine: Engine = "trafilatura"
    #: trafilatura only: less text, more surely main (FineWeb).
    favor_precision: bool = False


COLUMNS: Final = (
    Column("text", pa.large_string(), "main text, NFC, no control characters but newline and tab"),
    Column("charset", pa.string(), "in which the payload was read (WHATWG name)"),
    Column("characters", pa.int64(), "length of the main text", "characters"),
)


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
    engine is the row's error. Null payloads stay null.
    """
    rows: list[tuple[str | None, str | None, str | None]] = []
    for payload, content_type in zip(table["payload"], table["content_type"], strict=True):
        rows.append(_row(payload.as_py(), content_type.as_py(), params))
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


def _row(
    payload: bytes | None, content_type: str | None, params: MainTextParams
) -> tuple[str | None, str | None, str | None]:
    """(text, charset, error)."""
    if payload is None:
        return None, None, None
    try:
        text, charset = page_text(
            payload, content_type, params.engine, favor_precision=params.favor_precision
        )
    except Exception as error:  # noqa: BLE001  # engines raise anything; here it is the row's fault
        return None, None, f"{params.engine}: {type(error).__name__}: {error}"[:500]
    return text, charset, None
