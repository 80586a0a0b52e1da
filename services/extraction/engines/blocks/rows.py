"""The rows of tables: cells of a line each become one block, with tabs between."""

from typing import Final

import numpy as np

from services.extraction.engines.blocks.layout import Kind
from services.extraction.engines.blocks.work import (
    B_CELL,
    B_ELEMENT,
    B_KIND,
    B_LINK,
    B_ROW,
    B_START,
    B_STOP,
    B_TO,
    BLOCKS,
    E_FIRST,
    E_LAST,
    ELEMENTS,
    Int32s,
    Work,
)  # fmt: skip
from shared.text.compiled import leaf

#: A longer row lays out a page; its cells are blocks of their own. In bytes.
_LONGEST: Final = 1000
_PARAGRAPH, _ROW = int(Kind.PARAGRAPH), int(Kind.ROW)


@leaf
def join_rows(work: Work) -> int:
    """Join the blocks of each row that is one of data; returns how many blocks are left.

    That is a row of at least two cells with text, of one paragraph each and no more than a few
    lines in all.
    """
    blocks, count = work.blocks, work.state[BLOCKS]
    # until the end, B_CELL of the blocks that were passed is where they are now
    at = place = int(np.int64(0))  # a literal would compile the functions below again
    while at < count:
        stop = _row_end(blocks, at, count, work.elements)
        for field in range(B_CELL):
            blocks[place, field] = blocks[at, field]
        cell = blocks[at, B_CELL]
        if stop > at + 1:
            _join(blocks, place, at, stop, cell)
        for old in range(at, stop):
            blocks[old, B_CELL] = place
        place += 1
        at = stop
    _renumber(work, place)
    return place


@leaf
def _row_end(blocks: Int32s, first: int, count: int, elements: Int32s) -> int:
    """Behind the last block of the row that begins here, if it is one of data; else the next."""
    row = blocks[first, B_ROW]
    if row < 0 or elements[row, E_FIRST] != first:
        return first + 1
    stop = int(elements[row, E_LAST])
    if stop > count or blocks[stop - 1, B_STOP] - blocks[first, B_START] > _LONGEST:
        return first + 1
    for i in range(first, stop):
        if blocks[i, B_ROW] != row or blocks[i, B_KIND] != _PARAGRAPH:
            return first + 1
        if i > first and blocks[i, B_CELL] == blocks[i - 1, B_CELL]:
            return first + 1
    return stop


@leaf
def _join(blocks: Int32s, place: int, first: int, stop: int, cell: int) -> None:
    """One block of the blocks `first:stop`; tabs for empty cells before them are in the text."""
    row = blocks[place]
    link = row[B_LINK]
    for i in range(first + 1, stop):
        link += blocks[i, B_LINK]
    row[B_START] -= cell - 1
    row[B_STOP], row[B_TO] = blocks[stop - 1, B_STOP], blocks[stop - 1, B_TO]
    row[B_KIND], row[B_ELEMENT], row[B_LINK] = _ROW, row[B_ROW], link


@leaf
def _renumber(work: Work, count: int) -> None:
    """Elements name the blocks that are left."""
    elements, blocks, before = work.elements, work.blocks, work.state[BLOCKS]
    for i in range(work.state[ELEMENTS]):
        first, last = elements[i, E_FIRST], elements[i, E_LAST]
        elements[i, E_LAST] = blocks[last - 1, B_CELL] + 1 if last > first else 0
        elements[i, E_FIRST] = blocks[first, B_CELL] if first < before else count
        if last <= first:
            elements[i, E_LAST] = elements[i, E_FIRST]
