r"""Digits beyond ASCII: what `re`'s \d matches, by code point."""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

from shared.text.characters import NUMBER, flags


@cache
def digits() -> npt.NDArray[np.int64]:
    """The code points from U+0080 on of category Nd, sorted, read-only."""
    numbers = np.flatnonzero(flags() & NUMBER)
    codes = [code for code in numbers.tolist() if unicodedata.category(chr(code)) == "Nd"]
    table = np.array([code for code in codes if code >= 0x80], np.int64)
    table.setflags(write=False)
    return table
