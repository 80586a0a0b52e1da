"""Segmentation of a column of texts, computed once for all steps that read it.

`segment(texts)` is asked for `words("whitespace")`, `lines("filled")` and so on; what is asked for
is computed at that moment and kept. The last column is remembered, so steps that read the same text
share the work, also where rows were dropped between them. To add a convention, write its loop
(`shared.text.words` and `shared.text.lines` say how) and name it in the table below.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.text import characters, hashing, lines, python_lines, subset, utf8, words
from shared.text.spacy_en import loops as spacy_loops
from shared.text.spacy_en.tables import tables as spacy_tables

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

#: `whitespace`: `str.split()`. `unicode`: runs of letters, digits and marks, each ideograph and
#: kana by itself, punctuation and symbols left out; after UAX 29 (an apostrophe between letters,
#: a full stop or comma between digits are inside the word). Scripts without spaces that are
#: not ideographic (Thai, Lao, Khmer, Burmese) are not cut by either. `spacy`: the tokens of spaCy's
#: blank English pipeline but white space: datatrove 0.10.1's `split_into_words(text, "en")`.
WordConvention = Literal["whitespace", "unicode", "spacy"]
#: `filled`: between line feeds, stripped, blank ones left out. `split`: `re.split(r"\n+", text)`.
#: `splitlines`: of `str.splitlines()`, stripped, blank ones left out. `unstripped`: between line
#: feeds, as they are, but for blank ones.
LineConvention = Literal["filled", "split", "splitlines", "unstripped"]
#: `blocks`: filled lines between blank ones. `split`: `re.split(r"\n{2,}", text.strip())`.
ParagraphConvention = Literal["blocks", "split"]
#: `spacy`: of spaCy's `sentencizer` over those tokens, stripped; as many as datatrove 0.10.1's
#: `split_into_sentences(text, "en")`, which makes a text of nothing, and the white space at the end
#: of one, a sentence (an empty one here).
SentenceConvention = Literal["spacy"]

_LOOPS: dict[str, Callable[..., int]] = {
    "words:whitespace": words.whitespace_words,
    "words:unicode": words.unicode_words,
    "lines:filled": lines.filled_lines,
    "lines:split": lines.split_lines,
    "lines:splitlines": python_lines.universal_lines,
    "lines:unstripped": python_lines.unstripped_lines,
    "paragraphs:blocks": lines.block_paragraphs,
    "paragraphs:split": lines.split_paragraphs,
}


@dataclass(frozen=True)
class Spans:
    """Segments of all documents of a column, in order.

    Segment i is `data[starts[i]:ends[i]]` (bytes); document d has the segments from `bounds[d]` up
    to, but without, `bounds[d + 1]`.
    """

    data: Bytes
    starts: Int64Array
    ends: Int64Array
    bounds: Int64Array

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """61-bit hash of each segment; `shared.text.hashing` bounds its collisions."""
        return hashing.hash_spans(self.data, self.starts, self.ends)

    @cached_property
    def characters(self) -> Int64Array:
        """Code points of each segment."""
        return utf8.count_characters(self.data, self.starts, self.ends)

    @property
    def counts(self) -> Int64Array:
        """How many segments each document has."""
        return np.diff(self.bounds)

    def sums(self, values: npt.NDArray[Any]) -> Int64Array:
        """For each document the sum of its segments' (integer or Boolean) values."""
        total = np.concatenate(([0], np.cumsum(values, dtype=np.int64)))
        return np.asarray(total[self.bounds[1:]] - total[self.bounds[:-1]])

    def character_hashes(self, *, lowercase: bool) -> npt.NDArray[np.uint64]:
        """Hashes over code points, so that letters can be compared in lower case."""
        case = characters.lower() if lowercase else characters.same_case()
        return utf8.hash_characters(self.data, self.starts, self.ends, case)

    def take(self, rows: Int64Array) -> "Spans":
        """The segments of some documents, in ascending order, with what is known of them."""
        if len(rows) == len(self.bounds) - 1:
            return self
        counts = self.counts[rows]
        bounds = np.concatenate(([0], np.cumsum(counts)))
        places = np.repeat(self.bounds[rows] - bounds[:-1], counts) + np.arange(bounds[-1])
        taken = Spans(self.data, self.starts[places], self.ends[places], bounds)
        for name in {"hashes", "characters"} & self.__dict__.keys():
            taken.__dict__[name] = self.__dict__[name][places]
        return taken

    def have(self, flag: int) -> npt.NDArray[np.bool_]:
        """Which segments have a character with a flag of `shared.text.characters`."""
        table = characters.flags()
        return utf8.have_any(self.data, self.starts, self.ends, table, flag)


