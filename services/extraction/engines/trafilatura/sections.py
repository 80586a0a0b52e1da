"""Removing sections that hold no main text: by class and id, and where there is little but links.

Derived from `trafilatura.htmlprocessing` and `trafilatura.main_extractor` (Apache-2.0).
"""

from typing import Final

from lxml.etree import XPath, strip_tags
from trafilatura.utils import LINK_FARM_RATIO

from services.extraction.engines.trafilatura.lx import (
    Element,
    delete,
    delete_with_tail,
    text_length,
    trimmed_length,
)

_SECTIONS: Final = "self::div or self::item or self::list or self::p or self::section or self::span"
_OVERALL: Final = XPath(f"descendant::*[@G or (@F and ({_SECTIONS}))]")
_CAPTION: Final = XPath(f"descendant::*[@H and ({_SECTIONS})]")
_TEASER: Final = XPath(f"descendant::*[@I and ({_SECTIONS})]")
_PRECISION: Final = XPath(f"descendant::*[self::header or (@J and ({_SECTIONS}))]")
_COMMENTS: Final = XPath(
    "descendant::*[@K and (self::div or self::list or self::section or self::details)]"
)


def prune_overall(tree: Element) -> None:
    """Remove what `OVERALL_DISCARD_XPATH` finds, however much it is."""
    _delete_all(_OVERALL(tree))


def prune_comments(tree: Element) -> None:
    """Remove what `REMOVE_COMMENTS_XPATH` finds."""
    _delete_all(_COMMENTS(tree))


def _delete_all(elements: list[Element]) -> None:
    for element in elements:
        delete(element)


def _prune_overall_unless_too_much(tree: Element) -> None:
    """As `prune_overall`, but nothing where six sevenths of the text would go."""
    found = _OVERALL(tree)
    if not found:
        return
    members = set(found)
    outermost = [e for e in found if not any(a in members for a in e.iterancestors())]
    length = text_length(tree)
    if length - sum(map(text_length, outermost)) > length / 7:
        _delete_all(outermost)


def prune_sections(tree: Element, potential_tags: set[str], focus: str) -> Element:
    """`trafilatura.main_extractor.prune_unwanted_sections`, without images, not in fast mode."""
    precise = focus == "precision"
    _prune_overall_unless_too_much(tree)
    _delete_all(_CAPTION(tree))
    if focus != "recall":
        _delete_all(_TEASER(tree))
        if precise:
            _delete_all(_PRECISION(tree))
    lengths: dict[Element, int] = {}
    if _prune_links(tree, lengths, precise=precise):
        _prune_links(tree, lengths, precise=precise)
    if "table" in potential_tags or precise:
        for table in [t for t in tree.iter("table") if _is_link_table(t)]:
            delete_with_tail(table)
    if precise:
        while len(tree) > 0 and tree[-1].tag == "head":
            delete_with_tail(tree[-1])
        _prune_linked(tree, "head", lengths, precise=True)
        _prune_linked(tree, "quote", lengths, precise=True)
    strip_tags(tree, "span", *(() if "ref" in potential_tags else ("ref",)))
    return tree


def _prune_links(tree: Element, lengths: dict[Element, int], *, precise: bool) -> bool:
    """One round over blocks, lists and paragraphs; whether anything went, so a next may differ."""
    return any(
        [
            _prune_linked(tree, "div", lengths, precise=precise, backtracking=True),
            _prune_linked(tree, "list", lengths, precise=precise),
            _prune_linked(tree, "p", lengths, precise=precise),
        ]
    )


def _prune_linked(
    tree: Element,
    tag: str,
    lengths: dict[Element, int],
    *,
    precise: bool,
    backtracking: bool = False,
) -> bool:
    """Remove elements of a tag with little but links; whether there were any.

    `lengths` remembers the characters of links.
    """
    linked = _LINKED[tag](tree)
    if linked and next(tree.iter("graphic"), None) is not None:
        linked = [e for e in linked if next(e.iter("graphic"), None) is None]
    threshold, children = (200, 1) if precise else (100, 3)
    deletions = []
    for element in linked:
        farm, short, length = _is_link_farm(element, lengths, precise=precise)
        if farm or (backtracking and short and len(element) >= children and length < threshold):
            parent = element.getparent()
            if tag != "p" or parent is None or parent.tag not in _HOLDERS:
                deletions.append(element)
    if deletions:
        # Links in links may have changed. And lxml frees an element of a removed part in time
        # linear in that part: hold none of its links.
        lengths.clear()
    _delete_all(deletions)
    return bool(deletions)


_LINKED: Final = {
    tag: XPath(f"descendant-or-self::{tag}[descendant::ref]")
    for tag in ("div", "list", "p", "head", "quote")
}
#: Whose paragraphs stay: the links of the whole list or table are judged elsewhere.
_HOLDERS: Final = frozenset({"item", "td", "th"})


def _is_link_farm(
    element: Element, lengths: dict[Element, int], *, precise: bool
) -> tuple[bool, bool, int]:
    """`link_density_test`: (is a farm, is short with links, characters of its text)."""
    links = list(element.iter("ref"))
    length = trimmed_length(element)
    if len(links) == 1:
        link_length = _link_lengths(links, lengths)
        of_link = sum(link_length)
        if of_link > (10 if precise else 100) and of_link > length * 0.9:
            return True, False, length
    last = element.getnext() is None
    limit = (60 if last else 30) if element.tag == "p" else 300 if last else 100
    if length < limit:
        found = _link_lengths(links, lengths)
        if not found:
            return True, False, length
        of_links, short = sum(found), sum(n < 10 for n in found)
        farm = of_links > length * 0.8 or (len(found) > 1 and short / len(found) > 0.8)
        return farm, True, length
    if len(links) > 4:
        found = _link_lengths(links, lengths)
        of_links = sum(found)
        if of_links > length * LINK_FARM_RATIO and of_links < 100 * len(found):
            return not _is_paragraph_listing(links), False, length
    return False, False, length


def _link_lengths(links: list[Element], lengths: dict[Element, int]) -> list[int]:
    """Characters of each link that has any."""
    found = []
    for link in links:
        length = lengths.get(link)
        if length is None:
            length = lengths[link] = trimmed_length(link)
        if length:
            found.append(length)
    return found


def _is_paragraph_listing(links: list[Element]) -> bool:
    """Whether every link is alone in its paragraph."""
    for link in links:
        parent = link.getparent()
        if parent is None or parent.tag != "p" or sum(1 for _ in parent.iter("ref")) > 1:
            return False
    return True


def _is_link_table(table: Element) -> bool:
    """`link_density_test_tables`."""
    links = list(table.iter("ref"))
    if not links:
        return False
    length = trimmed_length(table)
    if length < 200:
        return False
    of_links = sum(map(trimmed_length, links))
    return of_links > (0.8 if length < 1000 else 0.5) * length
