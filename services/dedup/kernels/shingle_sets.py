"""The set of shingles of each document of a column."""

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
def shingle_sets(d: Documents) -> tuple[UInt64Array, Int64Array]:
    """The distinct shingle hashes of each document, ascending, and where each one's begin."""
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
        shingles = len(starts) - d.ngram
        if shingles > 0:
            out = found[offsets[row] : offsets[row] + shingles]
            gram_hashes(text, starts, gap(d), d.ngram, out)
            offsets[row + 1] += _distinct(out)
    return found[: offsets[rows]], offsets
