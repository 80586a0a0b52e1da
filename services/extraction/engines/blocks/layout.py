"""What the scan of a page gives: its elements and its blocks of text, as arrays.

A block is the text between two block-level boundaries: a paragraph, a heading, a list item, a row
of a table, a piece of code. Elements are counted in page order; element 0 is the document. All
offsets are bytes of UTF-8.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
UInt32s = npt.NDArray[np.uint32]


class Kind(IntEnum):
    """How a block is written."""

    PARAGRAPH = 0
    HEADING = 1
    #: The first block of a list item; those after it in the same item are paragraphs.
    ITEM = 2
    #: A definition list's term; its definitions are paragraphs.
    TERM = 3
    #: Preformatted text, with its white space.
    CODE = 4
    #: A row of a table whose cells hold a line each, with a tab between cells.
    ROW = 5


class Elements(NamedTuple):
    """The elements of a page, in page order."""

    #: Number of the tag (`tags.NAMES`).
    tag: Bytes
    #: The element around it; -1 for the document.
    parent: Int32s
    #: How many elements are around it.
    depth: Int32s
    #: The blocks below it are `first_block:last_block`.
    first_block: Int32s
    last_block: Int32s
    #: Whether an attribute hides it: `hidden`, `aria-hidden`, `display:none`.
    hidden: Bytes
    #: Its tokens are `tokens[token_bounds[i]:token_bounds[i + 1]]`.
    token_bounds: Int32s
    #: Hashes of the words in class, id, role and itemprop, lowered, cut at case and signs.
    tokens: UInt32s
    #: Hash of tag and class: equal for elements of one template.
    template: UInt32s


class Blocks(NamedTuple):
    """The blocks of a page, in page order."""

    #: Its text is `text[start:stop]` of the scan: white space collapsed, references decoded, a line
    #: feed for each `<br>`, a tab between the cells of a row.
    start: Int32s
    stop: Int32s
    #: From its first to behind its last character in the page.
    source_start: Int32s
    source_stop: Int32s
    #: The innermost element around all of it.
    element: Int32s
    #: A `Kind`.
    kind: Bytes
    #: Of a heading 1 to 6; of others, how many lists it is in.
    level: Bytes
    #: Of an item of an ordered list its number, else 0.
    number: Int32s
    #: How many quotations it is in.
    quote: Bytes
    #: The outermost list or the table around it, -1 if none: blocks of one group stand together.
    group: Int32s
    #: Bytes of its text in links.
    link: Int32s


class Scan(NamedTuple):
    """A page as elements and blocks."""

    text: Bytes
    elements: Elements
    blocks: Blocks
    #: What the page's title holds, as it stands in the page.
    title: Bytes
