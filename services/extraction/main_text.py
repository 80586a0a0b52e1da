"""The main text of a page by one of two engines, and the clean-up that all texts get.

trafilatura is the default of RefinedWeb and FineWeb (specs, sections 1.2 and 10.1), resiliparse the
one of DCLM (section 12), about ten times as fast.
"""

import logging
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Final, Literal

from services.extraction.charset import decode

Engine = Literal["trafilatura", "resiliparse"]

#: C0 and C1 controls but newline and tab (specs, section 15.3), and lone surrogates, which pages
#: write as character references and UTF-8 cannot hold.
_CONTROLS: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_NEWLINES: Final = re.compile("\r\n?")


def page_text(
    payload: bytes, content_type: str | None, engine: Engine, *, favor_precision: bool
) -> tuple[str, str | None]:
    """(main text, charset) of a payload; ("", None) where its media type holds no text.

    Plain text passes through, anything with "html" or "xml" in its media type, or without one,
    goes through the engine. Raises what the engine raises.
    """
    media_type = (content_type or "").partition(";")[0].strip()
    is_page = not media_type or "html" in media_type or "xml" in media_type
    if not is_page and media_type != "text/plain":
        return "", None
    text, charset = decode(payload, content_type)
    if is_page and engine == "trafilatura":
        text = _trafilatura(text, favor_precision=favor_precision)
    elif is_page:
        text = _resiliparse(text)
    return clean(text), charset


def clean(text: str) -> str:
    """NFC, newlines as line feeds, no control characters but newline and tab.

    trafilatura's output is so already and comes back unchanged.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _CONTROLS.sub("", _NEWLINES.sub("\n", text))
    return unicodedata.normalize("NFC", text)


def reset_engines() -> None:
    """Free what trafilatura remembers of earlier pages.

    They are caches of pure functions, so no result depends on them, but each holds up to 1,024
    lines of any length.
    """
    from trafilatura.meta import reset_caches

    _trafilatura_extract()
    reset_caches()


def _trafilatura(html: str, *, favor_precision: bool) -> str:
    """As `trafilatura.extract` with its defaults, but without comments."""
    found = _trafilatura_extract()(
        html, favor_precision=favor_precision, include_comments=False, deduplicate=False
    )
    return found or ""


@cache
def _trafilatura_extract() -> Callable[..., str | None]:
    """The function, once its modules have been told not to log a line for every empty page."""
    import trafilatura

    for name in ("trafilatura", "htmldate"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    extract: Callable[..., str | None] = trafilatura.extract
    return extract


def _resiliparse(html: str) -> str:
    """As DCLM calls it: main content, no links, lists with bullets, no alternative texts."""
    from resiliparse.extract.html2text import extract_plain_text

    found: str = extract_plain_text(html, main_content=True, alt_texts=False)
    return found
