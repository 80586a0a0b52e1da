"""`extraction.precheck_v1`: a cheap look at a page before an expensive engine extracts its text.

Half of a crawl is in languages that a recipe does not want, which takes trafilatura 15 ms to tell.
Here resiliparse takes all text of the page, and the language model reads parts of the longest
lines. A main text in a wanted language has its paragraphs among them, so a page where no part may
be in one is surely unwanted: `wanted_score >= 0.05 or null` loses none of the open archives'
English pages (`scripts/check_precheck.py`). lid.176 sends what it does not know to English, which
for English is the safe side. It takes 2 ms a page, so it does not pay before resiliparse, nor where
nearly all pages are wanted: `languages: []` switches it off.
"""

from collections import defaultdict
from heapq import nlargest
from typing import Final

import pyarrow as pa
from pydantic import Field

from services.extraction.engines.resiliparse import all_text
from services.extraction.page import read_page
from shared.language import DEFAULT_MODEL, LanguageModel, guess
from shared.schema import Column
from shared.step import Params, row_step

COLUMNS: Final = (
    Column("plain_language", pa.string(), "label that is likeliest in the parts that were read"),
    Column("plain_score", pa.float32(), "mean probability of that label over those parts, 0 to 1"),
    Column("plain_characters", pa.int64(), "length of all text of the page", "characters"),
    Column(
        "wanted_score",
        pa.float32(),
        "probability of the wanted languages in the part where it is highest, 0 to 1",
    ),
)
#: Labels that are less probable count as 0.
_LEAST: Final = 0.001
_Row = tuple[str | None, float | None, int | None, float | None]
_NO_OPINION: Final[_Row] = (None, None, None, None)


class PrecheckParams(Params):
    """The wanted languages, and what is read of a page."""

    #: Labels of the model that the recipe keeps. None: the pre-check is off, all columns are null.
    languages: tuple[str, ...] = ("en",)
    #: "lid.176" (shipped), or a path or URI of a fastText model; the recipe's own for documents.
    model: LanguageModel = DEFAULT_MODEL
    #: How many lines are read, the longest ones.
    lines: int = Field(default=3, ge=1, le=1000)
    #: How much of each, from its start, in characters.
    line_characters: int = Field(default=400, ge=10)


@row_step(
    "extraction.precheck_v1",
    reads=("payload", "content_type"),
    columns=COLUMNS,
    params=PrecheckParams,
)
def precheck_v1(table: pa.Table, params: PrecheckParams) -> pa.Table:
    """How likely a page has text in a wanted language; null where that cannot be said.

    Null are pages without a word, plain text, which costs nothing to extract, and media types that
    hold no text: keep them with `or null`.
    """
    rows: list[_Row] = []
    for payload, content_type in zip(table["payload"], table["content_type"], strict=True):
        rows.append(_row(payload.as_py(), content_type.as_py(), params))
    values = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    arrays = [pa.array(v, c.type) for v, c in zip(values, COLUMNS, strict=True)]
    return pa.table(arrays, names=[c.name for c in COLUMNS])


def _row(payload: bytes | None, content_type: str | None, params: PrecheckParams) -> _Row:
    page = read_page(payload, content_type) if payload is not None and params.languages else None
    if page is None or not page.is_markup:
        return _NO_OPINION
    text = all_text(page.text)
    lines = nlargest(params.lines, text.split("\n"), key=len)
    parts = [guess(line[: params.line_characters], params.model, -1, _LEAST) for line in lines]
    parts = [part for part in parts if part]
    if not parts:
        return None, None, len(text), None
    sums: defaultdict[str, float] = defaultdict(float)
    for language, score in (pair for part in parts for pair in part):
        sums[language] += score
    best = max(sums, key=lambda language: sums[language])
    wanted = max(sum(score for label, score in p if label in params.languages) for p in parts)
    return best, sums[best] / len(parts), len(text), min(1.0, wanted)
