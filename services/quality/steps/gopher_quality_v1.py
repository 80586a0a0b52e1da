"""Gopher's quality measures: what plain prose looks like, in eight numbers.

Source: Rae et al., Scaling Language Models (arXiv 2112.11446), appendix A.1.1 (specs 2.2). The
paper's text leaves open what a word, a line, a bullet, an ellipsis and a stop word are, and
released code differs (specs 2.5), so these are parameters. The thresholds stand in the recipe's
keep rules.
"""

from typing import TYPE_CHECKING, Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from services.quality import segments
from services.quality.segments import Chosen, Lines, Words
from shared.schema import Column
from shared.step import Params, row_step

if TYPE_CHECKING:
    from shared.text.segment import Segmented, Spans

#: The paper's eight; two of them in a text are enough.
STOP_WORDS: Final = ("the", "be", "to", "of", "and", "that", "have", "with")

Text = Annotated[str, Field(min_length=1)]


class GopherQualityParams(Params):
    """What the measures count. The defaults read the paper plainly; docs name the presets."""

    #: The words of every ratio and share, of the lengths and of the stop words.
    words: Words = "whitespace"
    #: The words that the column `words` counts, where they are others.
    counted_words: Words | None = None
    #: Which of them count.
    counted: Chosen = "all"
    #: Which words have their length measured.
    measured: Chosen = "all"
    #: The lines of `bullet_lines_frac` and `ellipsis_lines_frac`.
    lines: Lines = "filled"
    #: What `hash_ratio` counts.
    hashes: tuple[Text, ...] = ("#",)
    #: What `ellipsis_ratio` counts and lines may end with.
    ellipses: tuple[Text, ...] = ("...", "…")
    #: What a line may start with.
    bullets: tuple[Text, ...] = ("•", "-")
    stop_words: tuple[Text, ...] = STOP_WORDS
    #: Each stop word once (datatrove), or every time it occurs (DCLM).
    stop_words_counting: Literal["distinct", "occurrences"] = "distinct"
    #: Compare stop words in lower case, character by character (DCLM); datatrove does not.
    stop_words_lowercase: bool = False


COLUMNS: Final = (
    Column("words", pa.int64(), "words of the text", "words"),
    Column("mean_word_length", pa.float64(), "mean length of a word", "characters"),
    Column("median_word_length", pa.float64(), "median length of a word (Dolma)", "characters"),
    Column("hash_ratio", pa.float64(), "hash signs for each word", "ratio"),
    Column("ellipsis_ratio", pa.float64(), "ellipses for each word", "ratio"),
    Column("symbol_ratio", pa.float64(), "hash signs and ellipses for each word", "ratio"),
    Column("bullet_lines_frac", pa.float64(), "lines that start with a bullet", "share"),
    Column("ellipsis_lines_frac", pa.float64(), "lines that end with an ellipsis", "share"),
    Column("alpha_words_frac", pa.float64(), "words with an alphabetic character", "share"),
    Column("stop_words", pa.int64(), "stop words found", "words"),
)

Measure = npt.NDArray[np.int64] | npt.NDArray[np.float64]


@row_step(
    "quality.gopher_quality_v1",
    reads=("text",),
    columns=COLUMNS,
    params=GopherQualityParams,
)
def gopher_quality(rows: pa.Table, params: GopherQualityParams) -> pa.Table:
    """Number and length of words, symbols, bullets, ellipses, letters, stop words (MassiveText).

    Lines are stripped of white space. Alphabetic is `str.isalpha`. A measure of a text without
    words or lines is 0, of a null text null. Occurrences of one symbol do not overlap ("......" is
    two ellipses).
    """
    from shared.text.characters import LETTER
    from shared.text.segment import ratio, segment

    texts = segment(rows["text"])
    words, lines = segments.words(texts, params.words), segments.lines(texts, params.lines)
    hashes, ellipses = texts.count(params.hashes), texts.count(params.ellipses)
    measures = _word_measures(texts, words, params) | {
        "hash_ratio": ratio(hashes, words.counts),
        "ellipsis_ratio": ratio(ellipses, words.counts),
        "symbol_ratio": ratio(hashes + ellipses, words.counts),
        "bullet_lines_frac": ratio(_lines_with(lines, params.bullets, "start"), lines.counts),
        "ellipsis_lines_frac": ratio(_lines_with(lines, params.ellipses, "end"), lines.counts),
        "alpha_words_frac": ratio(words.sums(words.have(LETTER)), words.counts),
        "stop_words": _stop_words(words, params),
    }
    return pa.table({c.name: pa.array(measures[c.name], mask=~texts.valid) for c in COLUMNS})


def _word_measures(
    texts: "Segmented", words: "Spans", params: GopherQualityParams
) -> dict[str, Measure]:
    """Number and lengths of the words that count."""
    from services.quality.kernels.patterns import medians
    from shared.text.segment import ratio

    measured = counted = segments.filtered(words, params.measured)
    if (params.counted_words or params.words, params.counted) != (params.words, params.measured):
        others = segments.words(texts, params.counted_words or params.words)
        counted = segments.filtered(others, params.counted)
    return {
        "words": counted.counts,
        "mean_word_length": ratio(measured.sums(measured.characters), measured.counts),
        "median_word_length": medians(measured.bounds, measured.characters),
    }


def _lines_with(
    lines: "Spans", patterns: tuple[str, ...], where: Literal["start", "end"]
) -> npt.NDArray[np.int64]:
    """How many lines of each document start or end with one of the patterns."""
    from services.quality.kernels.patterns import equal_at

    found = np.zeros(len(lines.starts), np.bool_)
    for pattern in patterns:
        raw = np.frombuffer(pattern.encode(), np.uint8)
        places = lines.starts if where == "start" else lines.ends - len(raw)
        found |= equal_at(lines.data, places, raw, lines.ends - lines.starts)
    return lines.sums(found)


def _stop_words(words: "Spans", params: GopherQualityParams) -> npt.NDArray[np.int64]:
    """Stop words of each document."""
    from services.quality.kernels.patterns import count_members
    from shared.text.segment import Segmented

    lowercase = params.stop_words_lowercase
    stop_words = Segmented(pa.chunked_array([params.stop_words], pa.large_string())).whole
    wanted = np.unique(stop_words.character_hashes(lowercase=lowercase))
    counts = count_members(words.bounds, words.character_hashes(lowercase=lowercase), wanted)
    if params.stop_words_counting == "distinct":
        counts = np.minimum(counts, 1)
    return np.asarray(counts.sum(axis=1))
