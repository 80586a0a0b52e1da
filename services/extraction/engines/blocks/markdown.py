"""Kept blocks as Markdown: CommonMark, and GFM's tables.

A list item or quotation is a container: each of its lines has an indent or a ">" before it.
CommonMark has no list of terms; a term is a paragraph in bold. A table's first row is its head, as
GFM demands one; a table of one column is lines of text.
"""

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from services.extraction.engines.blocks.escape import cell, escape, heading
from services.extraction.engines.blocks.kept import NO_ITEM, Item, Kept, still_open
from services.extraction.engines.blocks.layout import Kind

_QUOTE: Final = "> "
#: A line's end that stays one.
_BREAK: Final = "  \n"
#: After a bullet, after a number. Of two lists in a row the second has the other mark.
_BULLETS: Final = ("- ", "* ")
_NUMBERED: Final = (". ", ") ")
_AROUND_FEEDS: Final = re.compile("[ \t]*\n[ \t]*")
_BLANK_LINES: Final = re.compile("\n{2,}")
_FENCES: Final = re.compile("`{3,}")


def to_markdown(blocks: list[Kept]) -> str:
    """The blocks as Markdown, without a line feed at its end."""
    parts: list[str] = []
    items: list[Item] = []
    around: list[str] = []
    last: Kept | None = None
    for run in _runs(blocks):
        block = run[0]
        count = still_open(items, block)
        closed = items[count] if count < len(items) else None
        sibling = closed if closed and closed.quote == block.quote else None
        del items[count:]
        outer = _containers(items, block.quote)
        if last:
            tight = _is_tight(last, block, sibling)
            parts.append("\n" if tight else f"\n{_common(around, outer)}\n")
        mark, around = "", outer
        if block.kind == Kind.ITEM:
            mark = _mark(block, sibling)
            items.append(Item(block.level, block.number, block.quote, block.group, mark))
            around = _containers(items, block.quote)
        parts += "".join(outer), mark, _indented(_body(run), "".join(around))
        last = run[-1]
    return "".join(parts)


def _runs(blocks: list[Kept]) -> Iterator[list[Kept]]:
    """The rows of a table together, other blocks alone."""
    run: list[Kept] = []
    for block in blocks:
        if run and not _is_next_row(run[-1], block):
            yield run
            run = []
        run.append(block)
    if run:
        yield run


def _is_next_row(last: Kept, block: Kept) -> bool:
    return (
        block.kind == last.kind == Kind.ROW
        and (block.group, block.level, block.quote) == (last.group, last.level, last.quote)
        and block.dropped == NO_ITEM
    )


def _is_tight(last: Kept, block: Kept, sibling: Item | None) -> bool:
    """Whether an item follows one without a blank line.

    An inner list needs one if it does not begin with 1: within a paragraph, which the outer item's
    text is until there is a blank line, other numbers are text.
    """
    return (
        block.kind == last.kind == Kind.ITEM
        and (block.group, block.quote) == (last.group, last.quote)
        and (sibling is not None or block.number <= 1)
    )


def _mark(block: Kept, sibling: Item | None) -> str:
    """What an item begins with; `sibling` is the item that the list before it ended with."""
    endings = _NUMBERED if block.number else _BULLETS
    ending = endings[0]
    if sibling and bool(sibling.number) == bool(block.number):
        follows = block.number == 0 or block.number == sibling.number + 1
        is_other = sibling.mark.endswith(endings[1])
        ending = endings[is_other == (follows and sibling.group == block.group)]
    return f"{block.number}{ending}" if block.number else ending


def _containers(items: list[Item], quote: int) -> list[str]:
    """What a line has before it for each quotation and item around it, outermost first."""
    if not items:
        return [_QUOTE] * quote
    result: list[str] = []
    quotes = 0
    for item in items:
        result += [_QUOTE] * (item.quote - quotes)
        result.append(" " * len(item.mark))
        quotes = item.quote
    return result + [_QUOTE] * (quote - quotes)


def _common(before: list[str], after: list[str]) -> str:
    """What a blank line between two blocks has, so that their common quotations go on."""
    if not before or not after:
        return ""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))
    return "".join(container for container, _ in pairs).rstrip()


def _indented(text: str, before: str) -> str:
    """Text with its containers before each line but the first, which has its mark."""
    if not before or "\n" not in text:
        return text
    bare = before.rstrip()
    first, *others = text.split("\n")
    return "\n".join([first, *(before + line if line else bare for line in others)])


def _body(run: list[Kept]) -> str:
    """Blocks without their containers."""
    block = run[0]
    if block.kind == Kind.ROW:
        return _table([_text(row).replace("\n", " ").split("\t") for row in run])
    text = _text(block)
    if block.kind == Kind.CODE:
        fence = "`" * (1 + max(map(len, _FENCES.findall(text)), default=2))
        return f"{fence}\n{text}\n{fence}"
    if block.kind == Kind.HEADING:
        level = min(max(block.level, 1), 6)
        text = _AROUND_FEEDS.sub(" ", text) if "\n" in text else text
        return f"{'#' * level} {heading(text)}"
    if "\n" in text:
        paragraphs = _BLANK_LINES.split(_AROUND_FEEDS.sub("\n", text))
        return "\n\n".join(_paragraph(paragraph, block.kind) for paragraph in paragraphs)
    return _paragraph(text, block.kind)


def _text(block: Kept) -> str:
    return block.text.decode(errors="replace")  # a page may hold bytes that are no UTF-8


def _paragraph(text: str, kind: int) -> str:
    # Bold cannot begin or end with white space of any script.
    is_bold = kind == Kind.TERM and not (text[0].isspace() or text[-1].isspace())
    lines = escape(text, bold=is_bold).replace("\n", _BREAK)
    return f"**{lines}**" if is_bold else lines


def _table(rows: list[list[str]]) -> str:
    width = max(map(len, rows))
    if width == 1:
        return _BREAK.join(escape(row[0]) for row in rows)
    lines = [f"| {' | '.join(map(cell, row + [''] * (width - len(row))))} |" for row in rows]
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)
