"""C4's cleaning of pages: lines that are no prose go, and what is counted decides on the page.

Source: Raffel et al., Exploring the Limits of Transfer Learning (arXiv 1910.10683; JMLR 21:140),
section 2.2, and its released code (specs 3.1 and 3.2). The defaults are those of the released code
(T5 and the JMLR text: 5 words a line, 3 sentences a page). Others are parameters:

- datatrove 0.10.1 (C4QualityFilter): `terminal_marks` with an apostrophe too, `min_words: 3`,
  `words_counted: before_citations`, `sentences: spacy`; 5 sentences a page is a keep rule;
- FineWeb (arXiv 2406.17557): the same with `terminal_marks: ""`;
- DCLM's c4.yaml: `lines: filled`, `bad_words_beside: no_word`.

The keep rules of the paper: `characters <= 190000`, `lorem_ipsum == false`,
`curly_bracket == false`, `bad_words == 0`, `sentences >= 3`.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from shared.resources import Resource
from shared.schema import EDITS_TYPE, Column
from shared.step import Params, row_step

if TYPE_CHECKING:
    from services.quality.kernels.c4 import Cleaned, Rules
    from shared.text.segment import Segmented, Spans

Phrases = tuple[Annotated[str, Field(min_length=1)], ...]

POLICIES: Final = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


class C4QualityParams(Params):
    """What becomes of a line, in the order of the rules, and how the rest is counted.

    Phrases are looked for in lower case, in a line without its citations. An empty list or text
    turns a rule off.
    """

    #: Where lines end: at all that `str.splitlines` knows (the code, datatrove), or at line feeds.
    #: Blank lines are none.
    lines: Literal["splitlines", "filled"] = "splitlines"
    #: A line with a longer word (between white space) goes.
    max_word_characters: int = Field(default=1000, ge=1)
    #: Delete "[1]", "[]", "[edit]", "[citation needed]".
    remove_citations: bool = True
    #: A line that ends in none of these characters goes. datatrove: `.?!"'`.
    terminal_marks: str = '.?!"'
    #: A line that ends so has no terminal mark.
    ellipsis: str = "..."
    #: A line with fewer words goes. The early paper and datatrove: 3.
    min_words: int = Field(default=5, ge=1)
    #: Whether a citation by itself is a word of `min_words` (datatrove), or none (the code).
    words_counted: Literal["after_citations", "before_citations"] = "after_citations"
    #: What `lorem_ipsum` looks for.
    placeholders: Phrases = ("lorem ipsum",)
    #: A line with one of these goes.
    scripts: Phrases = ("javascript",)
    #: What `curly_bracket` looks for.
    brackets: Phrases = ("{",)
    #: A line with one of these goes.
    policies: Phrases = POLICIES
    #: A list of words and phrases, one a line or as JSON. The code takes LDNOOBW's.
    bad_words: Resource | None = None
    #: What stands on both sides of a bad word: a character other than a to z, so that a line's
    #: first and last word is never one (C4's code); no letter, digit or underscore (mC4, DCLM,
    #: datatrove); anything (mC4 and datatrove for Chinese, Japanese and Thai).
    bad_words_beside: Literal["not_a_to_z", "no_word", "anything"] = "not_a_to_z"
    #: Words and phrases of the list that are none. mC4 has one for Chinese, three for Japanese.
    bad_words_allowed: Phrases = ()
    #: What a sentence is, in each kept line by itself. `marks`: what ends in one or more of .?!,
    #: maybe with quotes and brackets after them, before white space, and the rest of the line.
    #: `spacy`: a convention of `shared.text.segment` (datatrove). The code uses NLTK's trained
    #: Punkt model, which also knows abbreviations ("Dr."), so `marks` counts some more.
    sentences: Literal["marks", "spacy"] = "marks"


def _lines(name: str, meaning: str) -> Column:
    return Column(name, pa.int64(), meaning, "lines")


COLUMNS: Final = (
    Column("edits", EDITS_TYPE, "lines and citations that go"),
    Column("characters", pa.int64(), "length of the text before", "characters"),
    _lines("lines", "lines that are not blank"),
    _lines("lines_kept", "lines that stay"),
    _lines("lines_long_word", "lines that go for a word that is too long"),
    _lines("lines_no_terminal_punct", "lines that go for their end"),
    _lines("lines_few_words", "lines that go for too few words"),
    _lines("lines_javascript", "lines that go for a mention of Javascript"),
    _lines("lines_policy", "lines that go for a mention of cookies or terms of use"),
    Column("lorem_ipsum", pa.bool_(), "a line has a placeholder for text"),
    Column("curly_bracket", pa.bool_(), "a line has a curly bracket"),
    Column("bad_words", pa.int64(), "listed words in kept lines", "words"),
    Column("sentences", pa.int64(), "sentences of the kept lines", "sentences"),
)


@row_step("quality.c4_quality_v1", reads=("text",), columns=COLUMNS, params=C4QualityParams)
def c4_quality(rows: pa.Table, params: C4QualityParams) -> pa.Table:
    """Cut lines that are no prose and citations; find what speaks against the whole page (C4).

    A line goes for the first rule that it fails, and later rules do not see it: a bracket in a line
    that goes for its end is not found, as in the released code. What is left is joined by line
    feeds and stripped. Of a null text every measure is null.
    """
    from services.quality.kernels import c4
    from shared.text.segment import segment

    texts = segment(rows["text"])
    lines = texts.lines(params.lines)
    opens = int(np.count_nonzero(texts.data == ord("[")))
    cleaned = c4.clean_lines(
        lines.data, lines.starts, lines.ends, lines.bounds, _rules(params), opens
    )
    measures: dict[str, npt.NDArray[Any]] = {
        "characters": texts.characters,
        "lines": lines.counts,
        "lorem_ipsum": cleaned.groups & c4.IN_PLACEHOLDER > 0,
        "curly_bracket": cleaned.groups & c4.IN_BRACKET > 0,
        "bad_words": _by_document(_bad_words(cleaned, params), cleaned),
        "sentences": _by_document(_sentences(cleaned, params.sentences), cleaned),
    }
    fates = ("kept", "long_word", "no_terminal_punct", "few_words", "javascript", "policy")
    for fate, name in enumerate(fates):
        measures[f"lines_{name}"] = lines.sums(cleaned.fates == fate)
    null = ~texts.valid
    columns = {name: pa.array(values, mask=null) for name, values in measures.items()}
    columns["edits"] = _edits(texts, lines, cleaned)
    return pa.table({c.name: columns[c.name] for c in COLUMNS})


def _rules(params: C4QualityParams) -> "Rules":
    """The parameters as the kernel takes them."""
    from services.quality.kernels.automaton import compiled
    from services.quality.kernels.c4 import Rules
    from services.quality.kernels.digits import digits
    from shared.text import characters

    phrases = (params.placeholders, params.scripts, params.brackets, params.policies)
    return Rules(
        flags=characters.flags(),
        digits=digits(),
        lower=characters.lower(),
        phrases=compiled(*phrases),
        terminal_marks=np.array(sorted(map(ord, params.terminal_marks)), np.int64),
        ellipsis=np.frombuffer(params.ellipsis.encode(), np.uint8),
        most_characters=params.max_word_characters,
        fewest_words=params.min_words,
        cut_citations=params.remove_citations,
        count_after=params.words_counted == "after_citations",
    )


def _by_document(values: npt.NDArray[np.int64], cleaned: "Cleaned") -> npt.NDArray[np.int64]:
    """The sum of the kept lines' values for each document."""
    total = np.concatenate(([0], np.cumsum(values)))
    return np.asarray(total[cleaned.bounds[1:]] - total[cleaned.bounds[:-1]])


