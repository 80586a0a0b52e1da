"""trafilatura's own extractor: the main frame of a page, and its paragraphs elsewhere.

Derived from `trafilatura.main_extractor` (Apache-2.0); the elements of a frame are handled by
trafilatura itself.
"""

from collections.abc import Callable
from typing import Final

from lxml.etree import XPath, strip_elements, strip_tags
from trafilatura.htmlprocessing import process_node
from trafilatura.main_extractor import (
    NOT_AT_THE_END,
    REBUILT_BLOCKS,
    _elem_text,
    handle_textelem,
)
from trafilatura.settings import (
    DEDUPE_SCAN_CAP,
    INLINE_FORMATTABLE,
    MIN_DUPLICATE_LENGTH,
    TAG_CATALOG,
    Extractor,
)
from trafilatura.utils import SPACING_PROTECTED, text_chars_test, trim

from services.extraction.engines.trafilatura.lx import (
    Element,
    delete_with_tail,
    new_element,
    text_length,
)
from services.extraction.engines.trafilatura.sections import prune_sections

_FRAMES: Final = "self::article or self::div or self::main or self::section"
#: `trafilatura.xpaths.BODY_XPATH` with marks.
_BODIES: Final = tuple(
    XPath(expression)
    for expression in (
        f"(.//*[@A][{_FRAMES}])[1]",
        "(.//article)[1]",
        f"(.//*[@C][{_FRAMES}])[1]",
        f"(.//*[@D][{_FRAMES}])[1]",
        "(.//*[@E][self::article or self::div or self::section])[1]|(.//main)[1]",
    )
)
#: What `handle_textelem` makes something of.
_HANDLED: Final = frozenset(
    {"list", "code", "quote", "head", "p", "lb", "hi", "ref", "del", "table", "div"}
)
_PARAGRAPHS: Final = XPath("//p[not(ancestor::p)]")
_DESCENDANTS: Final = XPath(".//*")
#: As one step: libxml2 joins the parts of a union in quadratic time.
_WILD: Final = XPath(
    "descendant::*[self::code or self::p or self::quote or self::table"
    " or (self::div and contains(@class, 'w3-code'))]"
)
_WILD_RECALL: Final = ("code", "p", "quote", "table", "div", "lb", "list")


def extract_content(
    tree: Element, twin: Callable[[], Element], options: Extractor
) -> tuple[Element, str]:
    """The main content as trafilatura's tags, and its text.

    `tree` is cleaned and converted, and used up. `twin` gives another of the same; it is called
    where the main frame holds too little.
    """
    order = list(tree.iter())
    body, text, potential_tags = _extract_frame(tree, options)
    if len(body) == 0 or len(text) < options.min_extracted_size:
        backup = twin()
        consumed = {other for e, other in zip(order, backup.iter(), strict=True) if e.tag == "done"}
        _recover_wild(backup, body, options, potential_tags, consumed)
        text = " ".join(body.itertext()).strip()
    _drop_repeated(body)
    strip_elements(body, "done")
    strip_tags(body, "div")
    for linebreak in body.iter("lb"):
        if (
            linebreak.tail
            and not text_chars_test(linebreak.tail)
            and not any(a.tag in SPACING_PROTECTED for a in linebreak.iterancestors())
        ):
            linebreak.tail = None
    return body, text


def _drop_repeated(body: Element) -> None:
    """Remove longer elements that repeat the one before them."""
    previous = None
    for element in list(body):
        current = _elem_text(element)
        if current and current == previous and len(current) > MIN_DUPLICATE_LENGTH:
            delete_with_tail(element)
        else:
            previous = current


