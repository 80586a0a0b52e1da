r"""Texts as the tokens that `../shared/eval/extraction_f1.py` counts, as numbers.

Words (`\w+`) of the NFKC-folded, lowered text; in languages without spaces its single `\w`
characters, of which the evaluation counts the runs of three.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]

#: Where a token is a character.
CHARACTER_LANGUAGES: Final = frozenset({"zh", "ja", "th", "lo", "km", "my"})
_WORD: Final = re.compile(r"\w+")


class Tokens(NamedTuple):
    """The tokens of the blocks of a page and of its gold, numbered by one vocabulary."""

    #: Those of all blocks; block i has `page[bounds[i]:bounds[i + 1]]`.
    page: Int32s
    bounds: Int32s
    gold: Int32s
    #: Numbers from 0 below `known` occur in the gold.
    known: int

    @property
    def lengths(self) -> Int32s:
        """Tokens of each block."""
        return np.diff(self.bounds)


def split(text: str, language: str) -> Sequence[str]:
    """The tokens of a text."""
    words: list[str] = _WORD.findall(unicodedata.normalize("NFKC", text).lower())
    return "".join(words) if language in CHARACTER_LANGUAGES else words


def tokenize(texts: Sequence[str], gold: str, language: str) -> Tokens:
    """Blocks and gold as numbers; numbers go by first occurrence, in the gold first."""
    number: dict[str, int] = {}

    def numbers(text: str) -> list[int]:
        return [number.setdefault(token, len(number)) for token in split(text, language)]

    gold_numbers = numbers(gold)
    known = len(number)
    page: list[int] = []
    bounds = [0]
    for text in texts:
        page += numbers(text)
        bounds.append(len(page))
    return Tokens(
        np.array(page, np.int32),
        np.array(bounds, np.int32),
        np.array(gold_numbers, np.int32),
        known,
    )
