"""mC4's filter of paragraphs: how many lines of a page are long.

Source: Xue et al., mT5 (arXiv 2010.11934), section 3.1, and the released code (specs 3.2): a page
needs three lines of 200 characters, before it is cleaned. The keep rule is `long_lines >= 3`.
"""

from typing import Final

import pyarrow as pa
from pydantic import Field

from shared.schema import Column
from shared.step import Params, row_step


class C4ParagraphsParams(Params):
    """What a long line is."""

    #: Characters, white space included (the paper, datatrove 0.10.1: 200).
    min_characters: int = Field(default=200, ge=1)


COLUMNS: Final = (Column("long_lines", pa.int64(), "lines that are long enough", "lines"),)


@row_step("quality.c4_paragraphs_v1", reads=("text",), columns=COLUMNS, params=C4ParagraphsParams)
def c4_paragraphs(rows: pa.Table, params: C4ParagraphsParams) -> pa.Table:
    """Lines between line feeds that have at least so many characters (mC4); null of a null text."""
    from services.quality.kernels.ends import count_long_lines
    from shared.text.segment import segment

    texts = segment(rows["text"])
    counts = count_long_lines(texts.data, texts.begins, texts.stops, params.min_characters)
    return pa.table({"long_lines": pa.array(counts, mask=~texts.valid)})
