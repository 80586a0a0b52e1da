"""The text of a whole page, and what can be had without finding its main frame.

Derived from `trafilatura.baseline` (Apache-2.0).
"""

import json
from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any, Final

from lxml.etree import SubElement
from trafilatura.baseline import (
    _BLOCK_ELEMS,
    _JSON_HOOKS_RE,
    _MIN_CONTENT_LENGTH,
    _attempt,
    _discourse_texts,
    _render_text,
    _walk_json,
)
from trafilatura.utils import remove_control_characters

from services.extraction.engines.trafilatura.clean import basic_clean
from services.extraction.engines.trafilatura.lx import (
    Element,
    new_element,
    text_content,
    trimmed,
    trimmed_length,
)
from services.extraction.engines.trafilatura.page import Page

#: Elements whose text is a paragraph.
_PARAGRAPHS: Final = ("blockquote", "code", "p", "pre", "q", "quote")


def baseline(page: Page) -> tuple[Element, str]:
    """A body and its text from JSON, articles, paragraphs, or all of the page."""
    tree = page.copy()
    bodies, teasers = _json_texts(page.json)
    bodies += _discourse_texts(tree)
    found = (
        _attempt(map(_render_text, bodies), dedupe=True)
        or _from_articles(basic_clean(tree))
        or _attempt(_paragraphs(tree), dedupe=True)
    )
    if found is None:
        teaser = _attempt(map(_render_text, teasers), dedupe=True)
        everything = _everything(tree)
        found = teaser
        if everything and (teaser is None or everything[2] >= teaser[2]):
            found = everything
    return (found[0], found[1]) if found else (new_element("body"), "")


def _json_texts(scripts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Full texts and teasers in JSON-LD."""
    bodies: list[str] = []
    teasers: list[str] = []
    for script in scripts:
        if _JSON_HOOKS_RE.search(script):
            try:
                _walk_json(json.loads(script, strict=False), bodies, teasers)
            except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
                continue
    return bodies, teasers


def _from_articles(tree: Element) -> tuple[Any, str, int] | None:
    articles = (
        a for a in tree.iterdescendants("article") if next(a.iterancestors("article"), None) is None
    )
    texts = [text for a in articles if len(text := spaced_text(copy(a))) > _MIN_CONTENT_LENGTH]
    cutoff = max(map(len, texts), default=0) / 5
    found: tuple[Any, str, int] | None = _attempt(t for t in texts if len(t) >= cutoff)
    return found


def _paragraphs(tree: Element) -> Iterator[str]:
    for element in tree.iter(*_PARAGRAPHS):
        if next(element.iterancestors(*_PARAGRAPHS), None) is None:
            yield spaced_text(copy(element))


def _everything(tree: Element) -> tuple[Any, str, int] | None:
    body = tree.find(".//body")
    if body is None:
        return None
    found = new_element("body")
    paragraph = SubElement(found, "p")
    text = "\n".join(filter(None, map(trimmed, body.itertext())))
    paragraph.text = remove_control_characters(text)
    return found, paragraph.text, len(paragraph.text)


def covers(length: int, share: float, page: Page) -> bool:
    """Whether `length` is at least a share of the text of the whole page."""
    body = page.tree.find(".//body")
    body = page.tree if body is None else body
    # Spaces around blocks, at most.
    blocks = sum(1 for _ in body.iter(*_BLOCK_ELEMS))
    if length >= share * (trimmed_length(body) + 2 * blocks):
        return True
    return length >= share * len(spaced_text(basic_clean(copy(body))))


def spaced_text(element: Element) -> str:
    """The text, with spaces around blocks. Uses the element up."""
    for block in element.iter(*_BLOCK_ELEMS):
        text, tail = block.text, block.tail
        block.text = f" {remove_control_characters(text)}" if text else " "
        block.tail = f" {remove_control_characters(tail)}" if tail else " "
    return trimmed(text_content(element))
