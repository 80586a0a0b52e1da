"""MAP-Neo's similar lines: within one document, segments that are nearly equal to an earlier one.

Source: MAP-Neo (arXiv 2405.19327) and its released code, Matrix/chinese_data_clean_pipeline/
deduplication/simlar_line_dedup/edit_distance_dedup.py (specs 13.6).

The code compares each segment that stays with every later one by a full table of edits. Before, it
passes over pairs whose lengths differ by 0.3 of the longer or more, and those whose multisets of
characters have a Jaccard similarity below 1/3. Neither changes what goes: of two segments within d
edits, d being a tenth of the longer, the lengths differ by d at most, and 9 in 10 characters of the
longer are in common, so that the similarity is 0.9/1.1 at least. Here the same segments go, without
comparing all pairs; see `services.dedup.kernels.segments`.
"""

from typing import Final

import pyarrow as pa
from pydantic import Field

from shared.schema import EDITS_TYPE, Column
from shared.step import Params, row_step

#: A segment ends after one of these, and before one of those.
AFTER: Final = ".!?。！？…\\]】"  # noqa: RUF001 (these are meant)
BEFORE: Final = "[【"


class SimilarLinesParams(Params):
    """What makes a segment go; the defaults are the released code's."""

    distance: float = Field(default=0.1, ge=0, le=0.25)
    """Edits (Levenshtein) up to this share of the length of the longer segment; up to a quarter,
    below which the code's other two conditions never matter."""

    exact_characters: int = Field(default=15, ge=0)
    """Where the shorter segment has no more characters than these, the two have to be equal."""

    most_steps: int = Field(default=1_000_000_000, ge=1)
    """Bound on the work for one document, of about a nanosecond a step. Segments that are left
    then are compared for equality only; `segments_unchecked` counts them."""


def _segments(name: str, meaning: str) -> Column:
    return Column(name, pa.int64(), meaning, "segments")


COLUMNS: Final = (
    Column("edits", EDITS_TYPE, "segments that go"),
    _segments("segments", "segments of the text before"),
    _segments("segments_removed", "segments that go"),
    Column("characters_removed", pa.int64(), "characters of those", "characters"),
    _segments("segments_unchecked", "segments compared for equality only, beyond `most_steps`"),
)


@row_step(
    "dedup.similar_lines_v1",
    reads=("text",),
    columns=COLUMNS,
    params=SimilarLinesParams,
)
def similar_lines(rows: pa.Table, params: SimilarLinesParams) -> pa.Table:
    r"""Cut segments that are nearly equal to an earlier one of the same document (specs 13.6).

    Segments end after `. ! ? 。 ！ ？ … \ ] 】` and before `[ 【`; white space is part of them.
    Of a null text every measure is null.
    """  # noqa: RUF002 (these are meant)
    import numpy as np

    from services.dedup.kernels.compiled import texts_of
    from services.dedup.kernels.segments import Rules, similar_segments

    texts = texts_of(rows.column("text"))
    before, after = (np.array([ord(c) for c in marks], np.int64) for marks in (BEFORE, AFTER))
    rules = Rules(params.distance, params.exact_characters, params.most_steps, before, after)
    starts, ends, bounds, counts = similar_segments(texts, rules)
    null = ~texts.valid
    spans = pa.StructArray.from_arrays(
        [
            pa.array(starts.astype(np.int32)),
            pa.array(ends.astype(np.int32)),
            pa.repeat("", len(starts)),
        ],
        fields=list(EDITS_TYPE.value_type),
    )
    offsets = pa.array(bounds.astype(np.int32), mask=np.append(null, False))
    names = [column.name for column in COLUMNS[1:]]
    return pa.table(
        {
            "edits": pa.ListArray.from_arrays(offsets, spans, EDITS_TYPE),
            **{name: pa.array(counts[:, i], mask=null) for i, name in enumerate(names)},
        }
    )
