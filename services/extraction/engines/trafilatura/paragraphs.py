"""jusText, for pages where trafilatura's own extractor finds little.

Derived from `trafilatura.external` (Apache-2.0) and jusText 3.0 (BSD): paragraphs cut at block
tags, judged by length, links and stop words, the doubtful ones by their neighbours. With the
parameters that trafilatura gives it, headings are paragraphs like others.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

from justext.core import PARAGRAPH_TAGS
from justext.utils import get_stoplist, get_stoplists
from lxml.etree import SubElement

from services.extraction.engines.trafilatura.lx import Element, new_element, trimmed

Kind = Literal["good", "bad", "short", "neargood"]

# trafilatura's parameters.
_LENGTH_LOW: Final = 50
_LENGTH_HIGH: Final = 150
_STOPWORDS_LOW: Final = 0.1
_STOPWORDS_HIGH: Final = 0.2
_MAX_LINK_DENSITY: Final = 0.25
#: White space that is neither a single space nor a single line feed.
_UNEVEN: Final = re.compile(r"\s{2,}|[^\S\n ]")


@dataclass(slots=True)
class Paragraph:
    """The text between two block tags."""

    in_select: bool
    pieces: list[str] = field(default_factory=list)
    link_characters: int = 0


def good_paragraphs(tree: Element) -> tuple[Element, str]:
    """A body of the paragraphs that are no boilerplate, and its text."""
    paragraphs = _Cutter().cut(tree)
    texts = [_even("".join(p.pieces).strip()) for p in paragraphs]
    kinds = [_kind(p, text) for p, text in zip(paragraphs, texts, strict=True)]
    body = new_element("body")
    for text, good in zip(texts, _revised(kinds), strict=True):
        if good:
            SubElement(body, "p").text = text
    return body, trimmed(" ".join(body.itertext()))


class _Cutter:
    """Cuts a tree into paragraphs."""

    def __init__(self) -> None:
        self.done: list[Paragraph] = []
        self.current = Paragraph(in_select=False)
        self.in_link = False
        self.after_break = False
        #: Open tags with "select" in their names.
        self.selects = 0

    def cut(self, tree: Element) -> list[Paragraph]:
        self._walk(tree)
        self._start()
        return self.done

    def _start(self) -> None:
        if self.current.pieces:
            self.done.append(self.current)
        self.current = Paragraph(in_select=self.selects > 0)

    def _walk(self, element: Element) -> None:
        tag = element.tag
        is_select = "select" in tag
        self.selects += is_select
        is_block = tag in PARAGRAPH_TAGS
        if is_block or (tag == "br" and self.after_break):
            self._start()
        else:
            self.after_break = tag == "br"
            if self.after_break:
                self.current.pieces.append(" ")
            elif tag == "a":
                self.in_link = True
        if element.text:
            self._read(element.text)
        for child in element:
            self._walk(child)
        self.selects -= is_select
        if is_block:
            self._start()
        if tag == "a":
            self.in_link = False
        if element.tail:
            self._read(element.tail)

    def _read(self, text: str) -> None:
        if text.isspace():
            return
        text = _even(text)
        self.current.pieces.append(text)
        if self.in_link:
            self.current.link_characters += len(text)
        self.after_break = False


def _even(text: str) -> str:
    """Runs of white space as one space, or one line feed where they hold a line break."""
    return _UNEVEN.sub(_one, text)


def _one(run: re.Match[str]) -> str:
    text = run[0]
    return "\n" if "\n" in text or "\r" in text else " "


def _kind(paragraph: Paragraph, text: str) -> Kind:
    """What a paragraph is by itself."""
    length = len(text)
    if (
        (length and paragraph.link_characters / length > _MAX_LINK_DENSITY)
        or "\xa9" in text
        or "&copy" in text
        or paragraph.in_select
    ):
        return "bad"
    if length < _LENGTH_LOW:
        return "bad" if paragraph.link_characters > 0 else "short"
    words = text.lower().split()
    density = sum(map(_stop_words().__contains__, words)) / len(words) if words else 0
    if density >= _STOPWORDS_HIGH:
        return "good" if length > _LENGTH_HIGH else "neargood"
    return "neargood" if density >= _STOPWORDS_LOW else "bad"


@cache
def _stop_words() -> frozenset[str]:
    """Those of all languages."""
    lists = map(get_stoplist, get_stoplists())
    return frozenset(word.lower() for words in lists for word in words)


def _revised(kinds: list[Kind]) -> list[bool]:
    """Which paragraphs are good, once short and nearly good ones have asked their neighbours."""
    after = _nearest(kinds[::-1])[::-1]
    kinds = [
        _short(before, behind) if kind == "short" else kind
        for kind, before, behind in zip(kinds, _nearest(kinds), after, strict=True)
    ]
    after = _nearest(kinds[::-1])[::-1]
    good: list[bool] = []
    for kind, (behind, _) in zip(kinds, after, strict=True):
        beside_good = behind == "good" or (bool(good) and good[-1])
        good.append(beside_good if kind == "neargood" else kind == "good")
    return good


def _nearest(kinds: list[Kind]) -> list[tuple[Kind, Kind]]:
    """Before each paragraph: the last good or bad one, and the last that is not short."""
    found: list[tuple[Kind, Kind]] = []
    sure: Kind = "bad"
    last: Kind = "bad"
    for kind in kinds:
        found.append((sure, last))
        if kind != "short":
            last = kind
            sure = sure if kind == "neargood" else kind
    return found


def _short(before: tuple[Kind, Kind], after: tuple[Kind, Kind]) -> Kind:
    """What a short paragraph is between its neighbours."""
    if before[0] == after[0]:
        return before[0]
    beside_near = any(sure == "bad" and last == "neargood" for sure, last in (before, after))
    return "good" if beside_near else "bad"
