"""Tables over code points for the rules: what Python's string methods say of each character.

`shared.text.characters` has the classes that segmentation needs; these are what the published
rules test with `str.isupper`, `str.isdigit`, the `re` module's classes, and a list of punctuation.
"""

import string
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from services.quality.data.terminal_marks import TERMINAL_MARKS

#: `str.isupper`.
UPPER: Final = 1
#: `str.isdigit`: decimal digits, superscripts, circled digits.
DIGIT: Final = 2
#: `str.isspace`, `\s`.
SPACE: Final = 4
#: `str.isalnum`.
ALNUM: Final = 8
#: `\w`: `str.isalnum` and the low line.
WORD: Final = 16
#: `str.isdecimal`, `\d`.
DECIMAL: Final = 32
#: What datatrove 0.10 counts as punctuation (`utils/text.py`).
PUNCTUATION: Final = 64

#: Code points from here on are unassigned or for private use, and have no class.
END: Final = 0xE0200

_LISTED: Final = string.punctuation + "«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"  # noqa: RUF001 (these are meant)
_CONTROLS: Final = ((0, 8), (11, 12), (13, 31), (127, 159))


@cache
def classes() -> npt.NDArray[np.uint8]:
    """The flags of each code point below END, read-only."""
    characters = np.arange(END, dtype=np.uint32).view("<U1")
    table = np.zeros(END, np.uint8)
    tests = (
        (UPPER, np.strings.isupper),
        (DIGIT, np.strings.isdigit),
        (SPACE, np.strings.isspace),
        (ALNUM | WORD, np.strings.isalnum),
        (DECIMAL, np.strings.isdecimal),
    )
    for flag, test in tests:
        table[test(characters)] |= flag
    table[ord("_")] |= WORD
    table[[ord(c) for c in _LISTED + TERMINAL_MARKS]] |= PUNCTUATION
    for first, last in _CONTROLS:
        table[first : last + 1] |= PUNCTUATION
    table.setflags(write=False)
    return table
