"""The main text of a page by one of several engines, and the clean-up that all texts get.

trafilatura is the engine of RefinedWeb and FineWeb (specs, sections 1.2 and 10.1), resiliparse the
one of DCLM (section 12), about ten times as fast, jusText the one of The Pile (8.2).
"""

import re
import unicodedata
from typing import Final, Literal

from services.extraction.engines import justext, resiliparse, trafilatura
from services.extraction.engines.justext import JustextParams
from services.extraction.page import Page
from shared.step import Params

Engine = Literal["trafilatura", "resiliparse", "justext", "plain_text"]

#: C0 and C1 controls but newline and tab (specs, section 15.3), and lone surrogates, which pages
#: write as character references and UTF-8 cannot hold.
_CONTROLS: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_NEWLINES: Final = re.compile("\r\n?")


class MainTextParams(Params):
    """Which engine, and how strict. Parameters of the engines that are not chosen do nothing."""

    #: "trafilatura" (RefinedWeb, FineWeb), "resiliparse" (DCLM), "justext" (The Pile), or
    #: "plain_text": all text of the page by resiliparse, as WET has it (CCNet, C4).
    engine: Engine = "trafilatura"
    #: trafilatura: less text, more surely main (FineWeb).
    favor_precision: bool = False
    #: jusText's thresholds and language.
    justext: JustextParams = JustextParams()


def page_text(page: Page, params: MainTextParams) -> str:
    """The main text of a page; plain text passes through. Raises what the engine raises."""
    if not page.is_markup:
        text = page.text
    elif params.engine == "trafilatura":
        text = trafilatura.main_text(page.text, favor_precision=params.favor_precision)
    elif params.engine == "resiliparse":
        text = resiliparse.main_text(page.text)
    elif params.engine == "plain_text":
        text = resiliparse.all_text(page.text)
    else:
        text = justext.main_text(page.text, params.justext)
    return clean(text)


def clean(text: str) -> str:
    """NFC, newlines as line feeds, no control characters but newline and tab.

    trafilatura's output is so already and comes back unchanged.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _CONTROLS.sub("", _NEWLINES.sub("\n", text))
    return unicodedata.normalize("NFC", text)


def reset_engines() -> None:
    """Free what an engine remembers of earlier pages; no result depends on it."""
    trafilatura.reset()
