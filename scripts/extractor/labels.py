"""What a block is worth: the share of its tokens that belong to the gold text.

This is what the trees learn. A token belongs where a run of three tokens that it is in occurs in
the gold, each occurrence once.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scripts.extractor.tokens import Int32s, tokenize

Floats = npt.NDArray[np.float32]
#: Tokens of a run that is not there by chance.
_RUN = 3


def label(texts: Sequence[str], gold: str, language: str) -> Floats:
    """For the blocks of a page, in page order, the share of their tokens in the gold, 0 to 1."""
    tokens = tokenize(texts, gold, language)
    return _share(contained(tokens.page, tokens.bounds, tokens.gold), tokens.bounds)


def _share(belongs: npt.NDArray[np.bool_], bounds: Int32s) -> Floats:
    total = np.concatenate([[0], np.cumsum(belongs)])
    count = np.diff(bounds)
    return (np.diff(total[bounds]) / np.maximum(count, 1)).astype(np.float32)


def contained(page: Int32s, bounds: Int32s, gold: Int32s) -> npt.NDArray[np.bool_]:
    """Which of the page's tokens are in a run of three that the gold has, in page order."""
    belongs = np.zeros(len(page), np.bool_)
    left: dict[tuple[int, ...], int] = {}
    runs = [
        tuple(gold[i : i + n].tolist())
        for n in range(1, _RUN + 1)
        for i in range(len(gold) + 1 - n)
    ]
    for run in runs:
        left[run] = left.get(run, 0) + 1
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        length = min(_RUN, stop - start)
        for i in range(start, stop + 1 - length):
            run = tuple(page[i : i + length].tolist())
            if length and left.get(run, 0):
                left[run] -= 1
                belongs[i : i + length] = True
    return belongs
