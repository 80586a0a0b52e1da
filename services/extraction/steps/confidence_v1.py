"""`extraction.confidence_v1`: how far the main text of the engine `blocks` can be trusted."""

import pyarrow as pa

from services.extraction.main_text import BlocksParams
from services.extraction.page import read_page
from services.extraction.page_blocks import extract_page
from shared.schema import Column
from shared.step import row_step


@row_step(
    "extraction.confidence_v1",
    reads=("payload", "content_type"),
    columns=(
        Column(
            "confidence",
            pa.float32(),
            "expected F1 of the engine `blocks`' main text against a careful reader's choice, "
            "0 to 1; null where the page is no markup",
        ),
    ),
    params=BlocksParams,
)
def confidence_v1(table: pa.Table, params: BlocksParams) -> pa.Table:
    """What the engine `blocks` expects of its own main text.

    It says nothing of another engine's text. Beside `main_text_v1` with `engine: blocks` it costs
    nothing, since a task extracts a page once. Plain text, which passes through, and media types
    that hold no text have null: keep them with `confidence >= 0.5 or null`.
    """
    pairs = zip(table["payload"], table["content_type"].to_pylist(), strict=True)
    values = [_confidence(payload.as_py(), content_type) for payload, content_type in pairs]
    return pa.table({"confidence": pa.array(values, pa.float32())})


def _confidence(payload: bytes | None, content_type: str | None) -> float | None:
    page = None if payload is None else read_page(payload, content_type)
    return None if page is None or not page.is_markup else extract_page(page).confidence
