"""The kept blocks one by one, and the list items around them, for the writers."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.extraction.engines.blocks.layout import Int32s, Kind, Scan

#: No item was dropped: above all levels.
NO_ITEM: Final = 256
#: Lists in lists and quotations in quotations deeper than this are written as if so deep: a level
#: costs time and space on each line.
_DEEPEST: Final = 16
#: CommonMark's numbers have at most nine digits.
_TOO_LONG: Final = 10**9
#: What is left out around a text, by kind.
_AROUND: Final = [b"\n\t "] * len(Kind)
_AROUND[Kind.CODE] = b"\n"
_AROUND[Kind.ROW] = b"\n "  # a tab at its end is an empty cell
_SPACED: Final = {int(Kind.CODE), int(Kind.ROW)}


class Kept(NamedTuple):
    """A block that is written; its fields are those of `layout.Blocks`."""

    #: UTF-8, without white space around it; code without line feeds around it.
    text: bytes
    kind: int
    level: int
    #: Of an item of an ordered list, if it can be written, else 0.
    number: int
    quote: int
    group: int
    #: Lowest level of the items that begin between the kept block before and this one.
    dropped: int


class Item(NamedTuple):
    """A list item that later blocks may be in."""

    level: int
    number: int
    quote: int
    group: int
    #: What is before its text, with the space.
    mark: str = ""


def kept_blocks(scan: Scan, kept: npt.NDArray[np.bool_]) -> list[Kept]:
    """The blocks to write, in page order, without those that are only white space."""
    at = np.flatnonzero(kept)
    if not len(at):
        return []
    data, blocks = scan.text.tobytes(), scan.blocks
    numbers = blocks.number[at]
    columns = (
        blocks.start[at],
        blocks.stop[at],
        blocks.kind[at],
        np.minimum(blocks.level[at], _DEEPEST),
        np.where((numbers > 0) & (numbers < _TOO_LONG), numbers, 0),
        np.minimum(blocks.quote[at], _DEEPEST),
        blocks.group[at],
        _dropped(scan, kept, at),
    )
    result = []
    for start, stop, kind, level, number, quote, group, dropped in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        text = data[start:stop].strip(_AROUND[kind])
        if text and (kind not in _SPACED or text.strip()):
            result.append(Kept(text, kind, level, number, quote, group, dropped))
    return result


def _dropped(scan: Scan, kept: npt.NDArray[np.bool_], at: npt.NDArray[np.int64]) -> Int32s:
    """For each kept block the lowest level of the items dropped since the one before."""
    end = at[-1] + 1
    is_dropped = (scan.blocks.kind[:end] == Kind.ITEM) & ~kept[:end]
    levels = np.where(is_dropped, scan.blocks.level[:end], np.int32(NO_ITEM))
    begins = np.concatenate(([0], at[:-1] + 1))
    return np.minimum.reduceat(levels, begins)


def still_open(items: list[Item], block: Kept) -> int:
    """How many of the open items, outermost first, the block is in.

    An item ends with its list, where an item of its level or an outer one begins, kept or not, and
    where its quotation ends. Headings are in none: their level does not say how many lists they are
    in, and lists around headings are layout (posts, results, cards).
    """
    if block.kind == Kind.HEADING:
        return 0
    end = min(block.level + (block.kind != Kind.ITEM), block.dropped)
    for count, item in enumerate(items):
        if item.group != block.group or item.level >= end or item.quote > block.quote:
            return count
    return len(items)
