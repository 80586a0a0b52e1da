"""The set of shingles, and the sequence of units, of each document of a column."""

import numpy as np

from services.dedup.kernels.compiled import Int64Array, UInt64Array, compiled
from services.dedup.kernels.documents import TOKENS, Documents, gap, units_of
from services.dedup.kernels.shingling import gram_hashes


@compiled
def _distinct(values: UInt64Array) -> int:
    """Sort values and bring each to the front once; returns how many they are."""
    values.sort()
    count = 0
    for i in range(len(values)):
        if count == 0 or values[i] != values[count - 1]:
            values[count] = values[i]
            count += 1
    return count


@compiled
def _grams(d: Documents, ngram: int, distinct: bool) -> tuple[UInt64Array, Int64Array]:  # noqa: FBT001 (compiled: no keyword-only arguments)
    """Hashes of every `ngram` units in a row of each document, and where each one's begin.

    In their order; with `distinct` ascending, each once.
    """
    rows = len(d.texts.valid)
    # A unit has a byte or more of the normal form. What is not written of an array takes no memory.
    growth = 1 if d.kind == TOKENS else d.table.growth
    size = int(d.texts.offsets[rows] - d.texts.offsets[0]) * growth
    found = np.empty(size + rows, np.uint64)
    offsets = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        offsets[row + 1] = offsets[row]
        if not d.texts.valid[row]:
            continue
        text, starts = units_of(d, row)
        grams = len(starts) - ngram
        if grams > 0:
            out = found[offsets[row] : offsets[row] + grams]
            gram_hashes(text, starts, gap(d), ngram, out)
            offsets[row + 1] += _distinct(out) if distinct else grams
    return found[: offsets[rows]], offsets


def shingle_sets(d: Documents) -> tuple[UInt64Array, Int64Array]:
    """The distinct shingle hashes of each document, ascending, and where each one's begin."""
    return _grams(d, d.ngram, True)


def unit_sequences(d: Documents) -> tuple[UInt64Array, Int64Array]:
    """The units of each document in their order, as 64-bit hashes, and where each one's begin."""
    return _grams(d, 1, False)
