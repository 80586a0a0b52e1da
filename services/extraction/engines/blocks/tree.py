"""The stack of open elements: which tags open and close what.

The rules are those of the HTML standard's tree construction (13.2.6) as far as they move text:
implied end tags, scopes, tables, misnested formatting. Not followed: the head and body that it
makes up, moving text out of tables, and copies of formatting elements.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from services.extraction.engines.blocks.attributes import (
    HAS_LINK,
    HAS_NUMBER,
    HIDDEN,
    NUMBER,
    SHOWN,
    TEMPLATE,
)
from services.extraction.engines.blocks.attributes import TOKENS as FOUND_TOKENS
from services.extraction.engines.blocks.tags import (
    BLOCK,
    CLOSES_P,
    FORMATTING,
    HEAD,
    ID,
    SCOPE,
    SKIP,
    SPECIAL,
)  # fmt: skip
from services.extraction.engines.blocks.work import (
    BLOCKS,
    DEPTH,
    E_COUNT,
    E_DEPTH,
    E_FIRST,
    E_HIDDEN,
    E_LAST,
    E_PARENT,
    E_TAG,
    E_TEMPLATE,
    E_TOKENS,
    E_USED,
    ELEMENTS,
    HEIGHT,
    LOW,
    OPEN,
    S_CELL,
    S_ELEMENT,
    S_FIELDS,
    S_GROUP,
    S_HEADING,
    S_ITEM,
    S_LINK,
    S_LISTS,
    S_PRE,
    S_QUOTES,
    S_ROW,
    S_SKIP,
    S_TAG,
    S_TERM,
    TAGGED,
    TOKENS,
    Work,
)  # fmt: skip
from shared.text.compiled import leaf

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

_HTML, _HEAD, _BODY = ID["html"], ID["head"], ID["body"]
_H1, _H6, _P, _LI, _DD, _DT = ID["h1"], ID["h6"], ID["p"], ID["li"], ID["dd"], ID["dt"]
_UL, _OL, _DL, _MENU, _DIR = ID["ul"], ID["ol"], ID["dl"], ID["menu"], ID["dir"]
_TABLE, _CAPTION, _COLGROUP = ID["table"], ID["caption"], ID["colgroup"]
_THEAD, _TBODY, _TFOOT, _TR, _TD, _TH = (ID[n] for n in "thead tbody tfoot tr td th".split())
_A, _PRE, _LISTING, _BLOCKQUOTE, _DIV = (ID[n] for n in "a pre listing blockquote div".split())
_BUTTON = ID["button"]
_TEMPLATE = ID["template"]
#: End tags of unknown elements match the last open one of the same hash.
_CLOSED: Final = 0


@leaf
def push(work: Work, tag: int, flags: int) -> None:
    """Open an element; the attributes that were found last are its own."""
    state, stack = work.state, work.stack
    if state[HEIGHT] >= DEPTH:
        pop(work)
    above, top, element = state[HEIGHT] - 1, state[HEIGHT], state[ELEMENTS]
    for field in range(S_FIELDS):
        stack[top, field] = stack[above, field]
    entry, row, found = stack[top], work.elements[element], work.found
    parent = entry[S_ELEMENT]
    entry[S_ELEMENT], entry[S_TAG] = element, tag
    row[E_TAG], row[E_PARENT], row[E_DEPTH] = tag, parent, top
    row[E_FIRST], row[E_LAST] = state[BLOCKS], state[BLOCKS]
    row[E_HIDDEN], row[E_TOKENS] = found[HIDDEN], state[TOKENS]
    row[E_TEMPLATE] = np.int32(np.uint32(np.uint32(found[TEMPLATE]) * 31 + tag))
    row[E_COUNT], row[E_USED] = 0, 0
    state[TOKENS] += found[FOUND_TOKENS]
    state[ELEMENTS] += 1
    state[HEIGHT] += 1
    work.opened[tag] += 1
    if tag == _A or not flags & FORMATTING:  # bold letters may be part of a word
        state[TAGGED] |= 2
    _enter(work, entry, tag, element, flags)


@leaf
def _enter(work: Work, entry: Int32s, tag: int, element: int, flags: int) -> None:
    """What holds inside an element beside what holds around it."""
    if flags & SKIP and not (tag == _TEMPLATE and work.found[SHOWN]):
        entry[S_SKIP] += 1
    if tag == _A:
        entry[S_LINK] = work.found[HAS_LINK]
    elif tag == _PRE or tag == _LISTING:
        entry[S_PRE] = 1
    elif _H1 <= tag <= _H6:
        entry[S_HEADING] = tag - _H1 + 1
    elif _TABLE <= tag <= _TH:
        _enter_table(work, entry, tag, element)
    elif tag == _BLOCKQUOTE:
        entry[S_QUOTES] += 1
        entry[S_ITEM] = entry[S_TERM] = -1
    elif tag == _UL or tag == _OL or tag == _DL or tag == _MENU or tag == _DIR:
        _enter_list(work, entry, tag, element)
    elif tag == _LI:
        _number(work, entry)
        entry[S_ITEM], entry[S_TERM] = element, -1
    elif tag == _DT or tag == _DD:
        entry[S_TERM] = element if tag == _DT else -1


@leaf
def _enter_list(work: Work, entry: Int32s, tag: int, element: int) -> None:
    """What holds inside a list."""
    found = work.found
    if tag != _DL:
        entry[S_LISTS] += 1
    entry[S_ITEM] = entry[S_TERM] = -1
    if entry[S_GROUP] < 0:
        entry[S_GROUP] = element
    work.elements[element, E_COUNT] = found[NUMBER] if found[HAS_NUMBER] else 1


@leaf
def _enter_table(work: Work, entry: Int32s, tag: int, element: int) -> None:
    """What holds inside a table, its rows and its cells."""
    if tag == _TABLE:
        entry[S_GROUP], entry[S_ROW], entry[S_CELL] = element, -1, 0
        entry[S_ITEM] = entry[S_TERM] = -1
        entry[S_LISTS] = entry[S_HEADING] = 0
    elif tag == _TR:
        entry[S_ROW], entry[S_CELL] = element, 0
    elif (tag == _TD or tag == _TH) and entry[S_ROW] >= 0:
        row = work.elements[entry[S_ROW]]
        row[E_COUNT] += 1
        entry[S_CELL] = row[E_COUNT]


@leaf
def _number(work: Work, entry: Int32s) -> None:
    """The number of a list item, counted in its list, if that is ordered."""
    elements, found = work.elements, work.found
    element = entry[S_ELEMENT]
    around = elements[element, E_PARENT]
    if elements[around, E_TAG] == _OL:
        if found[HAS_NUMBER]:
            elements[around, E_COUNT] = found[NUMBER]
        elements[element, E_COUNT] = elements[around, E_COUNT]
        elements[around, E_COUNT] += 1


@leaf
def pop(work: Work) -> None:
    """Close the innermost element."""
    state = work.state
    state[HEIGHT] -= 1
    entry = work.stack[state[HEIGHT]]
    work.elements[entry[S_ELEMENT], E_LAST] = state[BLOCKS] + state[OPEN]
    work.opened[entry[S_TAG]] -= 1
    state[LOW] = min(state[LOW], state[HEIGHT])
    state[TAGGED] |= 1


@leaf
def pop_to(work: Work, height: int) -> None:
    """Close elements until so many are left, the document at least."""
    while work.state[HEIGHT] > max(height, 1):
        pop(work)


@leaf
def close_paragraph(work: Work, flags: Int64s) -> None:
    """Close an open paragraph that is not outside a table, a button or the like."""
    if work.opened[_P] == 0:
        return
    for height in range(work.state[HEIGHT] - 1, 0, -1):
        tag = work.stack[height, S_TAG]
        if tag == _P:
            pop_to(work, height)
            return
        if flags[tag] & SCOPE or tag == _BUTTON:
            return


@leaf
def _close_item(work: Work, tag: int, flags: Int64s) -> None:
    """The start of an item ends the one before it, of a list or a list of definitions."""
    other = _DT if tag == _DD else _DD if tag == _DT else tag
    if work.opened[tag] == 0 and work.opened[other] == 0:
        return
    for height in range(work.state[HEIGHT] - 1, 0, -1):
        here = work.stack[height, S_TAG]
        if here == tag or here == other:
            pop_to(work, height)
            return
        if flags[here] & SPECIAL and here != _DIV:
            return


@leaf
def _back_to_table(work: Work, tag: int) -> bool:
    """Before a part of a table: close what is open inside its place; False outside tables."""
    if work.opened[_TABLE] == 0:
        return False
    rows = tag == _TR
    cells = tag == _TD or tag == _TH
    for height in range(work.state[HEIGHT] - 1, 0, -1):
        here = work.stack[height, S_TAG]
        section = here == _THEAD or here == _TBODY or here == _TFOOT
        if here == _TABLE or cells and here == _TR or (rows or cells) and section:
            pop_to(work, height + 1)
            return True
    return False


@leaf
def start_tag(work: Work, tag: int, flags: Int64s) -> None:
    """A start tag with content: close what it ends, open its element."""
    state, stack = work.state, work.stack
    flag = flags[tag]
    if (tag == _HTML or tag == _BODY) and work.opened[tag]:
        return
    if work.opened[_HEAD]:
        _leave_head(work, tag, flag)
    if _TABLE < tag <= _TH:
        if not _back_to_table(work, tag):
            return
        if (tag == _TD or tag == _TH) and stack[state[HEIGHT] - 1, S_TAG] != _TR:
            _implied_row(work, flags)
    elif tag == _LI or tag == _DD or tag == _DT:
        _close_item(work, tag, flags)
        close_paragraph(work, flags)
    elif flag & CLOSES_P:
        close_paragraph(work, flags)
        if _H1 <= tag <= _H6 and _H1 <= stack[state[HEIGHT] - 1, S_TAG] <= _H6:
            pop(work)
    elif tag == _A and work.opened[_A]:
        end_tag(work, tag, flags)
    push(work, tag, flag)


@leaf
def _leave_head(work: Work, tag: int, flag: int) -> None:
    """A tag that belongs to the body ends the head."""
    stack = work.stack
    if tag == _BODY:
        pop_to(work, 2 if stack[1, S_TAG] == _HTML else 1)
    elif not flag & HEAD and stack[work.state[HEIGHT] - 1, S_TAG] == _HEAD:
        pop(work)


@leaf
def _implied_row(work: Work, flags: Int64s) -> None:
    """A cell without its row: open one, without the cell's attributes."""
    found = work.found
    hidden, template, tokens = found[HIDDEN], found[TEMPLATE], found[FOUND_TOKENS]
    found[HIDDEN] = found[TEMPLATE] = found[FOUND_TOKENS] = 0
    # a literal would compile `push` again
    push(work, int(np.int64(_TR)), flags[_TR])
    found[HIDDEN], found[TEMPLATE], found[FOUND_TOKENS] = hidden, template, tokens


