"""Compiled search for many phrases at once, without regard to case (Aho and Corasick, 1975).

The phrases become one automaton over bytes; a text is put into lower case (`fold`) and read once,
whatever the number of phrases. The folded text is that of `str.lower()`, but that a final sigma is
written as any sigma.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.text.compiled import leaf
from shared.text.utf8 import decode

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

#: The capital I with a dot: the only character whose lower case is two, i and a dot above.
DOTTED_I = 0x130
DOT_ABOVE = (0xCC, 0x87)
FINAL_SIGMA, SIGMA = 0x3C2, 0x3C3


class Automaton(NamedTuple):
    """A table with a row for each state; a state is the index of its row's first entry.

    A row holds the state after each class of bytes, and then, from `width` on: bits of the groups
    that have a phrase which ends here; bytes of the longest phrase that ends here, if it is the
    whole way to this state, or 0; the state of the next shorter one that ends here too, or 0.
    """

    #: The class of each byte; bytes that no phrase has are of class 0.
    classes: Int64Array
    table: Int32Array
    #: Number of classes.
    width: int


@lru_cache(maxsize=16)
def compiled(*groups: tuple[str, ...]) -> Automaton:
    """The automaton of some groups of phrases (at most 31); case and empty phrases are ignored."""
    nodes: list[dict[int, int]] = [{}]
    masks, sizes = [0], [0]
    for group, phrases in enumerate(groups):
        for raw in _folded(phrases):
            node = 0
            for byte in raw:
                if byte not in nodes[node]:
                    nodes[node][byte] = len(nodes)
                    nodes.append({})
                    masks.append(0)
                    sizes.append(0)
                node = nodes[node][byte]
            masks[node] |= 1 << group
            sizes[node] = len(raw)
    return _complete(nodes, masks, sizes)


def _folded(phrases: Iterable[str]) -> list[bytes]:
    return [p.lower().replace(chr(FINAL_SIGMA), chr(SIGMA)).encode() for p in phrases if p]


def _complete(
    nodes: Sequence[dict[int, int]], masks: Sequence[int], sizes: Sequence[int]
) -> Automaton:
    """The table: where a node has no child, the transitions are those of its longest suffix."""
    used = sorted({byte for children in nodes for byte in children})
    classes = np.zeros(256, np.int64)
    classes[used] = np.arange(1, len(used) + 1)
    width = len(used) + 1
    stride = width + 3
    table = np.zeros((len(nodes), stride), np.int32)
    table[:, width], table[:, width + 1] = masks, sizes
    suffix = [0] * len(nodes)
    queue = deque([0])
    while queue:
        node = queue.popleft()
        back = suffix[node]
        if node:
            table[node, :width] = table[back, :width]
            table[node, width] |= table[back, width]
            table[node, width + 2] = back * stride if sizes[back] else table[back, width + 2]
        for byte, child in nodes[node].items():
            suffix[child] = int(table[node, classes[byte]]) // stride if node else 0
            table[node, classes[byte]] = child * stride
            queue.append(child)
    return Automaton(classes, table.ravel(), width)


@leaf
def put(code: np.int64, out: Bytes, at: int) -> int:
    """Write a code point from U+0080 on as UTF-8; returns the place after it."""
    if code < 0x800:
        out[at] = 0xC0 | code >> 6
    else:
        if code < 0x10000:
            out[at] = 0xE0 | code >> 12
        else:
            out[at], at = 0xF0 | code >> 18, at + 1
            out[at] = 0x80 | (code >> 12 & 0x3F)
        at += 1
        out[at] = 0x80 | (code >> 6 & 0x3F)
    out[at + 1] = 0x80 | (code & 0x3F)
    return at + 2


@leaf
def fold(data: Bytes, start: int, end: int, lower: Int32Array, out: Bytes, at: int) -> int:
    """Write a span in lower case to `out`, twice as large at most; returns the place after it."""
    while start < end:
        byte = data[start]
        if byte < 0x80:
            out[at] = byte | 0x20 if 65 <= byte <= 90 else byte
            at += 1
            start += 1
            continue
        code, size = decode(data, start, end)
        start += size
        if code == DOTTED_I:
            out[at], out[at + 1], out[at + 2] = 105, DOT_ABOVE[0], DOT_ABOVE[1]
            at += 3
            continue
        if code < len(lower):
            code = np.int64(lower[code])
        if code == FINAL_SIGMA:
            code = np.int64(SIGMA)
        if code < 0x80:  # the Kelvin sign
            out[at] = code
            at += 1
        else:
            at = put(code, out, at)
    return at


@leaf
def find_groups(automaton: Automaton, folded: Bytes, start: int, end: int) -> int:
    """Bits of the groups that have a phrase in a span of folded text."""
    classes, table, width = automaton
    state, found = 0, 0
    for at in range(start, end):
        state = table[state + classes[folded[at]]]
        found |= table[state + width]
    return found
