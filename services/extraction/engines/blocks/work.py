"""What the scan works on: the fields of its arrays, which its compiled parts share.

Numba passes few arrays faster than many, so elements, blocks and the stack are tables of int32.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]

#: Elements deeper than this become siblings of the last one, as in browsers (Blink has 512).
DEPTH: Final = 512

# Scalars of the scan.
#: Elements, blocks, bytes of text, tokens so far.
ELEMENTS: Final = 0
BLOCKS: Final = 1
OUT: Final = 2
TOKENS: Final = 3
#: Entries of the stack; the document is one.
HEIGHT: Final = 4
#: Whether a block has begun; the element and the height where it did, the least height since.
OPEN: Final = 5
FIRST_ELEMENT: Final = 6
FIRST_HEIGHT: Final = 7
LOW: Final = 8
#: White space, line breaks, and ends (1) and starts (2) of tags since the last character.
SPACE: Final = 9
BREAKS: Final = 10
TAGGED: Final = 11
#: Row of a table and cell that the last block is in.
LAST_ROW: Final = 12
LAST_CELL: Final = 13
#: The first title.
TITLE_START: Final = 14
TITLE_STOP: Final = 15
#: Bit by `tag % 64`: no end tag of this raw element comes any more.
ENDLESS: Final = 16
STATE: Final = 17

# An entry of the stack: an open element, and what holds inside it.
S_ELEMENT: Final = 0
S_TAG: Final = 1
S_SKIP: Final = 2
S_PRE: Final = 3
S_LINK: Final = 4
S_HEADING: Final = 5
S_LISTS: Final = 6
S_QUOTES: Final = 7
#: Element of the list item, or the term; of the row; the number of the cell in its row.
S_ITEM: Final = 8
S_TERM: Final = 9
S_ROW: Final = 10
S_CELL: Final = 11
S_GROUP: Final = 12
S_FIELDS: Final = 13

# An element.
E_TAG: Final = 0
E_PARENT: Final = 1
E_DEPTH: Final = 2
E_FIRST: Final = 3
E_LAST: Final = 4
E_HIDDEN: Final = 5
E_TOKENS: Final = 6
E_TEMPLATE: Final = 7
#: Of a list the number of its next item; of a row how many cells it has.
E_COUNT: Final = 8
#: Whether an item or a term has its first block.
E_USED: Final = 9
E_FIELDS: Final = 10

# A block.
B_START: Final = 0
B_STOP: Final = 1
B_FROM: Final = 2
B_TO: Final = 3
B_ELEMENT: Final = 4
B_KIND: Final = 5
B_LEVEL: Final = 6
B_NUMBER: Final = 7
B_QUOTE: Final = 8
B_GROUP: Final = 9
B_LINK: Final = 10
B_ROW: Final = 11
B_CELL: Final = 12
B_FIELDS: Final = 13


class Work(NamedTuple):
    """The arrays of a scan in progress."""

    state: Int64s
    #: Open elements by tag.
    opened: Int32s
    stack: Int32s
    elements: Int32s
    blocks: Int32s
    out: Bytes
    tokens: UInt32s
    #: What the attributes of the last tag say (`attributes`).
    found: Int64s


def new_work(size: int, tags: int, found: int, starts: int) -> Work:
    """Room for a page of `size` bytes with `starts` signs "<"."""
    # a tag makes at most two elements (a cell brings its row), and ends at most one block
    most = 2 * starts + 2
    return Work(
        np.zeros(STATE, np.int64),
        np.zeros(tags, np.int32),
        np.empty((DEPTH, S_FIELDS), np.int32),
        np.empty((most, E_FIELDS), np.int32),
        np.empty((most, B_FIELDS), np.int32),
        # a reference of five bytes may stand for six; a character may bring a space, a cell a tab
        np.empty(2 * size + 64, np.uint8),
        np.empty(size // 2 + 64, np.uint32),
        np.zeros(found, np.int64),
    )
