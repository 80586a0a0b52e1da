"""Markdown as markdown-it reads it (CommonMark, GFM's tables and struck-out text), as blocks."""

from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Read(NamedTuple):
    """A block of the parsed document."""

    #: "paragraph", "item" (the first paragraph of one), "term" (all bold), "heading", "code", "row",
    #: or the name of markdown-it for what no text should become.
    kind: str
    text: str
    quote: int = 0
    #: Of a heading 1 to 6; of others, how many items they are in.
    level: int = 0
    #: Of an item of an ordered list.
    number: int = 0


def read(markdown: str) -> list[Read]:
    reader = _Reader()
    for token in _PARSER.parse(markdown):
        reader.take(token)
    return reader.blocks


class _Reader:
    """Where in the document the parser is, and the blocks so far."""

    def __init__(self) -> None:
        self.blocks: list[Read] = []
        self.quote = self.items = self.number = 0
        self.kind = "paragraph"
        self.cells: list[str] | None = None

    def take(self, token: Token) -> None:
        if token.type.startswith("blockquote"):
            self.quote += token.nesting
        elif token.type.startswith("list_item"):
            self.items += token.nesting
            self.number = int(token.info or 0)
            self.kind = "item" if token.nesting > 0 else "paragraph"
        elif token.type == "tr_open":
            self.cells = []
        elif token.type == "tr_close":
            self._add("row", "\t".join(self.cells).rstrip("\t"))
            self.cells = None
        elif token.type == "inline":
            is_bold, text = _inline(token)
            self._take_text(text, is_bold=is_bold)
        elif token.type == "heading_open":
            self.kind = token.tag
        elif token.type in {"fence", "html_block", "hr", "code_block"}:
            self._add("code" if token.type == "fence" else token.type, token.content)

    def _take_text(self, text: str, *, is_bold: bool) -> None:
        if self.cells is not None:
            self.cells.append(text)
        elif self.kind.startswith("h"):
            self.blocks.append(Read("heading", text, self.quote, int(self.kind[1:])))
        elif self.kind == "item":
            self.blocks.append(Read("item", text, self.quote, self.items, self.number))
        else:
            self._add("term" if is_bold else "paragraph", text)
        if self.cells is None:
            self.kind = "paragraph"

    def _add(self, kind: str, text: str) -> None:
        self.blocks.append(Read(kind, text, self.quote, self.items))


def _inline(token: Token) -> tuple[bool, str]:
    """Whether all of it is bold, and its text with the names of what is more than text."""
    children = [c for c in token.children or [] if c.type != "text" or c.content]
    types = [child.type for child in children]
    is_bold = len(types) > 2 and types[0] == "strong_open" and types[-1] == "strong_close"
    if is_bold:
        children = children[1:-1]
    return is_bold, "".join(_text(child) for child in children)


def _text(child: Token) -> str:
    if child.type == "hardbreak":
        return "\n"
    return child.content if child.type == "text" else f"<{child.type} {child.content}>"
