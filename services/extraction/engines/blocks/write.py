"""Kept blocks as text for readers and language models: plain, or Markdown.

Plain text has a blank line between paragraphs, and one line feed within what is read as one thing:
items of a list, rows of a table, a term and its definition. trafilatura puts one line feed between
all; resiliparse, jusText and three of four gold texts have blank lines. Blank lines tell
paragraphs from lines, which Gopher's rules on duplicate paragraphs need (specs, 2.3 and 2.5): in
trafilatura's texts there is nothing for them to count. Line rules leave blank lines out (Gopher,
C4, CCNet, FineWeb), but for FineWeb's line feeds for each word: of trafilatura's 545 texts of
open-en-00000 12 are above its .3, 24 with blank lines, and 2 of those pass FineWeb's other
rules. For trafilatura's way `PARAGRAPH` is one line feed.

Items begin with "- " or their number and nested ones are indented, as trafilatura and resiliparse
have it. Cells have a tab between them: a bar would be a word without letters to Gopher's rules.
Quotations are plain paragraphs, and so are the later paragraphs of an item: most lists of such
items are layout.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from services.extraction.engines.blocks.kept import Item, Kept, kept_blocks, still_open
from services.extraction.engines.blocks.layout import Kind, Scan
from services.extraction.engines.blocks.markdown import to_markdown

#: Between paragraphs of plain text.
PARAGRAPH: Final = b"\n\n"
#: Between blocks of one list, table or list of terms.
_LINE: Final = b"\n"
#: Each level of a list, in spaces.
_INDENT: Final = 2
_ITEM: Final = int(Kind.ITEM)
#: Kinds of two blocks in a row that stand together if they are of one group.
_TOGETHER: Final = {
    (Kind.ITEM, Kind.ITEM),
    (Kind.ROW, Kind.ROW),
    (Kind.TERM, Kind.TERM),
    (Kind.TERM, Kind.PARAGRAPH),
}


def write(scan: Scan, kept: npt.NDArray[np.bool_], markdown: bool = False) -> str:  # noqa: FBT001, FBT002
    """The text of the kept blocks, without a line feed at its end."""
    blocks = kept_blocks(scan, kept)
    return to_markdown(blocks) if markdown else _plain(blocks)


def _plain(blocks: list[Kept]) -> str:
    parts: list[bytes] = []
    items: list[Item] = []
    last, last_group = -1, -1
    for block in blocks:
        kind, group = block.kind, block.group
        if parts:
            parts.append(_LINE if group == last_group and (last, kind) in _TOGETHER else PARAGRAPH)
        if items:
            del items[still_open(items, block) :]
        if kind == _ITEM:
            mark = b"%d. " % block.number if block.number else b"- "
            parts.append(b" " * (_INDENT * len(items)) + mark)
            items.append(Item(block.level, block.number, block.quote, group))
        parts.append(block.text)
        last, last_group = kind, group
    return b"".join(parts).decode(errors="replace")  # a page may hold bytes that are no UTF-8
