"""Pattern files of the line-wise corrections: read, checked, and made into arrays.

`services/quality/data/line_patterns_en.yaml` says what each key means.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.quality.segments import Chosen, Words
from shared.errors import UsageError

if TYPE_CHECKING:
    from services.quality.kernels.line_phrases import Counters, Phrases

Phrase = Annotated[str, Field(pattern=r"^(\{edge\})*([^{\n]|\{any\})", min_length=1)]
_TOKEN: Final = re.compile(r"\{any\}|\{edge\}|.", re.DOTALL)


class CounterPatterns(BaseModel):
    """What a counter is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number_first: tuple[Phrase, ...] = ()
    number_last: tuple[Phrase, ...] = ()
    suffixes: tuple[Phrase, ...] = ()
    classifiers: tuple[Phrase, ...] = ()
    space: bool = True
    several: bool = False


class LinePatterns(BaseModel):
    """A pattern file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: Literal["whitespace", "characters"]
    min_words: int = Field(ge=0)
    max_words: int = Field(ge=0)
    document_words: Words
    counted: Chosen = "all"
    anywhere: tuple[Phrase, ...] = ()
    end: tuple[Phrase, ...] = ()
    start: tuple[Phrase, ...] = ()
    counters: CounterPatterns = CounterPatterns()


def read_patterns(path: Path) -> LinePatterns:
    """The patterns of a file; UsageError where it is none."""
    try:
        return LinePatterns.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
        raise UsageError(f"{path.name} is no file of line patterns: {error}") from error


def phrases(texts: tuple[str, ...], *, longest_first: bool = False) -> "Phrases":
    """Phrases as arrays of code points in lower case."""
    from services.quality.kernels.line_phrases import Phrases

    rows = [_tokens(text) for text in texts]
    if longest_first:
        rows.sort(key=len, reverse=True)
    bounds = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Phrases(np.array([token for row in rows for token in row], np.int32), bounds)


def counters(patterns: CounterPatterns) -> "Counters":
    """The parts of counters as arrays; of two that begin alike the longer one is tried first."""
    from services.quality.kernels.line_phrases import Counters

    return Counters(
        phrases(patterns.number_first, longest_first=True),
        phrases(patterns.number_last, longest_first=True),
        phrases(patterns.suffixes, longest_first=True),
        phrases(patterns.classifiers, longest_first=True),
        patterns.space,
        patterns.several,
    )


def _tokens(text: str) -> list[int]:
    """Code points, each in lower case where that is a single one, ANY and EDGE."""
    from services.quality.kernels.line_phrases import ANY, EDGE

    special = {"{any}": ANY, "{edge}": EDGE}
    found = _TOKEN.findall(text)
    return [
        special[t] if t in special else ord(t.lower() if len(t.lower()) == 1 else t) for t in found
    ]
