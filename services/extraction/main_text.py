"""The main text of a page by one of several engines, and the clean-up that all texts get.

trafilatura is the engine of RefinedWeb and FineWeb (specs, sections 1.2 and 10.1), resiliparse the
one of DCLM (section 12), about ten times as fast, jusText the one of The Pile (8.2).
`blocks` is the project's own, learned from pages with their text (docs/extraction.md).
"""

import operator
import re
import unicodedata
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from services.extraction.engines import justext, resiliparse, trafilatura
from services.extraction.engines.justext import JustextParams
from services.extraction.page import Page
from services.extraction.page_blocks import extract_page
from shared.resources import Resource
from shared.step import Params

Engine = Literal["trafilatura", "resiliparse", "justext", "plain_text", "blocks"]
#: The trees of the engine `blocks`.
MODEL: Final = "package:services/extraction/engines/blocks/model.bin"

#: C0 and C1 controls but newline and tab (specs, section 15.3), and lone surrogates, which pages
#: write as character references and UTF-8 cannot hold.
_CONTROLS: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_NEWLINES: Final = re.compile("\r\n?")


def _check_shipped(model: Resource) -> Resource:
    if model.uri != MODEL:
        raise ValueError(f"the engine `blocks` has one model, {MODEL}")
    return model


#: A parameter by which fingerprints depend on the content of the model's file: after an update with
#: other trees nothing that the old ones gave is taken for theirs.
BlocksModel = Annotated[Resource, AfterValidator(_check_shipped)]


class BlocksParams(Params):
    """The engine `blocks`."""

    #: The only one; its content is part of the fingerprint.
    model: BlocksModel = Resource(uri=MODEL)


class MainTextParams(Params):
    """Which engine, and how strict. Parameters of the engines that are not chosen do nothing."""

    #: "trafilatura" (RefinedWeb, FineWeb), "resiliparse" (DCLM), "justext" (The Pile), "blocks", or
    #: "plain_text": all text of the page by resiliparse, as WET has it (CCNet, C4).
    engine: Engine = "trafilatura"
    #: trafilatura: less text, more surely main (FineWeb).
    favor_precision: bool = False
    #: jusText's thresholds and language.
    justext: JustextParams = JustextParams()
    # The two below are left out of what is written and hashed where they have no say, so that
    # columns of the other engines are the same as before there was `blocks`.
    #: blocks: headings, lists, tables and code as Markdown.
    markdown: bool = Field(default=False, exclude_if=operator.not_)
    #: blocks: its only model; null for the other engines.
    model: BlocksModel | None = Field(default=None, exclude_if=operator.not_)

    @field_validator("markdown")
    @classmethod
    def _refuse_markdown(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001
        if value and info.data.get("engine") != "blocks":
            raise ValueError("only the engine `blocks` writes Markdown")
        return value

    @field_validator("model", mode="before")
    @classmethod
    def _name_model(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("engine") == "blocks":
            return value or MODEL
        if value is not None:
            raise ValueError("only the engine `blocks` has a model")
        return None


def page_text(page: Page, params: MainTextParams) -> str:
    """The main text of a page; plain text passes through. Raises what the engine raises."""
    if not page.is_markup:
        text = page.text
    elif params.engine == "trafilatura":
        text = trafilatura.main_text(page.text, favor_precision=params.favor_precision)
    elif params.engine == "resiliparse":
        text = resiliparse.main_text(page.text)
    elif params.engine == "blocks":
        found = extract_page(page)
        text = found.write(markdown=True) if params.markdown else found.text
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
