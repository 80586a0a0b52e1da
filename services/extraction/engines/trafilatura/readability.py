"""readability, to compare trafilatura's own result with.

Derived from `trafilatura.readability_lxml` (Apache-2.0), a fork of python-readability.

The result replaces the own one only where it is much longer. Readability only ever removes text,
so what is left at any moment bounds its result; as soon as that is too short to replace anything,
the rest of the work is left out.
"""

from collections import Counter
from math import inf
from typing import Final

from lxml.etree import LxmlError, SubElement, XPath, tostring
from lxml.html import fromstring
from trafilatura.readability_lxml import (
    DIV_TO_P_PREFIXES,
    DOT_SPACE,
    LIST_TAGS,
    REGEXES,
    TAG_SCORES,
    TEXT_CLEAN_ELEMS,
)

from services.extraction.engines.trafilatura.lx import (
    Element,
    RootError,
    drop,
    new_element,
    text_content,
    trimmed_content,
    trimmed_length,
)
from services.extraction.engines.trafilatura.page import PARSER, Page
from services.extraction.engines.trafilatura.sections import prune_overall

#: Shorter paragraphs do not count, characters.
_MIN_TEXT_LENGTH: Final = 25
_HEADERS: Final = ("h1", "h2", "h3", "h4", "h5", "h6")
_UNLIKELY: Final = XPath("descendant::*[@U]")
_INNERMOST: Final = XPath("descendant::div[not(descendant::div) and not(descendant::p)]")
_LOOSE_TEXT: Final = XPath("boolean(text()[normalize-space()])")
#: Blocks with text of their own or line breaks. XPath knows less white space than Python.
_MIXED: Final = XPath("descendant::div[br or text()[normalize-space()]]")
#: Their content is written escaped and read verbatim, so that it can grow.
_VERBATIM: Final = ("noembed", "noframes", "xmp", "plaintext")
#: The text that a frame with a film gets.
_FILM: Final = "VIDEO"
_CONDITIONAL: Final = ("table", "ul", "div", "aside", "header", "footer", "section")


def summary(page: Page, focus: str, limit: float) -> Element | None:
    """The article of a page; None where its text has surely no more than `limit` characters."""
    if next(page.tree.iter(*_VERBATIM), None) is not None:
        limit = -1
    if _at_most(page.tree, limit):
        return None
    tree = page.copy()
    if focus == "precision":
        prune_overall(tree)
    try:
        return _Readability(tree, limit).article()
    except RootError:  # trafilatura goes on without
        return None


class _Readability:
    """One run, in stages, over a tree of its own."""

    def __init__(self, tree: Element, limit: float) -> None:
        self.tree = tree
        self.limit = limit
        #: Candidates and their scores, before their links have been taken into account.
        self._scores: dict[Element, float] = {}
        self._final_scores: dict[Element, float] = {}
        self._link_lengths: dict[Element, int] = {}

    def article(self) -> Element | None:
        for element in list(self.tree.iter("fencedframe")):  # scripts and styles are gone
            drop(element)
        for element in _UNLIKELY(self.tree):
            drop(element)
        if _at_most(self.tree, self.limit):
            return None
        _divs_to_paragraphs(self.tree)
        self._score()
        article = self._article()
        if _at_most(article, self.limit):
            return None
        self._sanitize(article)
        return _reparsed(article)

    def _score(self) -> None:
        """Parents and grandparents of paragraphs."""
        scores = self._scores
        for element in self.tree.iter("p", "pre", "td"):
            parent = element.getparent()
            if parent is None:
                continue
            text = trimmed_content(element)
            if len(text) < _MIN_TEXT_LENGTH:
                continue
            grandparent = parent.getparent()
            score = 2 + text.count(",") + min(len(text) / 100, 3)
            for node, share in ((parent, score), (grandparent, score / 2)):
                if node is not None:
                    if node not in scores:
                        scores[node] = _class_weight(node) + TAG_SCORES.get(node.tag.lower(), 0)
                    scores[node] += share

    def _final_score(self, candidate: Element) -> float:
        """Its score, less the share of links. Call it before its content changes."""
        found = self._final_scores.get(candidate)
        if found is None:
            density = self._link_density(candidate)
            found = self._final_scores[candidate] = self._scores[candidate] * (1 - density)
        return found

    def _link_density(self, element: Element) -> float:
        """As `_link_density`, while no text changes."""
        known = self._link_lengths
        of_links = 0
        for link in element.iter("a"):
            length = known.get(link)
            if length is None:
                length = known[link] = trimmed_length(link)
            of_links += length
        if element.tag == "a":
            of_links -= known[element]
        return of_links / (trimmed_length(element) or 1)

    def _best(self) -> Element | None:
        """The first candidate of the highest score; links lower a score, negative ones raise."""
        best, best_score, best_rank = None, -inf, 0
        ranked = sorted(enumerate(self._scores.items()), key=lambda item: -item[1][1])
        for rank, (candidate, score) in ranked:
            if 0 <= score < best_score:
                continue
            final = self._final_score(candidate)
            if final > best_score or (final == best_score and rank < best_rank):
                best, best_score, best_rank = candidate, final, rank
        return best

    def _article(self) -> Element:
        """The best candidate and the siblings that go with it, or the page."""
        best = self._best()
        if best is None:
            body = self.tree.find("body")
            return self.tree if body is None else body
        threshold = max(10, self._final_score(best) * 0.2)
        article = SubElement(SubElement(new_element("html"), "body"), "div")
        parent = best.getparent()
        for sibling in [best] if parent is None else list(parent):
            if (
                sibling is best
                or (sibling in self._scores and self._final_score(sibling) >= threshold)
                or (sibling.tag == "p" and self._is_prose(sibling))
            ):
                article.append(sibling)
        return article

    def _is_prose(self, paragraph: Element) -> bool:
        text = paragraph.text or ""
        density = self._link_density(paragraph)
        if len(text) > 80:
            return density < 0.25
        return density == 0 and DOT_SPACE.search(text) is not None

    def _sanitize(self, article: Element) -> None:
        """Remove what looks like boilerplate within the article."""
        scores = {e: self._final_score(e) for e in article.iter(*_CONDITIONAL) if e in self._scores}
        self._link_lengths.clear()  # of links that may go; see `sections`
        for header in list(article.iter(*_HEADERS)):
            if _class_weight(header) < 0 or _link_density(header) > 0.33:
                drop(header)
        for element in list(article.iter("form", "textarea")):
            drop(element)
        for element in list(article.iter("iframe")):
            if REGEXES["videoRe"].search(element.get("src", "")):
                element.text = _FILM
            else:
                drop(element)
        for element in reversed(list(article.iter(*_CONDITIONAL))):
            weight = _class_weight(element)
            if weight + scores.get(element, 0) < 0 or (
                text_content(element).count(",") < 10 and _is_boilerplate(element, weight)
            ):
                drop(element)


