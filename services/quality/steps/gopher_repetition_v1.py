"""Gopher's repetition measures: 13 shares of a text that repeat within it.

Source: Rae et al., Scaling Language Models (arXiv 2112.11446), appendix A.1.1, table
A1. Its text leaves open what is counted, and released code differs, so a convention is part of the
parameters (specs 2.3 and 2.5). The thresholds stand in the recipe's keep rules.
"""

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.quality import segments
from services.quality.segments import Words
from shared.schema import Column
from shared.step import Params, row_step

if TYPE_CHECKING:
    from shared.text.segment import Segmented

Measures = dict[str, npt.NDArray[np.float64]]


def _share(name: str, meaning: str) -> Column:
    return Column(name, pa.float64(), meaning, "share")


COLUMNS: Final = (
    _share("dup_line_frac", "lines that repeat, of all lines"),
    _share("dup_para_frac", "paragraphs that repeat, of all paragraphs"),
    _share("dup_line_char_frac", "characters in lines that repeat"),
    _share("dup_para_char_frac", "characters in paragraphs that repeat"),
    *(
        _share(f"top_{n}_gram_char_frac", f"characters in the most frequent {n} words in a row")
        for n in (2, 3, 4)
    ),
    *(
        _share(f"dup_{n}_gram_char_frac", f"characters in any {n} words in a row that repeat")
        for n in (5, 6, 7, 8, 9, 10)
    ),
)


class GopherRepetitionParams(Params):
    """What counts as a repeat, and what a word is.

    `convention`:

    - `paper`: every copy of a duplicate counts, the first too; lines are stripped, blank ones are
      none; paragraphs are blocks of lines between blank lines; shares are of the characters of the
      lines, paragraphs or words themselves; a character counts once however many n-grams cover it;
      the most frequent n-gram counts if it occurs twice, and is the longest of equals;
    - `datatrove` (0.10.1, GopherRepetitionFilter): the first copy does not count; lines are split
      at one or more line feeds, paragraphs of the stripped text at two or more; shares are of all
      the text's characters; the most frequent n-gram, even if it occurs once, counts its characters
      with spaces as often as it occurs, and is the first of equals; repeated n-grams are looked for
      from the left, going on after each hit, and are compared without spaces;
    - `dclm` (massive_web_repetition_filters): as `paper`, but paragraphs lie between two line feeds
      in a row, and the most frequent n-gram counts its characters as often as it occurs.

    `words`: a word convention of `services.quality.segments`; datatrove's are `spacy`, DCLM's
    `uniseg`.
    """

    convention: Literal["paper", "datatrove", "dclm"] = "paper"
    words: Words = "whitespace"


@row_step(
    "quality.gopher_repetition_v1",
    reads=("text",),
    columns=COLUMNS,
    params=GopherRepetitionParams,
)
def gopher_repetition(rows: pa.Table, params: GopherRepetitionParams) -> pa.Table:
    """Share of lines, paragraphs and n-grams that repeat within a document (MassiveText, table A1).

    Shares lie between 0 and 1, but for the top n-grams of released code, whose copies may overlap.
    A measure of nothing (no lines, fewer than n words) is 0; of a null text it is null. Lines,
    paragraphs and n-grams are compared by 61-bit hashes (`shared.text.hashing`).
    """
    from shared.text.segment import segment

    segmented = segment(rows["text"])
    measures = _segment_shares(segmented, params) | _ngram_shares(segmented, params)
    null = ~segmented.valid
    return pa.table({c.name: pa.array(measures[c.name], mask=null) for c in COLUMNS})


def _segment_shares(segmented: "Segmented", params: GopherRepetitionParams) -> Measures:
    """The four measures of lines and paragraphs."""
    from services.quality.kernels.repetition import duplicates
    from shared.text.segment import ratio

    released = params.convention == "datatrove"
    count_from = 2 if released else 1
    paragraphs = segmented.paragraphs("blocks" if params.convention == "paper" else "split")
    kinds = {
        "line": segmented.lines("split" if released else "filled"),
        "para": segments.stripped(paragraphs) if params.convention == "dclm" else paragraphs,
    }
    measures: Measures = {}
    for kind, spans in kinds.items():
        repeated, characters = duplicates(spans.bounds, spans.hashes, spans.characters, count_from)
        whole = segmented.characters if released else spans.sums(spans.characters)
        measures[f"dup_{kind}_frac"] = ratio(repeated, spans.counts)
        measures[f"dup_{kind}_char_frac"] = ratio(characters, whole)
    return measures


def _ngram_shares(segmented: "Segmented", params: GopherRepetitionParams) -> Measures:
    """The nine measures of n-grams."""
    from services.quality.kernels import repetition
    from shared.text.segment import ratio

    words = segments.words(segmented, params.words)
    spaced = repetition.joints(words.starts, words.ends, words.hashes, ord(" "))
    joined, whole = spaced, words.sums(words.characters)
    if params.convention == "datatrove":
        joined = repetition.joints(words.starts, words.ends, words.hashes, -1)
        whole = segmented.characters
    convention = {
        "paper": repetition.PAPER,
        "datatrove": repetition.DATATROVE,
        "dclm": repetition.DCLM,
    }[params.convention]
    counts = repetition.ngrams(
        convention, words.bounds, words.hashes, spaced, joined, words.characters
    )
    names = [c.name for c in COLUMNS if "gram" in c.name]
    return {name: ratio(counts[:, i], whole) for i, name in enumerate(names)}
