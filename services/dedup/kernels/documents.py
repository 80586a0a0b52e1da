"""A column of documents as the compiled loops see it: each one a range of units.

Units are words, characters or tokens of a document's normal form, each a range of its bytes (a
token: the four bytes of its id), so that one loop hashes shingles of all.
"""

from typing import Final, NamedTuple

import numpy as np

from services.dedup.kernels.compiled import ByteArray, Int64Array, Texts, compiled
from services.dedup.kernels.normalise import capacity, normalise
from services.dedup.kernels.shingling import unit_starts
from services.dedup.normalization import Table

WORDS: Final = 0
CHARACTERS: Final = 1
TOKENS: Final = 2
#: Bytes of a token's id.
TOKEN_BYTES: Final = 4


class Documents(NamedTuple):
    """Texts, and how they are cut into units; of tokens, the bytes of their ids."""

    texts: Texts
    table: Table
    kind: int
    split: bool  # each character of a script without spaces is a word
    ngram: int


@compiled
def units_of(d: Documents, row: int) -> tuple[ByteArray, Int64Array]:
    """The bytes of a document that is not null, and where its units start in them.

    One more start follows the last unit. Unit i ends `gap(d)` bytes before unit i + 1 starts.
    """
    at, end = d.texts.offsets[row], d.texts.offsets[row + 1]
    if d.kind == TOKENS:
        return d.texts.data, np.arange(at, end + 1, TOKEN_BYTES)
    text = np.empty(capacity(end - at, d.table), np.uint8)
    size = normalise(d.texts.data, at, end, d.table, d.split, text, 0)
    return text, unit_starts(text, size, d.kind == WORDS)


@compiled
def gap(d: Documents) -> int:
    """Bytes between two units: the space between words."""
    return int(d.kind == WORDS)
