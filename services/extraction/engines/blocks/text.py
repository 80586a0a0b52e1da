"""How the characters of a page become the text of its blocks."""

from services.extraction.engines.blocks.entities import References, append_utf8, reference
from services.extraction.engines.blocks.layout import Kind
from services.extraction.engines.blocks.tags import is_space
from services.extraction.engines.blocks.work import (
    B_CELL,
    B_ELEMENT,
    B_FROM,
    B_GROUP,
    B_KIND,
    B_LEVEL,
    B_LINK,
    B_NUMBER,
    B_QUOTE,
    B_ROW,
    B_START,
    B_STOP,
    B_TO,
    BLOCKS,
    BREAKS,
    E_COUNT,
    E_DEPTH,
    E_PARENT,
    E_USED,
    FIRST_ELEMENT,
    FIRST_HEIGHT,
    HEIGHT,
    LAST_CELL,
    LAST_ROW,
    LOW,
    OPEN,
    OUT,
    S_CELL,
    S_ELEMENT,
    S_GROUP,
    S_HEADING,
    S_ITEM,
    S_LINK,
    S_LISTS,
    S_PRE,
    S_QUOTES,
    S_ROW,
    S_TERM,
    SPACE,
    TAGGED,
    Bytes,
    Int32s,
    Work,
)  # fmt: skip
from shared.text.compiled import leaf

_CODE, _HEADING, _ITEM, _TERM, _PARAGRAPH = (
    int(k) for k in (Kind.CODE, Kind.HEADING, Kind.ITEM, Kind.TERM, Kind.PARAGRAPH)
)


@leaf
def end_block(work: Work) -> None:
    """A boundary: what was written since the last one is a block, if it is anything."""
    state = work.state
    state[SPACE] = state[BREAKS] = state[TAGGED] = 0
    if not state[OPEN]:
        return
    state[OPEN] = 0
    block = work.blocks[state[BLOCKS]]
    stop = state[OUT]
    while stop > block[B_START] and (work.out[stop - 1] == 10 or work.out[stop - 1] == 32):
        stop -= 1  # the end of preformatted text
    state[OUT] = block[B_STOP] = stop
    height = min(state[FIRST_HEIGHT], state[LOW])
    element = state[FIRST_ELEMENT]
    while work.elements[element, E_DEPTH] >= height and element > 0:
        element = work.elements[element, E_PARENT]
    block[B_ELEMENT] = element
    state[BLOCKS] += 1


@leaf
def _begin_block(work: Work, at: int) -> None:
    """The first character of a block: where it is, and what it is."""
    state = work.state
    entry = work.stack[state[HEIGHT] - 1]
    block = work.blocks[state[BLOCKS]]
    row, cell = entry[S_ROW], entry[S_CELL]
    if row >= 0:  # a tab for each cell since the last text, for those without text as well
        for _ in range(cell - (state[LAST_CELL] if row == state[LAST_ROW] else 1)):
            work.out[state[OUT]] = 9
            state[OUT] += 1
    state[LAST_ROW], state[LAST_CELL] = row, cell
    block[B_START], block[B_FROM], block[B_LINK] = state[OUT], at, 0
    block[B_QUOTE], block[B_GROUP] = min(entry[S_QUOTES], 255), entry[S_GROUP]
    block[B_ROW], block[B_CELL], block[B_NUMBER] = row, cell, 0
    block[B_LEVEL] = min(entry[S_LISTS], 255)
    _kind(work, entry, block)
    state[OPEN] = 1
    state[FIRST_ELEMENT] = entry[S_ELEMENT]
    state[FIRST_HEIGHT] = state[LOW] = state[HEIGHT]


@leaf
def _kind(work: Work, entry: Int32s, block: Int32s) -> None:
    """What a block is by the elements around it."""
    item, term = entry[S_ITEM], entry[S_TERM]
    first = item >= 0 and work.elements[item, E_USED] == 0
    if first:
        work.elements[item, E_USED] = 1
    if entry[S_PRE]:
        block[B_KIND] = _CODE
    elif entry[S_HEADING]:
        block[B_KIND], block[B_LEVEL] = _HEADING, entry[S_HEADING]
    elif first:
        block[B_KIND], block[B_NUMBER] = _ITEM, work.elements[item, E_COUNT]
    elif term >= 0 and work.elements[term, E_USED] == 0:
        work.elements[term, E_USED] = 1
        block[B_KIND] = _TERM
    else:
        block[B_KIND] = _PARAGRAPH


@leaf
def _is_word(byte: int) -> bool:
    """Whether a byte is an ASCII letter or digit, or part of a character beyond ASCII."""
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122 or byte >= 128


