"""Characters of a page to a marked tree without scripts, once.

Derived from `trafilatura.utils.load_html` and `trafilatura.core` (Apache-2.0).
"""

import re
from copy import copy
from dataclasses import dataclass
from typing import Final

from lxml.etree import HTMLParser, LxmlError, strip_elements
from lxml.etree import fromstring as _parse
from lxml.html import fromstring
from trafilatura.core import _DISCUSSION_FORUM_POSTING_RE
from trafilatura.utils import INVALID_XML_CHARS, is_dubious_html, repair_faulty_html

from services.extraction.engines.trafilatura.lx import Element, delete
from services.extraction.engines.trafilatura.marks import (
    APPENDED,
    APPENDED_SURELY,
    COMMENT_LIST,
    COMMENTS,
    SHARE_BUTTONS,
    mark,
)

#: The parser of `trafilatura.utils`, with plain elements.
PARSER: Final = HTMLParser(
    collect_ids=False,
    default_doctype=False,
    encoding="utf-8",
    remove_comments=True,
    remove_pis=True,
)
#: What `INVALID_XML_CHARS` removes, but for U+FFFE and U+FFFF.
_INVALID_ASCII: Final = bytes([*range(9), 11, 12, *range(14, 32)])
_INVALID_BEYOND: Final = ("\ufffe", "\uffff")
#: Character references, after "&#", to what no text node may hold. trafilatura gives up somewhere
#: on its way.
_INVALID_REFERENCE: Final = re.compile(
    rb"0*(?:[0-8]|1[124-9]|2\d|3[01]|6553[45])(?!\d)"
    rb"|[xX]0*(?:[0-8bBcCeEfF]|1[\da-fA-F]|[fF]{3}[eEfF])(?![\da-fA-F])"
)
_is_document: Final = re.compile(r"^\s*<(?:html|!doctype)", re.IGNORECASE).match

#: What is removed from all trees.
_SCRIPTS: Final = ("script", "style")


class UnusualError(Exception):
    """The page has something that only trafilatura itself treats as trafilatura does."""


@dataclass(frozen=True, eq=False)
class Page:
    """A parsed page as the extractors want it."""

    html: str
    #: Marked, without scripts, style sheets, appended articles and comments. Not to be changed.
    tree: Element
    #: Whether it is a thread of a forum: its comments are its content.
    is_forum: bool
    #: The texts of its JSON-LD scripts.
    json: tuple[str, ...]
    favor_precision: bool

    def copy(self) -> Element:
        """A tree of one's own."""
        return copy(self.tree)

    def with_scripts(self) -> Element:
        """A tree of one's own, with scripts and style sheets."""
        tree = parse(self.html)
        _prune(tree, comments=self.favor_precision or not self.is_forum)
        return tree


def read(html: str, *, favor_precision: bool) -> Page | None:
    """The page; None where it is no HTML. Raises UnusualError."""
    tree = parse(html)
    if tree is None:
        return None
    is_forum = any(_DISCUSSION_FORUM_POSTING_RE.search(text) for text in _json(tree))
    _prune(tree, comments=favor_precision or not is_forum)
    json = _json(tree)
    # trafilatura removes scripts and style sheets later, from each copy.
    strip_elements(tree, *_SCRIPTS, with_tail=False)
    return Page(html, tree, is_forum, json, favor_precision)


def _json(tree: Element) -> tuple[str, ...]:
    return tuple(
        script.text
        for script in tree.iter("script")
        if script.get("type") == "application/ld+json" and script.text
    )


def parse(html: str) -> Element | None:
    """The tree as `trafilatura.load_html` gives it, of plain elements; None where it is no HTML."""
    data, beginning = _repaired(html)
    try:
        tree = _parse(data, PARSER) if _is_document(html) else fromstring(data, parser=PARSER)
    except (LxmlError, ValueError, AttributeError) as error:
        raise UnusualError from error
    if tree is None:
        raise UnusualError
    if is_dubious_html(beginning) and len(tree) < 2:
        return None
    # An empty tree is parsed again by trafilatura. A fragment's root stays what it is.
    if len(tree) < 1 or tree.tag in _SCRIPTS or (tree.tail and not tree.tail.isspace()):
        raise UnusualError
    return tree


def _repaired(html: str) -> tuple[bytes, str]:
    """The page in UTF-8, ready for the parser, and its beginning in lower case."""
    try:
        data = html.encode()
    except UnicodeEncodeError as error:  # lone surrogates
        raise UnusualError from error
    if b"&#" in data and any(map(_INVALID_REFERENCE.match, data.split(b"&#")[1:])):
        raise UnusualError
    beginning = html[:50].lower()
    valid = data.translate(None, _INVALID_ASCII)
    if len(valid) < len(data) or any(char in html for char in _INVALID_BEYOND):
        html = INVALID_XML_CHARS.sub("", html)
        data = html.encode()
    end = html.find("\n")
    start = f"{html[:end]}\n" if end >= _HEAD else html[:_HEAD]
    if end < 0 and "doctype" in beginning:
        data += b"\n"
        start = f"{html}\n"
    if repair_faulty_html(start, beginning) != start:
        data = repair_faulty_html(html, beginning).encode()
    return data, beginning


#: Repairs concern the first line and the first 4,096 characters.
_HEAD: Final = 4096


def _prune(tree: Element, *, comments: bool) -> None:
    """Mark the tree; remove appended articles, share buttons and comments."""
    appended, buttons, remarks = [], [], []
    for element, answers in mark(tree):
        tag = element.tag if element is not tree else ""
        if tag in {"div", "section", "aside"}:
            if answers & APPENDED_SURELY or (
                answers & APPENDED and next(element.iter("h1"), None) is None
            ):
                appended.append(element)
            if answers & SHARE_BUTTONS:
                buttons.append(element)
        if (tag in {"div", "list", "section", "details"} and answers & COMMENTS) or (
            tag in {"ol", "ul"} and answers & COMMENT_LIST
        ):
            remarks.append(element)
    for element in appended + buttons + (remarks if comments else []):
        delete(element)