def _at_most(element: Element, limit: float) -> bool:
    """Whether no summary of it can be longer than `limit` characters."""
    if limit <= 0:
        return False
    films = sum(1 for _ in element.iter("iframe")) * (len(_FILM) + 1)
    return trimmed_length(element) + films <= limit


def _divs_to_paragraphs(tree: Element) -> None:
    """Divs without blocks become paragraphs; loose text of others gets paragraphs of its own."""
    for div in _INNERMOST(tree):
        if not any(e.tag.startswith(DIV_TO_P_PREFIXES) for e in div.iterdescendants("*")) and (
            next(div.iter("a"), None) is None or _LOOSE_TEXT(div)
        ):
            div.tag = "p"
    for div in _MIXED(tree):
        if div.text and div.text.strip():
            paragraph = new_element("p")
            paragraph.text, div.text = div.text, None
            div.insert(0, paragraph)
        for position, child in reversed(list(enumerate(div))):
            if child.tail and child.tail.strip():
                paragraph = new_element("p")
                paragraph.text, child.tail = child.tail, None
                div.insert(position + 1, paragraph)
            if child.tag == "br":
                drop(child)


def _link_density(element: Element) -> float:
    """The share of its text that is in links."""
    links = [link for link in element.iter("a") if link is not element]
    return sum(map(trimmed_length, links)) / (trimmed_length(element) or 1)


def _class_weight(element: Element) -> int:
    return _value_weight(element.get("class")) + _value_weight(element.get("id"))


#: Weights by value of a class or id; emptied when full, and long values are not kept.
_WEIGHTS: Final[dict[str, int]] = {}
_WEIGHTS_SIZE: Final = 2**14
_KEPT_LENGTH: Final = 512


def _value_weight(value: str | None) -> int:
    if not value:
        return 0
    weight = _WEIGHTS.get(value)
    if weight is None:
        weight = 25 if REGEXES["positiveRe"].search(value) else 0
        weight -= 25 if REGEXES["negativeRe"].search(value) else 0
        if len(value) <= _KEPT_LENGTH:
            if len(_WEIGHTS) >= _WEIGHTS_SIZE:
                _WEIGHTS.clear()
            _WEIGHTS[value] = weight
    return weight


def _is_boilerplate(element: Element, weight: int) -> bool:
    """By the numbers of its paragraphs, images, list items, inputs and links."""
    counts = Counter(e.tag for e in element.iterdescendants(*TEXT_CLEAN_ELEMS))
    hidden = sum(1 for e in element.iter("input") if e.get("type") == "hidden")
    paragraphs, images, embeds = counts["p"], counts["img"], counts["embed"]
    length = trimmed_length(element)
    short = length < _MIN_TEXT_LENGTH
    if (
        (paragraphs and images > 1 + paragraphs * 1.3)
        or (counts["li"] - 100 > paragraphs and element.tag not in LIST_TAGS)
        or counts["input"] - hidden > paragraphs / 3
        or (short and (images == 0 or images > 2))
        or _link_density(element) > (0.5 if weight >= 25 else 0.2)
        or (embeds == 1 and length < 75)
        or embeds > 1
    ):
        return True
    if length:
        return False
    return _next_length(element, preceding=False) + _next_length(element, preceding=True) <= 1000


def _next_length(element: Element, *, preceding: bool) -> int:
    """The length of the nearest sibling with text."""
    lengths = map(trimmed_length, element.itersiblings(preceding=preceding))
    return next(filter(None, lengths), 0)


def _reparsed(article: Element) -> Element | None:
    """The article as the HTML parser reads it; None where it is empty."""
    try:
        return fromstring(tostring(article, encoding=str, method="xml").encode(), parser=PARSER)
    except (LxmlError, ValueError):
        return None
