"""The date on which a page says it was published.

Of several the most trusted decides, not the first: the metadata for sharing, then linked data,
then other metadata, then microdata, then `<time>` that is marked so, or is the only one. Dates of
change are none of publication. The date is the one that is written, in the page's own time zone.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final

from services.extraction.hints.linked import published
from services.extraction.hints.tags import Tag, properties

#: Years outside were never meant: the web's first pages, and room for events to come.
FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2100
_SIGNS: Final = re.compile("[^a-z0-9]+")
#: Names of metadata, best first, without the signs in them.
_SHARING: Final = ("articlepublishedtime", "ogarticlepublishedtime", "articlepublished")
_METADATA_NAMES: Final = (
    "datepublished parselypubdate sailthrudate dcdateissued dctermsissued citationpublicationdate "
    "citationdate cxenseparserecspublishtime cxenseparsepublishtime ogpublishedtime ogpublishdate "
    "ogreleasedate shareaholicarticlepublishedtime publishdate publisheddate publishedtime "
    "publicationdate pubdate dcdate dcdatecreated dctermscreated dctermsdate datecreated date"
)
_METADATA: Final = _METADATA_NAMES.split()
_PUBLISHED_CLASS: Final = re.compile("publi|entry-date|post-date|posted", re.IGNORECASE)

_NAMES_OF_MONTHS: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTHS: Final = _NAMES_OF_MONTHS.split("|")
_NAME: Final = rf"({_NAMES_OF_MONTHS})[a-z]*+\.?"
_YEAR_FIRST: Final = re.compile(
    r"(?<!\d)(\d{4})(?:[-/.]|年\s?)(\d{1,2})(?:[-/.]|月\s?)(\d{1,2})(?!\d)"
)
_COMPACT: Final = re.compile(r"(?<!\d)(\d{4})(\d\d)(\d\d)(?!\d{1,5}(?!\d))")
_YEAR_LAST: Final = re.compile(r"(?<!\d)(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?!\d)")
_DAY_NAME: Final = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th)?[ -]{_NAME},?[ -](\d{{4}})", re.IGNORECASE
)
_NAME_DAY: Final = re.compile(rf"\b{_NAME} (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})", re.IGNORECASE)
_MOST_CHARACTERS: Final = 100
#: No month has a higher number.
_DECEMBER: Final = 12


def find_date(tags: Sequence[Tag], page: str) -> str | None:
    """YYYY-MM-DD, None where the page does not say."""
    values = _values(tags, page)
    return next((day for value in values if (day := parse_date(value))), None)


def _values(tags: Sequence[Tag], page: str) -> Iterator[str]:
    """What may be the date, the most trusted first."""
    metas = _metas(tags)
    yield from (metas[name] for name in _SHARING if name in metas)
    yield from published(tag.text for tag in tags if tag.name == "script" and tag.text)
    yield from (metas[name] for name in _METADATA if name in metas)
    for tag in properties(page, "datePublished"):
        yield tag.attributes.get("content") or tag.attributes.get("datetime") or tag.text
    times = [tag.attributes for tag in tags if tag.name == "time"]
    yield from (time.get("datetime", "") for time in times if "pubdate" in time)
    for time in times:
        if _PUBLISHED_CLASS.search(time.get("class", "")[:_MOST_CHARACTERS]):
            yield time.get("datetime", "")
    days = {day for time in times if (day := parse_date(time.get("datetime", "")))}
    if len(days) == 1:  # many are a list of other pages, or of comments
        yield days.pop()


def _metas(tags: Iterable[Tag]) -> dict[str, str]:
    """Contents of metadata by name, lowered and without signs; of equal names the first."""
    metas: dict[str, str] = {}
    for tag in tags:
        if tag.name == "meta" and (content := tag.attributes.get("content")):
            for key in ("property", "name", "itemprop"):
                name = tag.attributes.get(key, "")[:_MOST_CHARACTERS]
                metas.setdefault(_SIGNS.sub("", name.lower()), content)
    return metas


def parse_date(value: str) -> str | None:
    """The first date in a value, as YYYY-MM-DD.

    Day and month in figures before the year: with dots the day is first; else whichever may be no
    month is the day, and where both may be one the date is unknown.
    """
    value = value[:_MOST_CHARACTERS]
    if found := _YEAR_FIRST.search(value):
        return _valid(found[1], found[2], found[3])
    if found := _COMPACT.search(value):
        return _valid(found[1], found[2], found[3])
    if found := _YEAR_LAST.search(value):
        first, second = int(found[1]), int(found[3])
        if found[2] == "." or first > _DECEMBER:
            return _valid(found[4], second, first)
        return _valid(found[4], first, second) if second > _DECEMBER or first == second else None
    if found := _DAY_NAME.search(value):
        return _valid(found[3], _month(found[2]), found[1])
    if found := _NAME_DAY.search(value):
        return _valid(found[3], _month(found[1]), found[2])
    return None


def _month(name: str) -> int:
    return _MONTHS.index(name.lower()) + 1


def _valid(year: str, month: str | int, day: str | int) -> str | None:
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        return None
    return found.isoformat() if FIRST_YEAR <= found.year <= LAST_YEAR else None
