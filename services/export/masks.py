"""The loss mask: which tokens of a text lie in spans that a model is not to learn.

Duplicated spans may stay in the text, so that it reads on, and yet not be trained on twice (mode
MASK of exact substrings, RefinedWeb, arXiv 2306.01116, appendix on deduplication).
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.bool_]
#: `start` and `end` of each span, bytes of the UTF-8 text.
Spans: TypeAlias = Sequence[Mapping[str, int]]


def masked_tokens(text: str, offsets: Sequence[tuple[int, int]], spans: Spans) -> Mask:
    """For each token whether it holds a byte of a span.

    `offsets` are the characters [start, end) of each token in order, as tokenizers give them: a
    token of some bytes of a character has the whole character. Tokenizers may leave out white
    space: what lies between two tokens belongs to the later one.
    """
    data = np.frombuffer(text.encode(), np.uint8)
    first_bytes = np.append(np.flatnonzero((data & 0xC0) != 0x80), len(data))
    places = np.array(offsets, np.int64).reshape(-1, 2)
    end = first_bytes[places[:, 1]]
    start = np.minimum(first_bytes[places[:, 0]], np.concatenate(([0], end[:-1])))
    inside = np.zeros(len(data), np.bool_)
    for span in spans:
        inside[span["start"] : span["end"]] = True
    before = np.concatenate(([0], np.cumsum(inside)))
    return np.asarray(before[end] > before[start])


def pack_mask(mask: Mask) -> bytes:
    """A bit a token: token i is bit i % 8, from the lowest, of byte i // 8."""
    return np.packbits(mask, bitorder="little").tobytes()
