"""Whether readability or jusText has more of a page than trafilatura's own extractor.

Derived from `trafilatura.external` (Apache-2.0).
"""

from typing import Final

from lxml.etree import XPath, strip_tags, tostring
from trafilatura.external import JUSTEXT_OVERRIDE_RATIO, SANITIZED_XPATH, _prefer_readability
from trafilatura.main_extractor import handle_image
from trafilatura.settings import Extractor
from trafilatura.xml import TEI_VALID_TAGS

from services.extraction.engines.trafilatura.clean import basic_clean, clean, convert
from services.extraction.engines.trafilatura.lx import Element, delete, trimmed
from services.extraction.engines.trafilatura.page import Page
from services.extraction.engines.trafilatura.paragraphs import good_paragraphs
from services.extraction.engines.trafilatura.readability import summary

_UNCLEAN: Final = tuple(path.removeprefix(".//") for path in SANITIZED_XPATH.split("|"))
_PARAGRAPH_TEXT: Final = XPath("boolean(.//p//text())")


def compare(
    page: Page, cleaned: Element, body: Element, text: str, options: Extractor
) -> tuple[Element, str]:
    """The best of three; `compare_extraction`. Uses up `cleaned`, the cleaned tree."""
    minimum = options.min_extracted_size
    if options.focus == "recall" and len(text) > minimum * 10:
        return body, text
    use_readability = False
    article = summary(page, options.focus, _limit(body, len(text), options))
    if article is not None:
        article_text = trimmed(tostring(article, method="text", encoding="utf-8").decode())
        use_readability = _prefer_readability(
            body, article, article_text, len(text), len(article_text), options
        )
        if use_readability:
            body, text = article, article_text
    unclean = next(body.iterdescendants(*_UNCLEAN), None) is not None
    if unclean or len(text) < minimum:
        other, other_text = rescue(cleaned)
        accept = (
            len(text) <= JUSTEXT_OVERRIDE_RATIO * len(other_text)
            if unclean
            else len(text) < len(other_text)
        )
        if other_text and accept:
            return other, other_text
    return _sanitized(body, options) if use_readability else (body, text)


def rescue(tree: Element) -> tuple[Element, str]:
    """Paragraphs by jusText of a tree, which it uses up."""
    return good_paragraphs(basic_clean(tree))


def _limit(body: Element, length: int, options: Extractor) -> float:
    """A readability of no more characters is not preferred; see `_prefer_readability`."""
    limit: float = 2 * length
    if not _PARAGRAPH_TEXT(body) or len(body.findall(".//table")) > len(body.findall(".//p")):
        limit = min(limit, 2 * options.min_extracted_size)
    if options.focus == "recall":
        limit = min(limit, length if next(body.iter("head"), None) is None else 1.5 * length)
    return limit


def _sanitized(article: Element, options: Extractor) -> tuple[Element, str]:
    """Readability's article as trafilatura's tags; `trafilatura.external.sanitize_tree`."""
    tree = clean(article, options.focus)
    strip_tags(tree, "span", "a")
    tree = convert(tree)
    for element in list(tree.iter("graphic")):
        image = handle_image(element, options)
        if image is None:
            delete(element)
        else:
            element.attrib.clear()
            element.attrib.update(image.attrib)
    groups: set[Element | None] = set()
    for row in tree.iter("tr"):
        parent = row.getparent()
        if parent not in groups and row.find("th") is not None:
            groups.add(parent)
            for cell in row.iterchildren("th"):
                cell.set("role", "head")
    for element in tree.iter("td", "th", "tr"):
        element.tag = "row" if element.tag == "tr" else "cell"
    strip_tags(tree, *({e.tag for e in tree.iter("*")} - TEI_VALID_TAGS))
    return tree, trimmed(" ".join(tree.itertext()))
