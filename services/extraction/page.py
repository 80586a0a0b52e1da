"""The decoded page, once for all extraction steps that read the same payload.

Steps of one task get the payloads one after the other: all rows of a chunk the pre-check, those
that are left the extractor, in memory of their own. So a page is known by its bytes; it is looked
up by a few of them and compared in full, which is exact and takes 20 microseconds.
"""

import sys
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from services.extraction.charset import decode
from services.extraction.memory import Memory, remember

#: What the remembered pages may take: a chunk of the archive reader (4 MiB of payload) and its
#: characters, of up to four bytes. The oldest go first.
_MEMORY_BYTES: Final = 24 * 2**20


@dataclass(frozen=True, eq=False)
class Page:
    """A payload with a media type that holds text, as characters.

    Equal payloads with the same Content-Type are one object while they are remembered.
    """

    payload: bytes
    #: Whether an engine has to find the text; plain text is its own.
    is_markup: bool
    text: str
    charset: str

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return len(self.payload) + sys.getsizeof(self.text)


_pages: Memory[Page] = remember(_MEMORY_BYTES)


def read_page(payload: bytes, content_type: str | None) -> Page | None:
    """The decoded page; None where the media type holds no text.

    Text is `text/plain`, and anything with "html" or "xml" in its media type, or without one.
    """
    media_type = (content_type or "").partition(";")[0].strip()
    is_markup = not media_type or "html" in media_type or "xml" in media_type
    if not is_markup and media_type != "text/plain":
        return None
    key = sample(payload, content_type)
    page = _pages.find(key)
    if page is None or page.payload != payload:
        page = Page(payload, is_markup, *decode(payload, content_type))
        _pages.keep(key, page, page.memory)
    return page


def sample(payload: bytes, content_type: str | None) -> Hashable:
    """A key that is equal for equal payloads, and rarely for others."""
    middle = len(payload) // 2
    ends = payload[:64], payload[middle : middle + 64], payload[-64:]
    return len(payload), *ends, content_type
