"""Words, lines and paragraphs by the conventions of released filters (specs, table 2.5).

Those of `shared.text.segment`, and three that only quality rules need.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from shared.text.segment import Segmented, Spans

#: `whitespace`: `str.split()` (Dolma, most of DCLM). `unicode`: letters and digits, each ideograph
#: by itself. `spacy`: spaCy's English tokenizer (datatrove). `fasttext`: between ASCII white space
#: (DCLM's counts of words). `uniseg`: UAX 29 segments that begin with a letter or digit (DCLM's
#: repetition).
Words = Literal["whitespace", "unicode", "spacy", "fasttext", "uniseg"]
#: `filled`: between line feeds, blank ones left out. `with_blank`: of `str.splitlines()`, blank
#: ones too. Both stripped.
Lines = Literal["filled", "with_blank"]
#: Which words: `all`; `not_punctuation`: with a character that datatrove does not list as
#: punctuation; `alphanumeric`: that begin with a letter or digit (DCLM).
Chosen = Literal["all", "not_punctuation", "alphanumeric"]


def words(texts: "Segmented", convention: Words) -> "Spans":
    """The words of each text."""
    from shared.text.characters import flags

    if convention == "fasttext":
        from services.quality.kernels.segments import fasttext_words

        return _run(texts, fasttext_words, flags())
    if convention == "uniseg":
        from services.quality.kernels.word_break import alphanumeric_segments, table

        return _run(texts, alphanumeric_segments, table())
    return texts.spans(f"words:{convention}")


def lines(texts: "Segmented", convention: Lines) -> "Spans":
    """The lines of each text, stripped."""
    from shared.text.characters import flags

    if convention == "with_blank":
        from services.quality.kernels.segments import lines_with_blank

        return _run(texts, lines_with_blank, flags())
    return texts.lines(convention)


def stripped(spans: "Spans") -> "Spans":
    """The segments without white space at their ends, empty ones left out."""
    from services.quality.kernels.segments import strip_segments
    from shared.text.characters import flags
    from shared.text.segment import Spans

    found = strip_segments(spans.data, spans.starts, spans.ends, spans.bounds, flags())
    return Spans(spans.data, *found)


def filtered(spans: "Spans", which: Chosen) -> "Spans":
    """The words that count."""
    from services.quality.kernels import characters, patterns
    from shared.text.segment import Spans

    if which == "all":
        return spans
    where = (spans.data, spans.starts, spans.ends, characters.classes())
    if which == "alphanumeric":
        mask = patterns.first_has(*where, characters.ALNUM)
    else:
        mask = patterns.any_lacks(*where, characters.PUNCTUATION)
    before = np.concatenate(([0], np.cumsum(mask, dtype=np.int64)))
    return Spans(spans.data, spans.starts[mask], spans.ends[mask], before[spans.bounds])


def _run(texts: "Segmented", loop: Callable[..., int], table: npt.NDArray[np.uint8]) -> "Spans":
    """The segments that a loop finds by a table of characters."""
    from shared.text.segment import Spans

    size = int(np.sum(texts.stops - texts.begins))
    starts, ends = np.empty(size, np.int64), np.empty(size, np.int64)
    bounds = np.empty(texts.rows + 1, np.int64)
    found = loop(texts.data, texts.begins, texts.stops, table, starts, ends, bounds)
    return Spans(texts.data, starts[:found].copy(), ends[:found].copy(), bounds)