def _bad_words(cleaned: "Cleaned", params: C4QualityParams) -> npt.NDArray[np.int64]:
    """Listed words of each kept line."""
    if params.bad_words is None:
        return np.zeros(len(cleaned.lines), np.int64)
    from services.quality.data.word_list import read_word_list
    from services.quality.kernels import bad_words
    from services.quality.kernels.automaton import compiled
    from shared.resources import load
    from shared.text import characters

    listed = load(params.bad_words, read_word_list)
    words = compiled(tuple(w for w in listed if w not in params.bad_words_allowed))
    beside = {
        "not_a_to_z": bad_words.NOT_A_TO_Z,
        "no_word": bad_words.NO_WORD,
        "anything": bad_words.ANYTHING,
    }[params.bad_words_beside]
    counts: npt.NDArray[np.int64] = bad_words.count_bad_words(
        cleaned.data, cleaned.offsets, words, characters.lower(), characters.flags(), beside
    )
    return counts


def _sentences(cleaned: "Cleaned", convention: Literal["marks", "spacy"]) -> npt.NDArray[np.int64]:
    """Sentences of each kept line."""
    from shared.text.segment import Segmented

    if convention == "spacy":
        lines = pa.LargeStringArray.from_buffers(
            len(cleaned.lines), pa.py_buffer(cleaned.offsets), pa.py_buffer(cleaned.data)
        )
        return Segmented(pa.chunked_array([lines])).sentences("spacy").counts
    from services.quality.kernels.sentences import count_marked_sentences
    from shared.text import characters

    counts: npt.NDArray[np.int64] = count_marked_sentences(
        cleaned.data, cleaned.offsets[:-1], cleaned.offsets[1:], characters.flags()
    )
    return counts


def _edits(texts: "Segmented", lines: "Spans", cleaned: "Cleaned") -> pa.ListArray:
    """What turns each text into its kept lines."""
    from services.quality.kernels import line_edits
    from shared.text import characters

    flags = characters.flags()
    pieces = line_edits.pieces_between(
        lines.starts[cleaned.lines],
        lines.ends[cleaned.lines],
        cleaned.cut_starts,
        cleaned.cut_ends,
        cleaned.cut_bounds,
    )
    starts, ends, feeds, bounds = line_edits.edits_to_lines(
        texts.data, texts.begins, texts.stops, cleaned.bounds, pieces, flags
    )
    offsets = np.concatenate(([0], np.cumsum(feeds))).astype(np.int32)
    new = pa.StringArray.from_buffers(
        len(feeds), pa.py_buffer(offsets), pa.py_buffer(b"\n" * int(offsets[-1]))
    )
    spans = pa.StructArray.from_arrays(
        [pa.array(starts.astype(np.int32)), pa.array(ends.astype(np.int32)), new],
        fields=list(EDITS_TYPE.value_type),
    )
    mask = pa.array(~texts.valid)
    return pa.ListArray.from_arrays(
        pa.array(bounds.astype(np.int32)), spans, type=EDITS_TYPE, mask=mask
    )
