"""The few tags of a page that say something about it, found in one linear look, without a tree.

What a browser would not take for a tag is none here: comments, scripts, styles and text areas are
skipped whole; one of these, or a tag, that never ends swallows the rest of the page. Every pattern
is possessive and goes forward, so no character is read twice by it, however hostile the page; the
first `MOST_CHARACTERS` are looked at, and `MOST_TAGS` tags.
"""

import html
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MOST_CHARACTERS: Final = 2 * 2**20
#: Tags, comments, scripts and styles together; real pages have 800 tags at most.
MOST_TAGS: Final = 20_000
#: Of a page's `<h1>`, each of which is looked through for its end up to `_HEADING_CHARACTERS`.
_MOST_HEADINGS: Final = 8
_HEADING_CHARACTERS: Final = 4_000
#: Of one tag that are kept.
_MOST_ATTRIBUTES: Final = 100
#: How far back from a property's name its tag begins, and how often the name is looked for.
_TAG_CHARACTERS: Final = 1_000
_MOST_PROPERTIES: Final = 100

_NEXT: Final = re.compile(
    r"<(?:!--|(meta|html|title|h1|time|svg|script|style|textarea)(?=[\s/>]))",
    re.IGNORECASE | re.ASCII,
)
#: One attribute: name, and the value in double, in single and in no quotes; or the tag's end.
_ATTRIBUTE: Final = re.compile(
    r"""[\s/]*+(?:(>)|([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"?+|'([^']*+)'?+|([^\s>]*+)))?+)""",
    re.ASCII,
)
#: Elements whose content holds no tags.
_CLOSE: Final = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE | re.ASCII)
    for name in ("title", "script", "style", "textarea")
}
_HEADING_CLOSE: Final = re.compile(r"</h1(?=[\s/>])", re.IGNORECASE | re.ASCII)
_INNER_TAG: Final = re.compile(r"<[^<>]*+>")


class Tag(NamedTuple):
    """A start tag of a page."""

    #: In lower case.
    name: str
    #: By name in lower case, references decoded; of equal names the first.
    attributes: dict[str, str]
    #: Of a title, a heading or a script of linked data: its text, white space collapsed, but of a
    #: script as it is.
    text: str
    #: Where it begins in the page, and where its tag, or what it holds, ends.
    start: int
    stop: int


def look(page: str) -> Iterator[Tag]:
    """The tags that `_NEXT` names, in page order; they do not overlap."""
    end = min(len(page), MOST_CHARACTERS)
    at = headings = 0
    for _ in range(MOST_TAGS):
        found = _NEXT.search(page, at, end)
        if found is None:
            return
        if found[1] is None:
            at = page.find("-->", found.end() - 2, end) + 3  # `<!-->` is a whole comment
            if at < found.end():
                return
            continue
        name = found[1].lower()
        attributes, at = attributes_at(page, found.end(), end)
        if at < 0:
            return
        text, at = _content(page, name, attributes, at, end)
        if at < 0:
            return
        if name == "h1":
            headings += 1
            text = _heading(page, at, end) if headings <= _MOST_HEADINGS else ""
        yield Tag(name, attributes, text, found.start(), at)


def _content(
    page: str, name: str, attributes: dict[str, str], at: int, end: int
) -> tuple[str, int]:
    """The text of an element that holds no tags, and where it ends, -1 if it does not."""
    if name not in _CLOSE:
        return "", at
    close = _CLOSE[name].search(page, at, end)
    if close is None:
        return "", -1
    if name == "title":
        return _text(page[at : close.start()]), close.end()
    if name == "script" and "ld+json" in attributes.get("type", "").lower():
        return page[at : close.start()], close.end()
    return "", close.end()


def _heading(page: str, at: int, end: int) -> str:
    """The text of the heading whose tag ends at `at`; "" where it does not end soon."""
    close = _HEADING_CLOSE.search(page, at, min(end, at + _HEADING_CHARACTERS))
    return "" if close is None else _text(_INNER_TAG.sub(" ", page[at : close.start()]))


def attributes_at(page: str, at: int, end: int) -> tuple[dict[str, str], int]:
    """The attributes from behind a tag's name on, and where the tag ends; -1 if it does not."""
    attributes: dict[str, str] = {}
    while (found := _ATTRIBUTE.match(page, at, end)) is not None:
        closes, name, double, single, bare = found.groups()
        at = found.end()
        if closes:
            return attributes, at
        value = double or single or bare or ""
        if len(attributes) < _MOST_ATTRIBUTES:
            attributes.setdefault(name.lower(), _decode(value))
    return attributes, -1


def properties(page: str, name: str) -> Iterator[Tag]:
    """The tags, of any name, with an `itemprop` of the name."""
    end = min(len(page), MOST_CHARACTERS)
    at = -1
    for _ in range(_MOST_PROPERTIES):
        at = page.find(name, at + 1, end)
        if at < 0:
            return
        start = page.rfind("<", max(0, at - _TAG_CHARACTERS), at)
        if start >= 0:
            stop = min(end, start + 2 * _TAG_CHARACTERS)
            attributes, behind = attributes_at(page, start + 1, stop)
            if name in attributes.get("itemprop", "").split():
                text = page[behind : page.find("<", behind, stop)] if behind >= 0 else ""
                yield Tag("", attributes, _text(text), start, behind)


def _text(source: str) -> str:
    """White space collapsed, references decoded."""
    return " ".join(_decode(source).split())


def _decode(source: str) -> str:
    """References decoded; all left as they are where Python refuses one of thousands of digits."""
    try:
        return html.unescape(source)
    except ValueError:
        return source
