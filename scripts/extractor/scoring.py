"""The measure of `../shared/eval/extraction_f1.py`, fast for many choices of blocks."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from scripts.extractor.tokens import CHARACTER_LANGUAGES, Int32s, tokenize

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class PageScorer:
    """F1 of any choice of a page's blocks, equal to the evaluation's of their joined texts."""

    def __init__(self, texts: Sequence[str], gold: str, language: str) -> None:
        tokens = tokenize(texts, gold, language)
        self._tokens = tokens
        self._by_runs = language in CHARACTER_LANGUAGES
        counted = runs(tokens.gold) if self._by_runs else tokens.gold.astype(np.int64)
        self._keys, self._counts = np.unique(counted, return_counts=True)
        self._gold = int(self._counts.sum())
        self._lengths = tokens.lengths

    def f1(self, kept: Bools) -> float:
        """The F1 of the text of the kept blocks."""
        chosen = self._tokens.page[np.repeat(kept, self._lengths)]
        counted = runs(chosen) if self._by_runs else chosen.astype(np.int64)
        overlap = _overlap(counted, self._keys, self._counts)
        if not overlap:
            return 0.0
        precision, recall = overlap / len(counted), overlap / self._gold
        return 2 * precision * recall / (precision + recall)


def runs(tokens: Int32s) -> Int64s:
    """A number for each run of three tokens; a shorter text is one run."""
    padded = np.zeros(max(len(tokens), 3) if len(tokens) else 0, np.int64)
    padded[: len(tokens)] = tokens.astype(np.int64) + 1
    if not len(padded):
        return padded
    return (padded[:-2] << 42) | (padded[1:-1] << 21) | padded[2:]


@njit(cache=True, nogil=True)
def _overlap(counted: Int64s, keys: Int64s, counts: Int64s) -> int:
    """How many of the counted are in the bag of keys, each as often as it is there."""
    left = counts.copy()
    overlap = 0
    for i in range(len(counted)):
        place = np.searchsorted(keys, counted[i])
        if place < len(keys) and keys[place] == counted[i] and left[place] > 0:
            left[place] -= 1
            overlap += 1
    return overlap