@leaf
def end_tag(work: Work, tag: int, flags: Int64s) -> None:
    """An end tag: close its element with all inside, or nothing if it is out of reach."""
    heading = _H1 <= tag <= _H6
    if tag == _BODY or tag == _HTML or work.opened[tag] == 0 and not heading:
        return
    formatting, table = flags[tag] & FORMATTING, _TABLE <= tag <= _TH
    across = False
    for height in range(work.state[HEIGHT] - 1, 0, -1):
        here = work.stack[height, S_TAG]
        if here == tag or heading and _H1 <= here <= _H6:
            if across and formatting:
                _end_formatting(work, height)
            else:
                pop_to(work, height)
            return
        if flags[here] & SCOPE and not (table and _TABLE < here <= _TH):
            return
        if tag == _LI and (here == _UL or here == _OL):
            return
        if flags[here] & SPECIAL:
            if not formatting and not flags[tag] & BLOCK:
                return
            across = True


@leaf
def _end_formatting(work: Work, height: int) -> None:
    """Formatting that ends inside a block that it began outside: the block goes on without it."""
    stack, opened = work.stack, work.opened
    tag = stack[height, S_TAG]
    opened[tag] -= 1
    stack[height, S_TAG] = _CLOSED
    opened[_CLOSED] += 1
    if tag == _A:
        for above in range(height, work.state[HEIGHT]):
            stack[above, S_LINK] = 0


@leaf
def leave_skipped(work: Work) -> None:
    """Close elements up to the outermost skipped one."""
    state = work.state
    while state[HEIGHT] > 1 and work.stack[state[HEIGHT] - 1, S_SKIP] > 0:
        pop(work)
