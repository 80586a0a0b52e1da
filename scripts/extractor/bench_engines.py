"""The extractors that the benchmark sets side by side, each as characters of a page to main text.

All get the same decoded characters, so that no charset detection is in the comparison, and each
turns them into what it parses (bytes, a tree) on its own clock. Settings are those of the engines
of `extraction.main_text_v1` where it has them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from services.extraction.engines.justext import STOP_LISTS

#: (characters of the page, its language: ISO 639-1) to text.
Extract = Callable[[str, str], str]


@dataclass(frozen=True)
class Engine:
    """An extractor."""

    name: str
    #: How it is called, for the table's reader.
    call: str
    extract: Extract
    #: The distribution whose version is told; "" for our own code.
    package: str = ""


def blocks(html: str, _language: str) -> str:
    """Ours, learned."""
    from services.extraction.engines.blocks import main_text

    return main_text(html)


def compiled_trafilatura(html: str, _language: str) -> str:
    """Trafilatura's algorithm in our code: the same text."""
    from services.extraction.engines.trafilatura import main_text

    return main_text(html, favor_precision=False)


def trafilatura(html: str, _language: str) -> str:
    """The library's default, without comments, as RefinedWeb."""
    from services.extraction.engines.trafilatura import reference

    return reference(html, favor_precision=False)


def trafilatura_precision(html: str, _language: str) -> str:
    """As FineWeb."""
    from services.extraction.engines.trafilatura import reference

    return reference(html, favor_precision=True)


def trafilatura_fast(html: str, _language: str) -> str:
    """Without its fallbacks, readability and jusText."""
    from trafilatura import extract

    return extract(html, fast=True, include_comments=False, deduplicate=False) or ""


def resiliparse(html: str, _language: str) -> str:
    """As DCLM."""
    from services.extraction.engines.resiliparse import main_text

    return main_text(html)


def readability(html: str, _language: str) -> str:
    """Readability's article is HTML: resiliparse writes all of its text, a line a block.

    Of lxml's `text_content` words of neighbouring blocks would be one word.
    """
    from readability import Document

    from services.extraction.engines.resiliparse import all_text

    return all_text(Document(html).summary(html_partial=True))


def justext(html: str, language: str) -> str:
    """With the stop words of the page's language; without any where jusText has no list of it."""
    from services.extraction.engines.justext import JustextParams, main_text

    if language in STOP_LISTS:
        return main_text(html, JustextParams(language=language))
    return main_text(html, JustextParams(language="none", stopwords_low=0, stopwords_high=0))


BLOCKS = "blocks"
#: The one that others are compared with.
REFERENCE = "trafilatura"
ENGINES = {
    engine.name: engine
    for engine in (
        Engine(BLOCKS, "`blocks.main_text(html)`", blocks),
        Engine(
            REFERENCE, "`extract(html, include_comments=False)`", trafilatura, package="trafilatura"
        ),
        Engine(
            "trafilatura, precision",
            "the same with `favor_precision=True`",
            trafilatura_precision,
            package="trafilatura",
        ),
        Engine(
            "trafilatura, fast",
            "the same with `fast=True`",
            trafilatura_fast,
            package="trafilatura",
        ),
        Engine(
            "trafilatura, compiled",
            "`engine: trafilatura`, ours: the same text",
            compiled_trafilatura,
        ),
        Engine(
            "resiliparse",
            "`extract_plain_text(html, main_content=True, alt_texts=False)`",
            resiliparse,
            package="resiliparse",
        ),
        Engine(
            "readability-lxml",
            "`Document(html).summary(html_partial=True)`, its text by resiliparse",
            readability,
            package="readability-lxml",
        ),
        Engine(
            "jusText",
            "its defaults with the stop words of the page's language (told by the manifest)",
            justext,
            package="justext",
        ),
    )
}


def engine_versions(engines: list[Engine]) -> dict[str, str]:
    """Of the packages behind them, and of lxml, which most of them parse with."""
    packages = dict.fromkeys(e.package for e in engines if e.package)
    return {package: version(package) for package in (*packages, "lxml", "numba")}
