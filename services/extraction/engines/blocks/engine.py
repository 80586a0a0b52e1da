"""From a page to its main text: scan, features, two stages of trees, choice, writing."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.extraction.engines.blocks.context import context_features, probabilities
from services.extraction.engines.blocks.decide import choose
from services.extraction.engines.blocks.features import Measures, block_features, measure
from services.extraction.engines.blocks.forest import UNIT, predict
from services.extraction.engines.blocks.layout import Int32s, Kind, Scan
from services.extraction.engines.blocks.lexicon import lexicon_features
from services.extraction.engines.blocks.model import BOTH, FIRST, PLAIN, Model, load
from services.extraction.engines.blocks.scan import scan_page
from services.extraction.engines.blocks.write import write

Floats = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]
KINDS: Final = tuple(kind.name.lower() for kind in Kind)


class Block(NamedTuple):
    """A block of a page's text, kept or not."""

    text: str
    #: "paragraph", "heading", "item", "term", "code" or "row".
    kind: str
    #: Where it stands in the page, in bytes of UTF-8.
    start: int
    end: int
    #: Of being main text, 0 to 1.
    probability: float
    kept: bool


@dataclass(frozen=True, eq=False)
class Extraction:
    """The main text of a page, and how it was chosen."""

    scan: Scan = field(repr=False)
    #: Of each block, in 1 / UNIT.
    chances: Int64s = field(repr=False)
    kept: npt.NDArray[np.bool_] = field(repr=False)
    #: Expected F1 of the text beside a careful reader's choice, 0 to 1.
    confidence: float

    @property
    def text(self) -> str:
        """The kept blocks as plain text."""
        return write(self.scan, self.kept)

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        scan = self.scan
        arrays = (scan.text, scan.title, *scan.elements, *scan.blocks, self.chances, self.kept)
        return sum(array.nbytes for array in arrays)

    def write(self, *, markdown: bool = False) -> str:
        """The kept blocks as plain text or as Markdown."""
        return write(self.scan, self.kept, markdown)

    @property
    def blocks(self) -> list[Block]:
        """All blocks in page order."""
        text, b = self.scan.text.tobytes(), self.scan.blocks
        columns = (b.start, b.stop, b.kind, b.source_start, b.source_stop, self.chances, self.kept)
        return [
            Block(
                text[start:stop].decode(errors="replace"), KINDS[kind], first, last, p / UNIT, kept
            )
            for start, stop, kind, first, last, p, kept in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]


def extract(html: str) -> Extraction:
    """Choose the main text of a page; it never raises, whatever the page holds."""
    scan = scan_page(html)
    model = load()
    measures = measure(scan)
    matrix = first_matrix(scan, measures, model)
    scores = predict(model.first, matrix)
    add_context(matrix, scan, measures, scores)
    chances = probabilities(predict(model.second, matrix))
    choice = choose(chances, measures.counts)
    sure = int(predict(model.confidence, choice.features)[0]) / UNIT
    return Extraction(scan, chances, choice.kept, min(max(sure, 0.0), 1.0))


def main_text(html: str) -> str:
    """The main text of a page as plain text; "" where it has none."""
    return extract(html).text


def first_matrix(scan: Scan, measures: Measures, model: Model) -> Floats:
    """(blocks, features of both stages), those of the second still empty."""
    matrix = np.zeros((len(measures.sizes), BOTH), np.float32)
    block_features(matrix, scan, measures)
    lexicon_features(matrix, PLAIN, scan, model.tokens, model.words)
    return matrix


def add_context(matrix: Floats, scan: Scan, measures: Measures, scores: Int32s) -> None:
    """Fill in what the second stage knows beside, from the scores of the first."""
    context_features(matrix, FIRST, scan, measures.sizes, scores, measures.groups)
