"""What a page says of itself: its title, its language, its date of publication.

Hints are the page's own word, never a guess from its text; where it says nothing they are None.
"""

from typing import NamedTuple

from services.extraction.hints.dates import find_date
from services.extraction.hints.languages import find_language
from services.extraction.hints.tags import look
from services.extraction.hints.titles import find_title


class Hints(NamedTuple):
    """None where the page does not say."""

    title: str | None
    #: BCP 47: language, script and region, in their usual case.
    language: str | None
    #: YYYY-MM-DD.
    date: str | None


def find_hints(page: str) -> Hints:
    """The hints of a page of HTML; 1.6 ms of CPU for a page of 260,000 characters."""
    tags = list(look(page))
    return Hints(find_title(tags), find_language(tags), find_date(tags, page))