class Segmented:
    """A column of texts and its segments. A null text has those of an empty one."""

    def __init__(self, texts: pa.ChunkedArray) -> None:
        column = texts.cast(pa.large_string()).combine_chunks()
        _, offsets, data = column.buffers()
        self.rows = len(column)
        self.valid: npt.NDArray[np.bool_] = np.asarray(pc.is_valid(column))
        self.data: Bytes = np.frombuffer(b"" if data is None else data, np.uint8)
        places = np.zeros(1, np.int64)  # an empty column may have no buffer of offsets
        if self.rows:
            every = np.frombuffer(offsets, np.int64)
            places = every[column.offset : column.offset + self.rows + 1]
        self.begins: Int64Array = places[:-1].copy()
        self.stops: Int64Array = np.where(self.valid, places[1:], self.begins)
        self._column = column
        self._spans: dict[str, Spans] = {}
        self._source: tuple[Segmented, Int64Array] | None = None
        self.depth = 0

    def among(self, known: "Segmented") -> "Segmented":
        """These texts, with known segments where they are among those of `known`, in order."""
        rows, found = subset.find_rows(
            self.data, self.begins, self.stops, known.data, known.begins, known.stops
        )
        if found and np.array_equal(self.valid, known.valid):
            return known
        if found and known.depth < _LONGEST_CHAIN:
            self.depth = known.depth + 1
            self.data, self.begins, self.stops = known.data, known.begins[rows], known.stops[rows]
            self._source = known, rows
        return self

    @cached_property
    def characters(self) -> Int64Array:
        """Code points of each text; 0 of a null."""
        return np.asarray(pc.fill_null(pc.utf8_length(self._column), 0), np.int64)

    @property
    def whole(self) -> Spans:
        """Each text as one segment."""
        return Spans(self.data, self.begins, self.stops, np.arange(self.rows + 1))

    def words(self, convention: WordConvention) -> Spans:
        """The words of each text."""
        return self.spans(f"words:{convention}")

    def lines(self, convention: LineConvention) -> Spans:
        """The lines of each text."""
        return self.spans(f"lines:{convention}")

    def paragraphs(self, convention: ParagraphConvention) -> Spans:
        """The paragraphs of each text."""
        return self.spans(f"paragraphs:{convention}")

    def sentences(self, convention: SentenceConvention) -> Spans:
        """The sentences of each text."""
        return self.spans(f"sentences:{convention}")

    def count(self, patterns: tuple[str, ...]) -> Int64Array:
        """For each text how often the patterns occur, each as `str.count` counts it, summed."""
        total = np.zeros(self.rows, np.int64)
        for pattern in patterns:
            found = pc.fill_null(pc.count_substring(self._column, pattern), 0)
            total += np.asarray(found, np.int64)
        return total

    def spans(self, name: str) -> Spans:
        """The segments by a name of the table of loops."""
        if name not in self._spans:
            self._spans[name] = self.computed(name, np.arange(self.rows)) or self._find(name)
        return self._spans[name]

    def computed(self, name: str, rows: Int64Array) -> Spans | None:
        """The segments of some rows, if they are known here or where these texts come from."""
        if name in self._spans:
            return self._spans[name].take(rows)
        if self._source is None:
            return None
        known, taken = self._source
        return known.computed(name, taken[rows])

    def _find(self, name: str) -> Spans:
        """Compute the segments; with a place for each that there can be."""
        if name == "sentences:spacy":
            words = self.words("spacy")
            known = (spacy_tables().flags, (words.starts, words.ends, words.bounds))
            return self._run(spacy_loops.spacy_sentences, len(words.starts) + self.rows, *known)
        if name == "words:spacy":
            size = int(np.sum(self.stops - self.begins))
            return self._run(spacy_loops.spacy_words, size, spacy_tables())
        size = int(np.sum((self.stops - self.begins) // 2 + 2))
        return self._run(_LOOPS[name], size, characters.flags())

    def _run(self, loop: Callable[..., int], size: int, *known: Any) -> Spans:
        starts, ends = np.empty(size, np.int64), np.empty(size, np.int64)
        bounds = np.empty(self.rows + 1, np.int64)
        count = loop(self.data, self.begins, self.stops, *known, starts, ends, bounds)
        return Spans(self.data, starts[:count].copy(), ends[:count].copy(), bounds)


#: Steps of a task that drop rows, one after the other; each keeps the column before in memory.
_LONGEST_CHAIN = 16
#: The last column, its identity, and its segments. Holding the column keeps its addresses from
#: being used again.
_last: tuple[object, pa.ChunkedArray, Segmented] | None = None


def segment(texts: pa.ChunkedArray) -> Segmented:
    """The segments of a string or large_string column; those of the last column are remembered."""
    global _last  # noqa: PLW0603 (a memo of one: results do not depend on it)
    identity = _identity(texts)
    last = _last
    if last is not None and last[0] == identity:
        return last[2]
    segmented = Segmented(texts)
    if last is not None:
        segmented = segmented.among(last[2])
    _last = (identity, texts, segmented)
    return segmented


def _identity(texts: pa.ChunkedArray) -> object:
    """Equal for columns over the same memory."""
    return [
        (str(chunk.type), chunk.offset, len(chunk), [_address(b) for b in chunk.buffers()])
        for chunk in texts.chunks
    ]


def _address(buffer: pa.Buffer | None) -> int | None:
    return None if buffer is None else buffer.address


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Float64Array:
    """`part / whole`, and 0 where the whole is 0: a text without words has no share of anything."""
    result = np.zeros(len(whole), np.float64)
    np.divide(part, whole, out=result, where=whole != 0)
    return result
