"""`extraction.blocks_v1`: what the engine `blocks` saw on a page, kept and removed."""

from typing import Any

import pyarrow as pa

from services.extraction.main_text import BlocksParams, clean
from services.extraction.page import read_page
from services.extraction.page_blocks import extract_page
from shared.schema import BLOCKS_TYPE, Column
from shared.step import row_step


@row_step(
    "extraction.blocks_v1",
    reads=("payload", "content_type"),
    columns=(
        Column(
            "blocks",
            BLOCKS_TYPE,
            "blocks of text in the page's order: place in the page as UTF-8, kind, probability "
            "that it is main text, whether kept, text; null where the page is no markup",
            "bytes",
        ),
    ),
    params=BlocksParams,
)
def blocks_v1(table: pa.Table, params: BlocksParams) -> pa.Table:
    """All blocks of a page as the engine `blocks` sees them, for looking at its decisions.

    The document's page shows them in place. They take about as much room as all text of the page:
    name the step in recipes for some archives, not for a whole crawl. Beside `main_text_v1` with
    `engine: blocks` a task extracts a page once.
    """
    pairs = zip(table["payload"], table["content_type"].to_pylist(), strict=True)
    # Arrow values, page by page: a page of a hundred thousand blocks is a hundred MB of objects.
    rows = [
        pa.array([_blocks(payload.as_py(), content_type)], BLOCKS_TYPE)
        for payload, content_type in pairs
    ]
    return pa.table({"blocks": pa.chunked_array(rows, BLOCKS_TYPE).combine_chunks()})


def _blocks(payload: bytes | None, content_type: str | None) -> list[dict[str, Any]] | None:
    page = None if payload is None else read_page(payload, content_type)
    if page is None or not page.is_markup:
        return None
    return [{**b._asdict(), "text": clean(b.text)} for b in extract_page(page).blocks]
