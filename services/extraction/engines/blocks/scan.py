"""One pass over the bytes of a page: its elements, and its text in blocks.

The tokenizer is that of the HTML standard (13.2.5); a title, a text area or a frame without an end
tag is taken as one without content, so that a page that was cut off keeps its text. Every byte is
looked at a bounded number of times, and the depth of the tree is bounded: time and memory are
linear in the page's size, whatever it holds.
"""

from typing import Final

import numpy as np

from services.extraction.engines.blocks.attributes import END, FOUND, SELF_CLOSING, read_attributes
from services.extraction.engines.blocks.entities import References, references
from services.extraction.engines.blocks.layout import Blocks, Elements, Scan
from services.extraction.engines.blocks.rows import join_rows
from services.extraction.engines.blocks.tags import (
    APART,
    BLOCK,
    ID,
    RAW,
    SKIP,
    TAGS,
    UNKNOWN,
    VOID,
    UInt32s,
    flags,
    is_space,
    names,
    read_name,
)  # fmt: skip
from services.extraction.engines.blocks.text import append_code, append_text, end_block
from services.extraction.engines.blocks.tree import end_tag, leave_skipped, pop, start_tag
from services.extraction.engines.blocks.work import (
    B_ELEMENT,
    B_FROM,
    B_GROUP,
    B_KIND,
    B_LEVEL,
    B_LINK,
    B_NUMBER,
    B_QUOTE,
    B_START,
    B_STOP,
    B_TO,
    BREAKS,
    E_DEPTH,
    E_FIELDS,
    E_FIRST,
    E_HIDDEN,
    E_LAST,
    E_PARENT,
    E_TAG,
    E_TEMPLATE,
    E_TOKENS,
    ELEMENTS,
    ENDLESS,
    HEIGHT,
    LAST_ROW,
    OPEN,
    OUT,
    S_FIELDS,
    S_GROUP,
    S_ITEM,
    S_PRE,
    S_ROW,
    S_SKIP,
    S_TAG,
    S_TERM,
    SPACE,
    TITLE_START,
    TITLE_STOP,
    TOKENS,
    Bytes,
    Int32s,
    Int64s,
    Work,
    new_work,
)  # fmt: skip
from shared.text.compiled import leaf

_SCRIPT, _STYLE, _TITLE, _HEAD = (ID[n] for n in "script style title head".split())
_BR, _SVG, _MATH, _VIDEO, _AUDIO, _CANVAS = (
    ID[n] for n in "br svg math video audio canvas".split()
)
_TEMPLATE = ID["template"]
_PLAINTEXT, _XMP = ID["plaintext"], ID["xmp"]
#: Room in the stack's first entry: nothing is around the document.
_NOTHING: Final = -1


def scan_page(html: str) -> Scan:
    """The elements and blocks of a page; it never raises, whatever the page holds."""
    return scan_bytes(html.encode("utf-8", "replace"))


def scan_bytes(page: bytes) -> Scan:
    """As `scan_page`, of UTF-8."""
    data = np.frombuffer(page, np.uint8)
    work = new_work(len(data), TAGS, FOUND, page.count(b"<"))
    _scan(work, data, flags(), names(), references())
    count = join_rows(work)
    state = work.state
    return Scan(
        work.out[: state[OUT]].copy(),
        _elements(work),
        _blocks(work.blocks[:count].T),
        data[state[TITLE_START] : state[TITLE_STOP]],
    )


def _elements(work: Work) -> Elements:
    """The elements, each field by itself."""
    state = work.state
    rows = work.elements[: state[ELEMENTS]].T
    return Elements(
        tag=rows[E_TAG].astype(np.uint8),
        parent=rows[E_PARENT].copy(),
        depth=rows[E_DEPTH].copy(),
        first_block=rows[E_FIRST].copy(),
        last_block=rows[E_LAST].copy(),
        hidden=rows[E_HIDDEN].astype(np.uint8),
        token_bounds=np.append(rows[E_TOKENS], np.int32(state[TOKENS])),
        tokens=work.tokens[: state[TOKENS]].copy(),
        template=rows[E_TEMPLATE].astype(np.uint32),
    )


def _blocks(rows: Int32s) -> Blocks:
    """The blocks, each field by itself."""
    return Blocks(
        start=rows[B_START].copy(),
        stop=rows[B_STOP].copy(),
        source_start=rows[B_FROM].copy(),
        source_stop=rows[B_TO].copy(),
        element=rows[B_ELEMENT].copy(),
        kind=rows[B_KIND].astype(np.uint8),
        level=rows[B_LEVEL].astype(np.uint8),
        number=rows[B_NUMBER].copy(),
        quote=rows[B_QUOTE].astype(np.uint8),
        group=rows[B_GROUP].copy(),
        link=rows[B_LINK].copy(),
    )


