"""RefinedWeb's line-wise corrections, as edits.

Source: Penedo et al., The RefinedWeb Dataset (arXiv 2306.01116), appendix G.2 (specs 1.6). The
paper publishes neither its patterns nor its thresholds for a line; those of the English file, the
order and the details are DCLM's (mlfoundations/dclm, baselines/baselines_configs/refinedweb.yaml).
The Chinese file is our own extension. The 5 % rule stands in the recipe: `removed_words_frac <=
0.05`; `words_before > 0` and `words_after > 0` drop what has no words and what ends empty.
"""

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from shared.resources import Resource, load
from shared.schema import EDITS_TYPE, Column
from shared.step import Params, row_step

if TYPE_CHECKING:
    from services.quality.kernels.line_rules import Rules
    from services.quality.line_patterns import LinePatterns
    from shared.text.segment import Segmented

_SHIPPED: Final = "package:services/quality/data/line_patterns_{}.yaml"


class LineCorrectionsParams(Params):
    """What makes a line go. Numbers that are null are those of the pattern file."""

    #: Which of the shipped pattern files, where `patterns` names none.
    language: Literal["en", "zh"] = "en"
    #: A file of the form of services/quality/data/line_patterns_en.yaml.
    patterns: Resource | None = None
    #: A line goes with a greater share of upper-case characters (`str.isupper`).
    uppercase_frac: float = Field(default=0.5, ge=0, le=1)
    #: A line goes with a greater share of digits (`str.isdigit`).
    digit_frac: float = Field(default=0.999999, ge=0, le=1)
    #: A line goes with fewer words; blank lines stay.
    min_words: int | None = Field(default=None, ge=0)
    #: Patterns are deleted from lines of up to so many words.
    max_pattern_words: int | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _name_the_file(cls, value: Any) -> Any:
        """Name the shipped file, so that its hash is part of the fingerprint."""
        if isinstance(value, dict) and value.get("patterns") is None:
            return {**value, "patterns": _SHIPPED.format(value.get("language", "en"))}
        return value


COLUMNS: Final = (
    Column("edits", EDITS_TYPE, "dropped lines, deleted patterns, white space at the text's ends"),
    Column("words_before", pa.int64(), "words of the text before", "words"),
    Column("words_after", pa.int64(), "words of the text after", "words"),
    Column("removed_words_frac", pa.float64(), "words that went, of those before", "share"),
    Column("lines", pa.int64(), "lines before, blank ones too", "lines"),
    Column("lines_uppercase", pa.int64(), "lines dropped, mainly upper case", "lines"),
    Column("lines_digits", pa.int64(), "lines dropped, only digits", "lines"),
    Column("lines_counter", pa.int64(), "lines dropped, a counter", "lines"),
    Column("lines_single_word", pa.int64(), "lines dropped, too few words", "lines"),
    Column("lines_pattern_removed", pa.int64(), "lines dropped, nothing but patterns", "lines"),
    Column("edited_lines", pa.int64(), "kept lines of which a pattern was deleted", "lines"),
)
_COUNTERS: Final = tuple(c.name for c in COLUMNS if "lines_" in c.name)


@row_step(
    "quality.line_corrections_v1",
    reads=("text",),
    columns=COLUMNS,
    params=LineCorrectionsParams,
)
def line_corrections(rows: pa.Table, params: LineCorrectionsParams) -> pa.Table:
    """Drop lines that are mainly upper case, digits, a counter or one word; cut site phrases.

    In this order; lines lie between line feeds, those that stay are joined by one, and the text is
    stripped. One thing differs from DCLM: letters are compared in lower case, character by
    character, where its expressions also take a dotted or dotless i for an i, a long s for an s.
    """
    from services.quality.kernels import characters
    from services.quality.kernels.line_phrases import Tables
    from services.quality.kernels.line_rules import correct
    from services.quality.line_patterns import read_patterns
    from shared.text import characters as scripts
    from shared.text.edits import apply_edits
    from shared.text.segment import Segmented, ratio, segment

    assert params.patterns is not None  # the validator names one
    patterns = load(params.patterns, read_patterns)
    texts = segment(rows["text"])
    tables = Tables(characters.classes(), scripts.flags(), scripts.lower())
    starts, ends, bounds, counts = correct(
        texts.data, texts.begins, texts.stops, _rules(patterns, params), tables
    )
    edits = _edits(starts, ends, bounds, ~texts.valid)
    after_edits = Segmented(apply_edits(rows["text"], pa.chunked_array([edits])))
    before, after = _words(texts, patterns), _words(after_edits, patterns)
    measures = {
        "words_before": before,
        "words_after": after,
        "removed_words_frac": ratio(before - after, before),
        "lines": counts[:, 8],
        **{name: counts[:, i + 1] for i, name in enumerate(_COUNTERS)},
        "edited_lines": counts[:, 7],
    }
    null = ~texts.valid
    arrays = {name: pa.array(values, mask=null) for name, values in measures.items()}
    return pa.table({"edits": edits, **arrays})


def _rules(patterns: "LinePatterns", params: LineCorrectionsParams) -> "Rules":
    """Patterns and parameters as the compiled loops want them."""
    from services.quality.kernels.line_rules import Rules
    from services.quality.line_patterns import counters, phrases

    least, most = params.min_words, params.max_pattern_words
    return Rules(
        params.uppercase_frac,
        params.digit_frac,
        patterns.words == "characters",
        patterns.min_words if least is None else least,
        patterns.max_words if most is None else most,
        counters(patterns.counters),
        phrases(patterns.anywhere),
        phrases(patterns.end),
        phrases(patterns.start),
    )


def _words(texts: "Segmented", patterns: "LinePatterns") -> np.ndarray[Any, Any]:
    """Words of each text, as the pattern file counts them."""
    from services.quality import segments

    words = segments.words(texts, patterns.document_words)
    return segments.filtered(words, patterns.counted).counts


def _edits(
    starts: np.ndarray[Any, Any],
    ends: np.ndarray[Any, Any],
    bounds: np.ndarray[Any, Any],
    null: np.ndarray[Any, Any],
) -> pa.ListArray:
    """Deletions as a column; null where the text is."""
    spans = pa.StructArray.from_arrays(
        [pa.array(starts), pa.array(ends), pa.repeat("", len(starts))],
        fields=list(EDITS_TYPE.value_type),
    )
    offsets = pa.array(bounds.astype(np.int32), mask=np.append(null, False))
    return pa.ListArray.from_arrays(offsets, spans)
