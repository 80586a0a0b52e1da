"""Languages of texts by any fastText model with labels like `__label__en` (specs 1.4 and 15.4).

lid.176 (Joulin et al., arXiv 1607.01759), which CCNet, RefinedWeb and FineWeb used, ships with the
project; GlotLID and OpenLID (labels `__label__eng_Latn`) go by path or URI. A model reads character
n-grams, so a text needs no segmentation. Models like lid.176.ftz run in `shared.language_model`,
others in the library, by the call that its `predict` wraps; results are the library's.
"""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from shared.errors import UsageError
from shared.resources import Resource, load

#: Short names of shipped models.
SHIPPED: Final = {"lid.176": "package:services/langid/models/lid.176.ftz"}
#: What a text without a word gets (ISO 639-2, "undetermined"); its probability is 0.
UNDETERMINED: Final = "und"
_PREFIX: Final = "__label__"

#: A parameter that names a model: a short name, a path or a URI.
LanguageModel = Annotated[
    Resource, BeforeValidator(lambda v: SHIPPED.get(v, v) if isinstance(v, str) else v)
]
DEFAULT_MODEL: Final = Resource(uri=SHIPPED["lid.176"])

#: (label, probability), the most probable first; of equally probable ones the library's first.
Guesses = list[tuple[str, float]]


def guess(text: str, model: Resource, top_k: int = 1, least: float = 0.0) -> Guesses:
    """The languages of a text as one line, `top_k` of them (-1: all) of at least `least`.

    Empty where there is no word. fastText reads a text up to its own mark `</s>` if that stands
    there as a word. UsageError where there is no such model.
    """
    # The line's end is what fastText's own `predict` adds.
    line = text.replace("\n", " ") + "\n"
    if line.isspace():
        return []
    found = load(model, _read).predict(line, top_k, least, "strict")
    # Probabilities are computed in float32 and may exceed 1 by rounding.
    return [(label.removeprefix(_PREFIX), min(1.0, score)) for score, label in found]


def _read(path: Path) -> Any:
    """The model in a file."""
    import fasttext

    try:
        library = fasttext.load_model(str(path))
    except ValueError as error:
        raise UsageError(f"{path.name} is no fastText model: {error}", field="model") from error
    from shared.language_model import read

    return read(path, library) or library.f
