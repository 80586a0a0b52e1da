"""What counts as the same text: the published normalisations, as tables over code points.

Pipelines compare texts after folding away what does not make a page different: case, accents,
digits, punctuation, white space. Each normalisation is a row of `NORMALIZATIONS`; `table_of` turns
it into arrays, one entry a code point, so that one compiled pass (`kernels.normalise`) serves all.

The result is the *normal form*: words parted by single spaces, none at its ends. Against the
published code, which calls Python's string methods on the whole text, two things differ, both
where a code point's folding depends on its neighbours: a final sigma is folded into sigma
(`str.lower` makes one at the end of an upper-case word), and marks are not reordered by combining
class (only seen where marks are kept).
"""

import string
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Normalization = Literal["none", "simplify", "refinedweb", "redpajama", "map_neo"]

#: What datatrove's `simplify_text` turns into spaces: ASCII punctuation, these, and controls.
_SIMPLIFY_PUNCTUATION: Final = frozenset(
    string.punctuation
    + "«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"  # noqa: RUF001 (these are meant)
    + "".join(map(chr, (*range(9), 11, 12, *range(13, 32), *range(127, 160))))
)
#: Between digits these belong to the number (datatrove 0.10's `NUMBERS_PATTERN`).
_DECIMAL_SEPARATORS: Final = frozenset(".,،٫⎖⎗⎘")  # noqa: RUF001 (these are meant)
_FINAL_SIGMA: Final = "\N{GREEK SMALL LETTER FINAL SIGMA}"
_SIGMA: Final = "\N{GREEK SMALL LETTER SIGMA}"
_UNICODE_PUNCTUATION: Final = frozenset(
    c for c in map(chr, range(0x20000)) if unicodedata.category(c).startswith("P")
)


@dataclass(frozen=True)
class Folding:
    """What a normalisation does, in the order of the fields; white space always collapses."""

    lower: bool = False
    numbers: bool = False  # "3.14" becomes "0"
    to_space: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    decompose: bool = False  # NFD
    drop_marks: bool = False  # category Mn, after decomposition


NORMALIZATIONS: Final[dict[Normalization, Folding]] = {
    # White space only.
    "none": Folding(),
    # FineWeb, datatrove (specs 10.1).
    "simplify": Folding(True, True, _SIMPLIFY_PUNCTUATION, frozenset(), True, True),
    # RefinedWeb (specs 1.7); no code is published, punctuation is read as Unicode's P*.
    "refinedweb": Folding(True, False, frozenset(), _UNICODE_PUNCTUATION, True, True),
    # RedPajama-V2 (specs 11): ASCII punctuation; accents stay, as marks of their own.
    "redpajama": Folding(True, False, frozenset(), frozenset(string.punctuation), True),
    # MAP-Neo (specs 13.4). Its NFC is the extraction's; which punctuation is unconfirmed: ASCII.
    "map_neo": Folding(True, False, frozenset(), frozenset(string.punctuation)),
}

#: The bits of a code point's flags that say what becomes of it: one of the next four.
KIND: Final = 3
COPIED: Final = 0
SEPARATOR: Final = 1
DIGIT: Final = 2
REPLACED: Final = 3
#: Further flags: may stand within a number; a word of its own where words are asked for.
DECIMAL: Final = 4
ALONE: Final = 8

#: Code points of scripts that put no spaces between words: Thai, Lao, Myanmar, Khmer, kana and
#: Han. By white space a Chinese page would be a few words as long as sentences, and two editions
#: of it would share none; so each of these is a word of its own.
_UNSPACED: Final = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3041, 0x30FF)),
    *((0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9D)),
    (0x20000, 0x323AF),
)
#: Code points outside that no folding changes: ideographs, surrogates, private use, the rest.
_FOLDABLE: Final = (
    *((0, 0x33FF), (0x4DC0, 0x4DFF), (0xA000, 0xD7FF), (0xF900, 0x1FFFF)),
    *((0x2F800, 0x2FA1F), (0xE0100, 0xE01EF)),
)
CODE_POINTS: Final = 0x110000


class Table(NamedTuple):
    """One entry a code point; its replacement is `blob[start:start + length]`, UTF-8."""

    flags: npt.NDArray[np.uint8]
    start: npt.NDArray[np.int32]
    length: npt.NDArray[np.uint8]
    blob: npt.NDArray[np.uint8]
    growth: int  # the normal form is at most this many times as long as the text, in bytes


@cache
def table_of(name: Normalization) -> Table:
    """The table of a normalisation; about 0.1 s, once a process."""
    flags = np.zeros(CODE_POINTS, np.uint8)
    start = np.zeros(CODE_POINTS, np.int32)
    length = np.zeros(CODE_POINTS, np.uint8)
    blob = bytearray()
    growth = 1
    for code, character in _foldable():
        kind, replacement = _fold(character, NORMALIZATIONS[name])
        flags[code] = kind
        if kind in (DIGIT, REPLACED):
            encoded = replacement.encode()
            start[code], length[code] = len(blob), len(encoded)
            blob += encoded
            growth = max(growth, -(-len(encoded) // len(character.encode())))
        if NORMALIZATIONS[name].numbers and character in _DECIMAL_SEPARATORS:
            flags[code] |= DECIMAL
    for first, last in _UNSPACED:
        flags[first : last + 1] |= ALONE
    arrays = (flags, start, length, np.frombuffer(bytes(blob) or b"\0", np.uint8))
    for array in arrays:
        array.flags.writeable = False
    return Table(*arrays, growth)


def _foldable() -> Iterator[tuple[int, str]]:
    for first, last in _FOLDABLE:
        for code in range(first, last + 1):
            yield code, chr(code)


def _fold(character: str, folding: Folding) -> tuple[int, str]:
    """What becomes of a code point, and what replaces it."""
    folded = character.lower().replace(_FINAL_SIGMA, _SIGMA) if folding.lower else character
    if folding.numbers and unicodedata.category(folded[0]) == "Nd":
        return DIGIT, "0"
    if folded in folding.to_space or folded.isspace():
        return SEPARATOR, ""
    if folded in folding.deleted:
        return REPLACED, ""
    if folding.decompose:
        folded = unicodedata.normalize("NFD", folded)
    if folding.drop_marks:
        folded = "".join(c for c in folded if unicodedata.category(c) != "Mn")
    return (COPIED, "") if folded == character else (REPLACED, folded)
