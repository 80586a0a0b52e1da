"""Gopher's repetition measures: 13 shares of a text that repeat within it.

Source: Rae et al., Scaling Language Models (arXiv 2112.11446), appendix A.1.1, table
A1. Its text leaves open what is counted, and released code differs, so a convention is part of the
parameters (specs 2.3 and 2.5). The thresholds stand in the recipe's keep rules.
"""

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.schema import Column
from shared.step import Params, row_step
from shared.text import warms

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
      from the left, going on after each hit, and are compared without spaces.

    `words`: a word convention of `shared.text.segment`.
    """

    convention: Literal["paper", "datatrove"] = "paper"
    words: Literal["whitespace", "unicode"] = "whitespace"


@row_step(
    "quality.gopher_repetition_v1",
    reads=("text",),
    columns=COLUMNS,
    params=GopherRepetitionParams,
)
def gopher_repetition(rows: pa.Table, params: GopherRepetitionParams) -> pa.Table:
    """Share of lines, paragraphs and n-grams that repeat within a document (MassiveText, table A1).

    Shares lie between 0 and 1, but for datatrove's top n-grams, whose copies may overlap. A measure
    of nothing (no lines, fewer than n words) is 0; of a null text it is null. Lines, paragraphs and
    n-grams are compared by 61-bit hashes (`shared.text.hashing`).
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

    paper = params.convention == "paper"
    count_from = 1 if paper else 2
    kinds = {
        "line": segmented.lines("filled" if paper else "split"),
        "para": segmented.paragraphs("blocks" if paper else "split"),
    }
    measures: Measures = {}
    for kind, spans in kinds.items():
        segments, characters = duplicates(spans.bounds, spans.hashes, spans.characters, count_from)
        whole = spans.sums(spans.characters) if paper else segmented.characters
        measures[f"dup_{kind}_frac"] = ratio(segments, spans.counts)
        measures[f"dup_{kind}_char_frac"] = ratio(characters, whole)
    return measures


def _ngram_shares(segmented: "Segmented", params: GopherRepetitionParams) -> Measures:
    """The nine measures of n-grams."""
    from services.quality.kernels import repetition
    from shared.text.segment import ratio

    words = segmented.words(params.words)
    spaced = repetition.joints(words.starts, words.ends, words.hashes, ord(" "))
    if params.convention == "paper":
        whole = words.sums(words.characters)
        counts = repetition.ngrams_covered(words.bounds, words.hashes, spaced, words.characters)
    else:
        whole = segmented.characters
        joined = repetition.joints(words.starts, words.ends, words.hashes, -1)
        counts = repetition.ngrams_joined(
            words.bounds, words.hashes, spaced, joined, words.characters
        )
    names = [c.name for c in COLUMNS if "gram" in c.name]
    return {name: ratio(counts[:, i], whole) for i, name in enumerate(names)}


@warms
def _warm() -> None:
    rows = pa.table({"text": ["to be or not to be"]})
    gopher_repetition(rows, GopherRepetitionParams())
    gopher_repetition(rows, GopherRepetitionParams(convention="datatrove"))
