"""`langid.fasttext_v1`: the language of a document, by a fastText model (specs 1.4 and 15.4).

lid.176 (Joulin et al., arXiv 1607.01759), which CCNet, RefinedWeb and FineWeb used, ships with the
service. It reads character n-grams, so a page needs no segmentation. The library's `predict` wraps
one call, `f.predict`; that call is made directly, with the same result.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pydantic import Field

from shared.errors import UsageError
from shared.schema import Column
from shared.step import Params, row_step

MODELS: Final = Path(__file__).resolve().parents[1] / "models"
SHIPPED: Final = {"lid.176": MODELS / "lid.176.ftz"}
#: What a text without a word gets (ISO 639-2, "undetermined"); its score is 0.
UNDETERMINED: Final = "und"
_PREFIX: Final = "__label__"


class FastTextParams(Params):
    """Which model."""

    #: "lid.176" (shipped), or the path of a fastText model with labels like `__label__en`. The
    #: path stands for the model in fingerprints: another model needs another path.
    model: str = Field(default="lid.176", min_length=1)


@row_step(
    "langid.fasttext_v1",
    reads=("text",),
    columns=(
        Column("language", pa.string(), "the model's best label; und where there is no word"),
        Column("score", pa.float32(), "the model's probability of that label, 0 to 1"),
    ),
    params=FastTextParams,
)
def fasttext_v1(rows: pa.Table, params: FastTextParams) -> pa.Table:
    """The best label for the whole document, newlines read as spaces, and its probability.

    Every document gets the model's best guess, however weak: lid.176 sends what it does not know
    to English, so keep by score as well. fastText reads a text up to its own mark `</s>` if that
    stands there as a word.
    """
    found = [_identify(params.model, text) for text in rows.column("text").to_pylist()]
    languages = [language for language, _ in found]
    scores = [score for _, score in found]
    return pa.table(
        [pa.array(languages, pa.string()), pa.array(scores, pa.float32())],
        names=["language", "score"],
    )


def _identify(model: str, text: str | None) -> tuple[str | None, float | None]:
    if text is None:
        return None, None
    # The line's end is what fastText's own `predict` adds; k = 1, threshold 0.
    line = text.replace("\n", " ") + "\n"
    best: Any = _load(model).f.predict(line, 1, 0.0, "strict") if not line.isspace() else None
    if not best:
        return UNDETERMINED, 0.0
    score, label = best[0]
    # Probabilities are computed in float32 and may exceed 1 by rounding.
    return label.removeprefix(_PREFIX), min(1.0, score)


@cache
def _load(model: str) -> Any:
    """The model, loaded once a process; UsageError where there is no such file."""
    import fasttext

    path = SHIPPED.get(model, Path(model))
    if not path.is_file():
        raise UsageError(f"no fastText model {model!r}", field="model")
    return fasttext.load_model(str(path))
