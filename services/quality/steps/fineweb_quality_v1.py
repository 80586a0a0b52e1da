"""FineWeb's own quality measures: lists, menus and repeated lines in four numbers.

Source: Penedo et al., The FineWeb Datasets (arXiv 2406.17557), section 3.5, and its code, datatrove
0.10.1 (FineWebQualityFilter; specs 10.1). The keep rules:

    line_punct: "line_punct_frac >= 0.12"
    short_lines: "short_lines_frac <= 0.67"
    dup_lines: "dup_line_char_frac <= 0.01"     (the paper's text prints 0.1, its table 2 0.01)
    newlines: "newline_word_ratio <= 0.3"       (in the code only)

The variant that lets pages without any terminal punctuation pass (`line_punct_exclude_zero`) is
`filled: "lines >= 1"` and `line_punct: "line_punct_frac >= 0.12 if line_punct == true"`.
"""

from typing import Final, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from services.quality.data.terminal_marks import TERMINAL_MARKS
from shared.schema import Column
from shared.step import Params, row_step


class FinewebQualityParams(Params):
    """What the measures count."""

    #: A word convention of `shared.text.segment`. datatrove: `spacy`.
    words: Literal["whitespace", "unicode", "spacy"] = "spacy"
    #: A line of at most so many characters is short.
    short_line_characters: int = Field(default=30, ge=0)
    #: What a line may end with.
    terminal_marks: str = TERMINAL_MARKS


COLUMNS: Final = (
    Column("line_punct_frac", pa.float64(), "lines that end in terminal punctuation", "share"),
    Column("short_lines_frac", pa.float64(), "lines that are short", "share"),
    Column(
        "dup_line_char_frac",
        pa.float64(),
        "characters in lines that were there before, of all but line feeds",
        "share",
    ),
    Column("newline_word_ratio", pa.float64(), "line feeds for each word", "ratio"),
    Column("line_punct", pa.bool_(), "any line ends in terminal punctuation"),
    Column("lines", pa.int64(), "lines that are not blank", "lines"),
)


@row_step(
    "quality.fineweb_quality_v1", reads=("text",), columns=COLUMNS, params=FinewebQualityParams
)
def fineweb_quality(rows: pa.Table, params: FinewebQualityParams) -> pa.Table:
    """Ends, length and repetition of lines, and line feeds among words (FineWeb).

    Lines are those between line feeds, as they are, without the blank ones: white space at the end
    of a line hides its mark. A measure of a text without lines or words is 0, of a null text null.
    """
    from services.quality.kernels.ends import end_in
    from services.quality.kernels.repetition import duplicates
    from shared.text.segment import ratio, segment

    texts = segment(rows["text"])
    lines = texts.lines("unstripped")
    marks = np.array(sorted(map(ord, params.terminal_marks)), np.int64)
    punctuated = lines.sums(end_in(lines.data, lines.starts, lines.ends, marks))
    short = lines.sums(lines.characters <= params.short_line_characters)
    _, repeated = duplicates(lines.bounds, lines.hashes, lines.characters, 2)
    feeds = texts.count(("\n",))
    measures = {
        "line_punct_frac": ratio(punctuated, lines.counts),
        "short_lines_frac": ratio(short, lines.counts),
        "dup_line_char_frac": ratio(repeated, texts.characters - feeds),
        "newline_word_ratio": ratio(feeds, texts.words(params.words).counts),
        "line_punct": punctuated > 0,
        "lines": lines.counts,
    }
    return pa.table({c.name: pa.array(measures[c.name], mask=~texts.valid) for c in COLUMNS})