@leaf
def _before(work: Work, first: int, at: int) -> None:
    """What stands between the last character and the next one, whose first byte is given."""
    state, out = work.state, work.out
    if state[OPEN] and state[BREAKS] > 1:
        tagged = state[TAGGED]
        end_block(work)
        state[TAGGED] = tagged
    if not state[OPEN]:
        _begin_block(work, at)
    elif state[BREAKS]:
        out[state[OUT]] = 10
        state[OUT] += 1
    elif state[SPACE] or (
        # two elements side by side are apart, though no space is between them
        state[TAGGED] == 3 and _is_word(first) and _is_word(out[state[OUT] - 1])
    ):
        out[state[OUT]] = 32
        state[OUT] += 1
    state[SPACE] = state[BREAKS] = state[TAGGED] = 0


@leaf
def _put(work: Work, code: int, at: int, source: int) -> None:
    """Append the character of a reference; `source` is the end of the reference."""
    state = work.state
    if code == 0xA0 or code < 128 and is_space(code):
        state[SPACE] = 1
        return
    if code == 0xAD or code == 0x200B or code == 0xFEFF or code < 32 or 127 <= code < 160:
        return
    _before(work, min(128, code), at)
    before = state[OUT]
    state[OUT] = append_utf8(work.out, before, code)
    block = work.blocks[state[BLOCKS]]
    block[B_TO] = source
    if work.stack[state[HEIGHT] - 1, S_LINK]:
        block[B_LINK] += state[OUT] - before


@leaf
def append_text(work: Work, data: Bytes, at: int, end: int, table: References) -> None:
    """Append a run of characters between two tags, white space collapsed."""
    state, out = work.state, work.out
    while at < end:
        byte = data[at]
        if byte == 38:
            one, two, size = reference(data, at, end, table)
            if size:
                _put(work, one, at, at + size)
                if two:
                    _put(work, two, at, at + size)
                at += size
                continue
        skipped = _white(data, at, end)
        if skipped:
            if skipped > 0:
                state[SPACE] = 1
            at += abs(skipped)
            continue
        _before(work, byte, at)
        start, place = at, state[OUT]
        while at < end:  # as far as nothing special comes
            out[place] = data[at]
            place += 1
            at += 1
            if at < end and (data[at] <= 38 or data[at] >= 0xC2) and _stops(data, at, end):
                break
        block = work.blocks[state[BLOCKS]]
        block[B_TO] = at
        if work.stack[state[HEIGHT] - 1, S_LINK]:
            block[B_LINK] += at - start
        state[OUT] = place


@leaf
def _stops(data: Bytes, at: int, end: int) -> bool:
    """Whether a plain run of characters ends here."""
    byte = data[at]
    return byte == 38 or byte <= 32 or byte == 127 or byte >= 0xC2 and _white(data, at, end) != 0


@leaf
def _white(data: Bytes, at: int, end: int) -> int:
    """Bytes of the white space here; negative for what is left out altogether; 0 for the rest."""
    byte = data[at]
    if byte <= 32:
        return 1 if is_space(byte) else -1
    if byte == 127:
        return -1
    if byte == 0xC2 and at + 1 < end:
        # no-break space; soft hyphen and controls
        return (
            2 if data[at + 1] == 0xA0 else -2 if data[at + 1] < 0xA0 or data[at + 1] == 0xAD else 0
        )
    if byte == 0xE2 and at + 2 < end and data[at + 1] == 0x80 and data[at + 2] == 0x8B:
        return -3  # zero-width space
    if byte == 0xE3 and at + 2 < end and data[at + 1] == 0x80 and data[at + 2] == 0x80:
        return 3  # ideographic space
    if byte == 0xEF and at + 2 < end and data[at + 1] == 0xBB and data[at + 2] == 0xBF:
        return -3  # byte order mark
    return 0


@leaf
def append_code(work: Work, data: Bytes, at: int, end: int, table: References) -> None:
    """Append a run of preformatted characters as they are."""
    state, out = work.state, work.out
    while at < end:
        if not state[OPEN]:
            if is_space(data[at]):  # blank lines before the first character
                at += 1
                continue
            _begin_block(work, at)
        one, two, size = 0, 0, 0
        if data[at] == 38:
            one, two, size = reference(data, at, end, table)
        before = state[OUT]
        if size:
            state[OUT] = append_utf8(out, before, one) if one else before
            if two:
                state[OUT] = append_utf8(out, state[OUT], two)
        else:
            size = 1
            if data[at] != 13:
                out[before] = data[at]
                state[OUT] += 1
        at += size
        block = work.blocks[state[BLOCKS]]
        block[B_TO] = at
        if work.stack[state[HEIGHT] - 1, S_LINK]:
            block[B_LINK] += state[OUT] - before
    state[SPACE] = state[BREAKS] = state[TAGGED] = 0
