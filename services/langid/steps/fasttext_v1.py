"""`langid.fasttext_v1`: the language of a document, by a fastText model (specs 1.4 and 15.4)."""

from typing import Final

import pyarrow as pa
from pydantic import Field

from shared.language import DEFAULT_MODEL, UNDETERMINED, Guesses, LanguageModel, guess
from shared.schema import Column
from shared.step import Params, row_step

_TOP: Final = pa.list_(pa.struct([("language", pa.string()), ("score", pa.float32())]))
COLUMNS: Final = (
    Column("language", pa.string(), "the model's best label; und where there is no word"),
    Column("score", pa.float32(), "the model's probability of that label, 0 to 1"),
    Column("top", _TOP, "the top_k best labels, best first; empty where top_k is 1"),
)


class FastTextParams(Params):
    """Which model, and how much of its answer is kept."""

    #: "lid.176" (shipped), or a path or URI of a fastText model with labels like `__label__en`.
    model: LanguageModel = DEFAULT_MODEL
    #: More than 1: that many labels are stored, for reading; keep rules see the best one.
    top_k: int = Field(default=1, ge=1, le=1000)


@row_step("langid.fasttext_v1", reads=("text",), columns=COLUMNS, params=FastTextParams)
def fasttext_v1(rows: pa.Table, params: FastTextParams) -> pa.Table:
    """The best label for the whole document, newlines read as spaces, and its probability.

    Every document gets the model's best guess, however weak: lid.176 sends what it does not know
    to English, so keep by score as well. fastText reads a text up to its own mark `</s>` if that
    stands there as a word.
    """
    found: list[Guesses | None] = [
        None if text is None else guess(text, params.model, params.top_k)
        for text in rows["text"].to_pylist()
    ]
    best = [None if f is None else (f or [(UNDETERMINED, 0.0)])[0] for f in found]
    top = [f if f is None or params.top_k > 1 else [] for f in found]
    arrays = [
        pa.array([b and b[0] for b in best], pa.string()),
        pa.array([b and b[1] for b in best], pa.float32()),
        pa.array(top, _TOP),
    ]
    return pa.table(arrays, names=[c.name for c in COLUMNS])
