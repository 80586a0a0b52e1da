"""The extraction of a page by the engine `blocks`, once for all steps that ask about it.

Steps of one task see a chunk's payloads one after the other: the main text of all pages, then their
confidence, then their blocks.
"""

from typing import TYPE_CHECKING, Final

from services.extraction.memory import Memory, remember
from services.extraction.page import Page

if TYPE_CHECKING:
    from services.extraction.engines.blocks import Extraction

#: What the remembered extractions may take, with their pages: those of a chunk of the archive
#: reader (4 MiB of payload). A page that is larger by itself is extracted again by each step.
_MEMORY_BYTES: Final = 32 * 2**20

_extractions: Memory["Extraction"] = remember(_MEMORY_BYTES)


def extract_page(page: Page) -> "Extraction":
    """The blocks of a page of markup. Equal payloads are one `Page`, by which it is looked up."""
    from services.extraction.engines.blocks import extract

    found = _extractions.find(page)
    if found is None:
        found = extract(page.text)
        _extractions.keep(page, found, page.memory + found.memory)
    return found
