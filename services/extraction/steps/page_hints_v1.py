"""`extraction.page_hints_v1`: what a page says of itself, for recipes that ask for it.

The page's word is a hint: one page in fifty names a language that it is not in, one in eight a date
that is not the gold one (`scripts/check_page_hints.py`). It takes 1.6 ms a page.
"""

from typing import Final

import pyarrow as pa

from services.extraction.hints import Hints, find_hints
from services.extraction.page import read_page
from shared.schema import Column
from shared.step import NoParams, row_step

COLUMNS: Final = (
    Column("title", pa.string(), "the page's title, without the name of its site"),
    Column("page_language", pa.string(), "language that the page says it is in (BCP 47)"),
    Column("page_date", pa.string(), "date of publication that the page says (YYYY-MM-DD)"),
)
_NO_HINTS: Final = Hints(None, None, None)


@row_step(
    "extraction.page_hints_v1",
    reads=("payload", "content_type"),
    columns=COLUMNS,
    params=NoParams,
)
def page_hints_v1(table: pa.Table, params: NoParams) -> pa.Table:
    """Read title, language and date of publication from a page's own tags and metadata.

    Null is what the page does not say; all of it for plain text and for media types that hold no
    text. Nothing is guessed from the page's text, and nothing is an error.
    """
    rows = [
        _row(payload.as_py(), content_type)
        for payload, content_type in zip(
            table["payload"], table["content_type"].to_pylist(), strict=True
        )
    ]
    values = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    arrays = [pa.array(v, c.type) for v, c in zip(values, COLUMNS, strict=True)]
    return pa.table(arrays, names=[c.name for c in COLUMNS])


def _row(payload: bytes | None, content_type: str | None) -> Hints:
    page = None if payload is None else read_page(payload, content_type)
    return find_hints(page.text) if page is not None and page.is_markup else _NO_HINTS
