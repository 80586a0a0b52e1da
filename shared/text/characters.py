"""Classes of characters: one byte of flags a code point, for the compiled loops.

Taken from the Unicode database of the running Python, so a word is what `str.split`, `str.isalpha`
and `unicodedata.category` say it is, and a newer Python knows newer characters.
"""

import unicodedata
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

#: `str.isspace`: what `str.split` splits at.
SPACE: Final = 1
#: `str.isalpha`: categories L*.
LETTER: Final = 2
#: Categories N*: digits, number letters, fractions.
NUMBER: Final = 4
#: Ideographs and kana: a word each, in a script that puts no spaces between words.
SINGLE: Final = 8
#: Marks (M*) and format characters (Cf: joiners, soft hyphen): part of the word before them.
EXTEND: Final = 16
#: Apostrophes: inside a word between two letters (UAX 29, WB6 and WB7).
MID_LETTER: Final = 32
#: Full stop and comma: inside a word between two digits (UAX 29, WB11 and WB12).
MID_NUMBER: Final = 64

#: Code points from here on are unassigned or for private use, and have no class.
END: Final = 0xE0200
#: Assigned planes: 0 to 3, and the tags and variation selectors of plane 14.
_ASSIGNED = (range(0x40000), range(0xE0000, END))
#: Blocks of ideographs and kana; of these only letters and numbers are meant.
_SINGLE = (
    (0x3005, 0x3007),  # iteration mark, closing mark, zero
    (0x3021, 0x3029),  # Hangzhou numerals
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana phonetic extensions
    (0x3400, 0x4DBF),  # Extension A
    (0x4E00, 0x9FFF),  # Unified Ideographs
    (0xF900, 0xFAFF),  # Compatibility Ideographs
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x1AFF0, 0x1B16F),  # Kana extensions
    (0x20000, 0x3FFFF),  # planes of ideographs
)


def _flags(code: int) -> int:
    character = chr(code)
    category = unicodedata.category(character)
    flags = SPACE if character.isspace() else 0
    match category[0]:
        case "L":
            flags |= LETTER
        case "N":
            flags |= NUMBER
        case "M":
            flags |= EXTEND
    return flags | EXTEND if category == "Cf" else flags


@cache
def flags() -> npt.NDArray[np.uint8]:
    """The flags of each code point below END, read-only."""
    table = np.zeros(END, np.uint8)
    for codes in _ASSIGNED:
        table[codes.start : codes.stop] = [_flags(code) for code in codes]
    for first, last in _SINGLE:
        block = table[first : last + 1]
        block[(block & (LETTER | NUMBER)) > 0] |= SINGLE
    table[[ord("'"), 0x2019]] |= MID_LETTER  # straight and curly apostrophe
    table[[ord("."), ord(",")]] |= MID_NUMBER
    table.setflags(write=False)
    return table


@cache
def lower() -> npt.NDArray[np.int32]:
    """`str.lower` of each code point of planes 0 and 1, itself where that is no single one."""
    lowered = [chr(code).lower() for code in range(0x20000)]
    table = np.array([ord(c) if len(c) == 1 else i for i, c in enumerate(lowered)], np.int32)
    table.setflags(write=False)
    return table


@cache
def same_case() -> npt.NDArray[np.int32]:
    """No change of case: the empty table, in which every code point is missing."""
    table = np.zeros(0, np.int32)
    table.setflags(write=False)
    return table
