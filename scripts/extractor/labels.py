"""What the trees learn: the share of a block's tokens that belong to the main text.

Full gold says it for every block, by alignment (`scripts.extractor.align`); snippets say it for the
few blocks that they touch.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scripts.extractor.align import align
from scripts.extractor.gold import Page
from scripts.extractor.tokens import Int32s, split, tokenize

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

#: A snippet that has this share of a block's characters speaks of the block.
_FILLED = 0.5


def label(texts: Sequence[str], gold: str, language: str) -> Floats:
    """For the blocks of a page, in page order, the share of their tokens in the gold, 0 to 1."""
    tokens = tokenize(texts, gold, language)
    return _shares(align(tokens.page, tokens.gold), tokens.bounds)


def label_page(texts: Sequence[str], page: Page) -> tuple[Floats, Bools]:
    """(label, whether it is known) of the page's blocks, by whatever gold the page has."""
    if page.kind == "partial":
        assert page.gold_text is not None
        found = label(texts, page.gold_text, page.language)
        lines, known = label_snippets(texts, page.gold_text.splitlines(), ())
        return np.maximum(found, lines), known | (found >= _FILLED)
    if page.gold_text is not None:
        return label(texts, page.gold_text, page.language), np.ones(len(texts), np.bool_)
    snippets = page.with_ + ((page.first_words,) if page.first_words else ())
    return label_snippets(texts, snippets, page.without)


def label_snippets(
    texts: Sequence[str], with_: Sequence[str], without: Sequence[str]
) -> tuple[Floats, Bools]:
    """(label, whether it is known): 1 where a snippet of the main text is, 0 where one of the rest.

    Compared as the evaluation does, by word characters only, so a snippet may span blocks. A
    snippet of the main text that the page has more than once says nothing; one of the rest speaks
    only of blocks that it mostly fills. Where the two differ, the main text has it.
    """
    words = [squash(text) for text in texts]
    ends = np.cumsum([len(word) for word in words])
    page = "".join(words)
    label, known = np.zeros(len(texts), np.float32), np.zeros(len(texts), np.bool_)
    for snippet in filter(None, map(squash, without)):
        for start in _occurrences(page, snippet):
            for block, shared in _covered(ends, start, start + len(snippet)):
                known[block] |= shared >= _FILLED * len(words[block])
    for snippet in filter(None, map(squash, with_)):
        found = _occurrences(page, snippet)
        if len(found) == 1:
            for block, _ in _covered(ends, found[0], found[0] + len(snippet)):
                label[block], known[block] = 1, True
    return label, known


def squash(text: str) -> str:
    """The word characters of a text, folded and lowered."""
    return "".join(split(text, "und"))


def _occurrences(page: str, snippet: str) -> list[int]:
    found = []
    start = page.find(snippet)
    while start >= 0:
        found.append(start)
        start = page.find(snippet, start + len(snippet))
    return found


def _covered(ends: npt.NDArray[np.int_], start: int, stop: int) -> list[tuple[int, int]]:
    """(block, characters shared with [start, stop)), where there are any."""
    first = int(np.searchsorted(ends, start, side="right"))
    last = int(np.searchsorted(ends, stop, side="left"))
    begins = [int(ends[block - 1]) if block else 0 for block in range(first, last + 1)]
    shared = [
        (block, min(stop, int(ends[block])) - max(start, begin))
        for block, begin in zip(range(first, last + 1), begins, strict=True)
    ]
    return [(block, n) for block, n in shared if n > 0]


def _shares(belongs: Bools, bounds: Int32s) -> Floats:
    total = np.concatenate([[0], np.cumsum(belongs)])
    return (np.diff(total[bounds]) / np.maximum(np.diff(bounds), 1)).astype(np.float32)
