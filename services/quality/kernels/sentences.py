"""Compiled count of sentences by their end marks."""

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.characters import SPACE
from shared.text.compiled import leaf
from shared.text.lines import stripped
from shared.text.utf8 import flags_at

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_STOP, _BANG, _QUESTION = 46, 33, 63
#: Quotes and brackets that may close a sentence after its mark: " ' ) ] } *
_CLOSING = (34, 39, 41, 93, 125, 42)


@leaf
def ends_sentence(data: Bytes, at: int, mark: int, end: int, flags: Bytes) -> bool:
    """Whether the marks [mark, at) end a sentence: white space follows, maybe after closing signs.

    Two full stops or more do so only where an upper-case letter (A to Z) follows.
    """
    ellipsis = at - mark > 1 and data[at - 1] == _STOP and data[at - 2] == _STOP
    while at < end and data[at] in _CLOSING:
        at += 1
    if at == end or not flags_at(data, at, end, flags)[0] & SPACE:
        return False
    start = stripped(data, at, end, flags)[0]
    return start < end and (not ellipsis or 65 <= data[start] <= 90)


@njit(cache=True, nogil=True)
def count_marked_sentences(
    data: Bytes, starts: Int64Array, ends: Int64Array, flags: Bytes
) -> Int64Array:
    """Sentences of each span `data[starts[i]:ends[i]]`; a blank one has none."""
    counts = np.zeros(len(starts), np.int64)
    for i in range(len(counts)):
        at, end = stripped(data, starts[i], ends[i], flags)
        counts[i] = at < end
        while at < end:
            mark = at
            while at < end and data[at] in (_STOP, _BANG, _QUESTION):
                at += 1
            if at > mark:
                counts[i] += ends_sentence(data, at, mark, end, flags)
            else:
                at += 1
    return counts