@leaf
def _scan(work: Work, data: Bytes, flags: Int64s, names: UInt32s, table: References) -> None:
    _begin(work)
    at, end = int(np.int64(0)), len(data)  # a literal would compile what it is given to again
    while at < end:
        start = at
        while at < end and data[at] != 60:
            at += 1
        if at > start:
            _text(work, data, start, at, table)
        if at + 1 >= end:
            if at < end:
                _text(work, data, at, end, table)
            break
        byte = data[at + 1] | 0x20
        if 97 <= byte <= 122:
            at = _start(work, data, at + 1, end, flags, names, table)
        elif data[at + 1] == 47:
            at = _end(work, data, at + 2, end, flags, names)
        elif data[at + 1] == 33 or data[at + 1] == 63:
            at = _comment(data, at + 2, end, work.opened[_SVG] > 0)
        else:
            _text(work, data, at, at + 1, table)
            at += 1
    end_block(work)
    while work.state[HEIGHT] > 1:
        pop(work)


@leaf
def _begin(work: Work) -> None:
    """The document, in which nothing is open."""
    for field in range(S_FIELDS):
        work.stack[0, field] = 0
    for field in (S_ITEM, S_TERM, S_ROW, S_GROUP):
        work.stack[0, field] = _NOTHING
    for field in range(E_FIELDS):
        work.elements[0, field] = 0
    work.elements[0, E_PARENT] = _NOTHING
    work.state[ELEMENTS] = work.state[HEIGHT] = 1
    work.state[LAST_ROW] = _NOTHING


@leaf
def _text(work: Work, data: Bytes, at: int, end: int, table: References) -> None:
    """Characters between two tags."""
    state = work.state
    entry = work.stack[state[HEIGHT] - 1]
    if entry[S_SKIP]:
        return
    if entry[S_TAG] == _HEAD:  # text ends the head
        while at < end and is_space(data[at]):
            at += 1
        if at == end:
            return
        pop(work)
        entry = work.stack[state[HEIGHT] - 1]
    if entry[S_PRE]:
        append_code(work, data, at, end, table)
    else:
        append_text(work, data, at, end, table)


@leaf
def _start(  # noqa: C901 - what a tag is to the scan, one after the other
    work: Work, data: Bytes, first: int, end: int, flags: Int64s, names: UInt32s, table: References
) -> int:
    """A start tag; returns where the page goes on."""
    state = work.state
    tag, stop = read_name(data, first, end, names)
    read_attributes(data, stop, end, work.found, work.tokens, state[TOKENS])
    at, flag = int(work.found[END]), flags[tag]
    if work.stack[state[HEIGHT] - 1, S_SKIP]:
        if not _leaves(work, flag):
            if flag & SKIP and not work.found[SELF_CLOSING]:
                start_tag(work, tag, flags)
            if not flag & RAW or work.opened[_SVG]:  # in a drawing they hold tags
                return at
            return _raw(work, data, first, stop, at, end, tag)
        leave_skipped(work)
    if flag & BLOCK:
        end_block(work)
    elif flag & APART:
        state[SPACE] = 1
    if tag == _BR:
        _break(work)
    elif flag & RAW:
        return _raw(work, data, first, stop, at, end, tag)
    elif not flag & VOID and not (
        work.found[SELF_CLOSING] and (tag == _SVG or tag >= UNKNOWN and work.opened[_MATH])
    ):
        start_tag(work, tag, flags)
        if tag == _XMP or tag == _PLAINTEXT:
            stop = end if tag == _PLAINTEXT else _find_end(data, first, stop, at, end)
            append_code(work, data, at, stop, table)
            return stop
    return at


@leaf
def _leaves(work: Work, flag: int) -> bool:
    """Whether a tag cannot be inside what is skipped: a drawing or a choice that was not closed."""
    opened = work.opened
    blocks = opened[_VIDEO] or opened[_AUDIO] or opened[_CANVAS] or opened[_TEMPLATE]
    return flag & (BLOCK | SKIP | RAW) == BLOCK and not blocks


@leaf
def _break(work: Work) -> None:
    """A line break."""
    state = work.state
    if state[OPEN]:
        if work.stack[state[HEIGHT] - 1, S_PRE]:
            work.out[state[OUT]] = 10
            state[OUT] += 1
        else:
            state[BREAKS] += 1