def _extract_frame(tree: Element, options: Extractor) -> tuple[Element, str, set[str]]:
    """What the first of the page's likely frames holds, its text, and the tags looked for."""
    potential_tags = {*TAG_CATALOG, "table", "td", "th", "tr"}
    body = new_element("body")
    for expression in _BODIES:
        frame = next(iter(expression(tree)), None)
        if frame is None:
            continue
        frame = prune_sections(frame, potential_tags, options.focus)
        if len(frame) == 0:
            continue
        factor = 1 if options.focus == "precision" else 3
        if sum(map(text_length, _PARAGRAPHS(frame))) < options.min_extracted_size * factor:
            potential_tags.add("div")
        _handle_frame(frame, body, potential_tags, options)
        if sum(e.tag != "graphic" for e in body) > 1:
            break
    return body, " ".join(body.itertext()).strip(), potential_tags


def _handle_frame(
    frame: Element, body: Element, potential_tags: set[str], options: Extractor
) -> None:
    """Append the content of a frame to the body."""
    elements = _DESCENDANTS(frame)
    tags = {e.tag for e in elements}
    if tags == {"lb"} or (
        frame.tag == "div" and "div" in potential_tags and tags <= INLINE_FORMATTABLE | {"lb"}
    ):
        elements = [frame]
    lead, start = None, len(body)
    if elements != [frame] and text_chars_test(frame.text):
        lead = new_element("p")
        lead.text = frame.text
        lead = process_node(lead, options)
    for element in elements:
        _handle_element(element, body, potential_tags, options)
    while len(body) > 0 and body[-1].tag in NOT_AT_THE_END:
        delete_with_tail(body[-1])
    if lead is not None and sum(e.tag != "graphic" for e in body) > 1:
        body.insert(start, lead)


def _handle_element(
    element: Element, body: Element, potential_tags: set[str], options: Extractor
) -> None:
    """Append what trafilatura makes of an element, and the text after a block that it rebuilt."""
    tag = element.tag
    if tag not in _HANDLED or (
        tag == "div" and "div" not in potential_tags and "w3-code" not in element.get("class", "")
    ):
        return
    if element.getroottree().getroot() is body:  # moved there as part of another
        return
    tail = element.tail
    processed = handle_textelem(element, potential_tags, options)
    if processed is not None:
        body.append(processed)
        if element.getroottree().getroot() is not body:
            element.tag = "done"
    if (
        tag in REBUILT_BLOCKS
        and text_chars_test(tail)
        and (processed is None or processed.tail is None)
    ):
        after = new_element("p")
        after.text = tail
        if process_node(after, options) is not None:
            body.append(after)


def _recover_wild(
    tree: Element,
    body: Element,
    options: Extractor,
    potential_tags: set[str],
    consumed: set[Element],
) -> None:
    """Append paragraphs from anywhere on the page; `recover_wild_text`."""
    recall = options.focus == "recall"
    tags = potential_tags | {"div", "lb"} if recall else potential_tags
    prune_sections(tree, tags, options.focus)
    texts = [_elem_text(element) for element in body]
    existing, known = "\n".join(filter(None, texts)), set(texts)
    handled: set[Element] = set()
    wild = list(tree.iterdescendants(*_WILD_RECALL)) if recall else _WILD(tree)
    for element in wild:
        if element in consumed or any(a in handled for a in element.iterancestors()):
            continue
        processed = handle_textelem(element, tags, options)
        if processed is None:
            continue
        if processed is element:
            handled.add(element)
        text = _elem_text(processed)
        images = {image.get("src") for image in processed.iter("graphic")}
        if not text and images and images <= {g.get("src") for g in body.iter("graphic")}:
            continue
        scans = len(existing) <= DEDUPE_SCAN_CAP
        fragment = trim(text + (processed.tail or "")) if text_chars_test(processed.tail) else ""
        if text and (text in known or (scans and _repeats(text, fragment, existing))):
            continue
        body.append(processed)
        if scans:
            existing += "\n" + (fragment or text)
        known.add(text)


def _repeats(text: str, fragment: str, existing: str) -> bool:
    return bool(
        (len(text) > MIN_DUPLICATE_LENGTH and text in existing)
        or (fragment and fragment in existing)
    )
