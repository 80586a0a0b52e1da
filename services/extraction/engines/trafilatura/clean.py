"""Cleaning a tree and turning its tags into trafilatura's.

Derived from `trafilatura.htmlprocessing` and `trafilatura.baseline` (Apache-2.0), for its options
as they are used here: tables, no images, no links, no formatting.
"""

from collections.abc import Callable
from copy import copy
from typing import Final

from lxml.etree import XPath, strip_tags
from trafilatura.htmlprocessing import CONVERSIONS, REND_TAG_MAPPING, recover_math
from trafilatura.settings import CUT_EMPTY_ELEMS, MANUALLY_CLEANED, MANUALLY_STRIPPED

from services.extraction.engines.trafilatura.lx import (
    Element,
    delete,
    delete_with_tail,
    text_length,
)

_CLEANED: Final = tuple(tag for tag in MANUALLY_CLEANED if tag != "form")
_CONTAINERS: Final = ("div", "li", "p", "table")
_RENDITIONS: Final = tuple(REND_TAG_MAPPING)
_CONVERTED: Final = tuple(CONVERSIONS)
_CHILDLESS: Final = XPath("descendant::*[not(node())]")
# `trafilatura.settings.BASIC_CLEAN_XPATH`.
_BASIC_MARKED: Final = XPath("descendant::*[@L or (@M and self::div)]")
_BASIC_TAGS: Final = (
    "aside", "fencedframe", "footer", "script", "style", "svg", "template",
)  # fmt: skip


def clean(tree: Element, focus: str, original: Callable[[], Element] | None = None) -> Element:
    """Remove elements that hold no main text; `trafilatura.htmlprocessing.tree_cleaning`.

    For recall a tree that would lose all paragraphs stays as it is; `original` gives it where
    `tree` is without its scripts.
    """
    _prepare(tree)
    untouched = None
    if focus == "recall" and not _a_paragraph_survives(tree):
        untouched = _prepare(original()) if original else copy(tree)
    _remove(tree)
    if untouched is not None and tree.find(".//p") is None:
        tree = untouched
    _clean_forms(tree)
    remove = delete_with_tail if focus == "precision" else delete
    for element in _CHILDLESS(tree):
        if element.tag in CUT_EMPTY_ELEMS:
            remove(element)
    return tree


def _prepare(tree: Element) -> Element:
    recover_math(tree)
    _unwrap_tables(tree)
    strip_tags(tree, *MANUALLY_STRIPPED)
    return tree


def _remove(tree: Element) -> None:
    present = {element.tag for element in tree.iter(*_CLEANED)}
    for tag in _CLEANED:
        if tag in present:
            # Tag by tag and while iterating: of nested elements of one tag only the outermost and
            # its descendants go, then lxml's iterator is in the removed part and ends there.
            for element in tree.iter(tag):
                delete(element)


def _unwrap_tables(tree: Element) -> None:
    """Figures around tables, and tables that are layout, become blocks."""
    for element in tree.iter("figure", "table"):
        if element.tag == "figure":
            if next(element.iter("table"), None) is not None:
                element.tag = "div"
        elif element.get("role") in {"presentation", "none"}:
            element.tag = "div"


def _a_paragraph_survives(tree: Element) -> bool:
    """Whether one is outside of all that is removed, or there is none to survive."""
    if tree.find(".//p") is None:
        return True
    return any(next(p.iterancestors(*_CLEANED), tree) is tree for p in tree.iter("p"))


def _clean_forms(tree: Element) -> None:
    """Remove forms, but one that holds most of the text: it wraps the page."""
    forms = list(tree.iter("form"))
    if not forms:
        return
    total = text_length(tree)
    for form in forms:
        if total and text_length(form) > total / 2:
            form.tag = "div"
        else:
            delete(form)


def basic_clean(tree: Element) -> Element:
    """`trafilatura.baseline.basic_cleaning`."""
    for element in [*_BASIC_MARKED(tree), *tree.iterdescendants(*_BASIC_TAGS)]:
        delete(element)
    return tree


def convert(tree: Element) -> Element:
    """HTML's tags to trafilatura's; `trafilatura.htmlprocessing.convert_tags`."""
    for element in tree.iter("a"):
        if next(element.iterancestors(*_CONTAINERS), tree) is not tree:
            element.tag = "ref"
    strip_tags(tree, "a")
    for element in tree.iter("strong"):
        if "schema-faq-question" in element.get("class", ""):
            element.attrib.clear()
            element.set("rend", "h3")
            element.tag = "head"
    for element in tree.iter("sub", "sup"):
        if not element.text and len(element) == 0:
            delete(element)
    strip_tags(tree, *_RENDITIONS)
    for element in tree.iter(*_CONVERTED):
        CONVERSIONS[element.tag](element)
    return tree