@leaf
def _end(work: Work, data: Bytes, at: int, end: int, flags: Int64s, names: UInt32s) -> int:
    """An end tag; returns where the page goes on."""
    state = work.state
    if at >= end or not 97 <= data[at] | 0x20 <= 122:
        return _to_bracket(data, at, end)
    tag, at = read_name(data, at, end, names)
    if at < end and data[at] == 62:
        at += 1
    else:
        read_attributes(data, at, end, work.found, work.tokens, state[TOKENS])
        at = int(work.found[END])
    flag = flags[tag]
    if work.stack[state[HEIGHT] - 1, S_SKIP] and not flag & SKIP:
        if work.opened[tag] == 0 or not _leaves(work, flag):
            return at
        leave_skipped(work)
    if flag & BLOCK:
        end_block(work)
    elif flag & APART:
        state[SPACE] = 1
    if tag == _BR:
        _break(work)
    else:
        end_tag(work, tag, flags)
    return at


@leaf
def _raw(work: Work, data: Bytes, first: int, stop: int, at: int, end: int, tag: int) -> int:
    """Behind an element whose content is no text of the page; the first title is noted."""
    state = work.state
    bit = np.int64(1) << (tag % 64)
    if state[ENDLESS] & bit:
        return at
    if tag == _SCRIPT:
        close = _script_end(data, first, stop, at, end)
    else:
        close = _find_end(data, first, stop, at, end)
    if close == end:
        state[ENDLESS] |= bit
        return end if tag == _SCRIPT or tag == _STYLE else at
    if tag == _TITLE and state[TITLE_STOP] == 0:
        state[TITLE_START], state[TITLE_STOP] = at, close
    return _to_bracket(data, close, end)


@leaf
def _find_end(data: Bytes, first: int, stop: int, at: int, end: int) -> int:
    """Where the end tag of the element named `data[first:stop]` stands; `end` if nowhere."""
    last = end - (stop - first) - 2
    while at <= last:
        if data[at] == 60 and data[at + 1] == 47 and _named(data, first, stop, at + 2, end):
            return at
        at += 1
    return end


@leaf
def _named(data: Bytes, first: int, stop: int, at: int, end: int) -> bool:
    """Whether a tag's name that begins here is `data[first:stop]`, in whatever case."""
    after = at + stop - first
    if after > end:
        return False
    for i in range(stop - first):
        if data[at + i] | 0x20 != data[first + i] | 0x20:
            return False
    return after == end or data[after] == 47 or data[after] == 62 or is_space(data[after])


@leaf
def _script_end(data: Bytes, first: int, stop: int, at: int, end: int) -> int:
    """As `_find_end`, of a script: one inside a comment may hold another (13.2.5.20 to 31)."""
    comment = inner = False
    while at + 2 < end:
        byte = data[at]
        if byte == 60 and data[at + 1] == 47:
            if _named(data, first, stop, at + 2, end):
                if not inner:
                    return at
                inner = False
        elif byte == 60 and comment:
            inner = inner or _named(data, first, stop, at + 1, end)
        elif byte == 60 and data[at + 1] == 33 and data[at + 2] == 45:
            if at + 3 < end and data[at + 3] == 45:
                comment = True
                at += 1  # its two signs may be those of its end
        elif byte == 45 and data[at + 1] == 45 and data[at + 2] == 62:
            comment = inner = False
        at += 1
    return end


@leaf
def _comment(data: Bytes, at: int, end: int, drawing: bool) -> int:  # noqa: FBT001 - compiled
    """Behind a comment, a declaration or a processing instruction; `at` is behind its "<!"."""
    if not (at + 1 < end and data[at] == 45 and data[at + 1] == 45):
        if drawing and at < end and data[at] == 91:  # "<![CDATA[ ... ]]>"
            while at + 2 < end and not (
                data[at] == 93 and data[at + 1] == 93 and data[at + 2] == 62
            ):
                at += 1
        return _to_bracket(data, at, end)
    at += 2
    if at < end and data[at] == 62:
        return at + 1
    if at + 1 < end and data[at] == 45 and data[at + 1] == 62:
        return at + 2
    while at + 2 < end:
        if data[at] == 45 and data[at + 1] == 45:
            if data[at + 2] == 62:
                return at + 3
            if data[at + 2] == 33 and at + 3 < end and data[at + 3] == 62:
                return at + 4
        at += 1
    return end


@leaf
def _to_bracket(data: Bytes, at: int, end: int) -> int:
    """Behind the next ">"."""
    while at < end and data[at] != 62:
        at += 1
    return min(at + 1, end)
