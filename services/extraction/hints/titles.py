"""The title of a page, without the name of its site.

Titles that pages declare are written for search engines and name the site; headings may be a logo
or a menu. So the best witness is a heading that the declared title confirms:

1. a heading that is the declared title, or a part of it between separators;
2. the only heading, where half of its words are in the declared titles;
3. og:title (or twitter:title), then `<title>`, without the part that og:site_name names; where the
   site has no name and nothing else speaks, the part before the first separator;
4. the first heading.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from services.extraction.hints.tags import Tag

#: What is longer is no title.
_MOST_CHARACTERS: Final = 1_000
#: Of a title more parts than this are not joined in every way.
_MOST_PARTS: Final = 12
#: The share of a heading's words that the title must have.
_SHARED_WORDS: Final = 0.5
_SEPARATOR: Final = re.compile(r"\s+[|\-–—·•»«›‹:/~⋆]+\s+|\s*[|｜»]\s*")  # noqa: RUF001
_WORD: Final = re.compile(r"\w+")
_CONTROLS: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")
#: Typographic signs that title and heading write differently.
_PLAIN: Final = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\"--")


def find_title(tags: Iterable[Tag]) -> str | None:
    """The title; None for a page without any."""
    headings, declared, site = _said(tags)
    parts = {part for title in declared for part in _parts(title)} - {site}
    for heading in headings:
        if _plain(heading) in parts:
            return heading
    if len(headings) == 1 and _plain(headings[0]) != site and _confirms(declared, headings[0]):
        return headings[0]
    found = _without_site(declared, site)
    return found or next(iter(headings), None)


def _said(tags: Iterable[Tag]) -> tuple[list[str], list[str], str]:
    """Headings; declared titles, best first; the site's name, plain."""
    headings: list[str] = []
    metas: dict[str, str] = {}
    title, in_page = "", False
    for tag in tags:
        if tag.name == "h1":
            headings.append(_clean(tag.text))
        elif tag.name == "title" and not in_page:
            title = title or _clean(tag.text)
        elif tag.name == "meta":
            name = tag.attributes.get("property") or tag.attributes.get("name") or ""
            content = _clean(tag.attributes.get("content", ""))
            if content:
                metas.setdefault(name.strip().lower(), content)
        in_page = in_page or tag.name == "svg"  # pictures have titles too
    shared = metas.get("og:title") or metas.get("twitter:title") or ""
    declared = [t for t in (shared, title) if t]
    return [h for h in headings if h], declared, _plain(metas.get("og:site_name", ""))


def _clean(text: str) -> str:
    """NFC on one line, without control characters; "" for what is too long."""
    if len(text) > _MOST_CHARACTERS:
        return ""
    return unicodedata.normalize("NFC", _CONTROLS.sub("", " ".join(text.split())))


def _plain(text: str) -> str:
    return text.lower().translate(_PLAIN)


def _bounds(title: str) -> tuple[list[int], list[int]]:
    """Where the parts of a title between separators begin and end."""
    separators = list(_SEPARATOR.finditer(title))[: _MOST_PARTS - 1]
    starts = [0, *(s.end() for s in separators)]
    return starts, [*(s.start() for s in separators), len(title)]


def _parts(title: str) -> set[str]:
    """All runs of parts, plain."""
    starts, ends = _bounds(title)
    return {_plain(title[a:b]) for i, a in enumerate(starts) for b in ends[i:]}


def _confirms(declared: list[str], heading: str) -> bool:
    words = set(_WORD.findall(_plain(heading)))
    others = set(_WORD.findall(_plain(" ".join(declared))))
    return bool(words) and len(words & others) >= _SHARED_WORDS * len(words)


def _without_site(declared: list[str], site: str) -> str:
    """The first declared title, less the site's name."""
    for title in declared:
        starts, ends = _bounds(title)
        if len(starts) == 1:
            return title
        if site and _plain(title[starts[-1] :]) == site:
            return title[: ends[-2]]
        if site and _plain(title[: ends[0]]) == site:
            return title[starts[1] :]
        if any(_plain(other) != _plain(title) for other in declared):
            return title  # `<title>` is the one with the site's name
        return title[: ends[0]] or title
    return ""
