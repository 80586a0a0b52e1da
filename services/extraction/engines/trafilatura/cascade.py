"""trafilatura's cascade of extractors, each where the one before found too little.

Derived from `trafilatura.core` (Apache-2.0), for its options as they are used here: text, tables,
no comments, no metadata, no language, no duplicates.
"""

import unicodedata
from copy import copy
from functools import cache

from trafilatura.core import (
    ESCALATION_ACCEPT_RATIO,
    ESCALATION_JUSTEXT_RATIO,
    ESCALATION_MAX_LENGTH,
    ESCALATION_PAGE_SHARE,
)
from trafilatura.settings import Extractor
from trafilatura.xml import xmltotxt

from services.extraction.engines.trafilatura.clean import clean, convert
from services.extraction.engines.trafilatura.compare import compare, rescue
from services.extraction.engines.trafilatura.content import extract_content
from services.extraction.engines.trafilatura.lx import Element
from services.extraction.engines.trafilatura.page import Page
from services.extraction.engines.trafilatura.sections import prune_comments
from services.extraction.engines.trafilatura.whole import baseline, covers


@cache
def _options(focus: str) -> Extractor:
    options = Extractor(comments=False, precision=focus == "precision", recall=focus == "recall")
    assert options.focus == focus
    return options


def text_of(page: Page, *, favor_precision: bool) -> str:
    """The main text; `trafilatura_sequence` and what comes after it."""
    options = _options("precision" if favor_precision else "balanced")
    body, text = _extract(page, options)
    if not favor_precision:
        if len(text) < options.min_extracted_size:
            other, other_text = baseline(page)
            if len(other_text) > len(text):
                body, text = other, other_text
        if 0 < len(text) < ESCALATION_MAX_LENGTH and not covers(
            len(text), ESCALATION_PAGE_SHARE, page
        ):
            body, text = _escalate(page, body, text)
    if len(text) < options.min_output_size:
        return ""
    return unicodedata.normalize("NFC", xmltotxt(body, include_formatting=False).strip())


def _extract(page: Page, options: Extractor) -> tuple[Element, str]:
    """Its own extractor, then the others beside it."""
    prunes_comments = options.focus == "precision" and not page.is_forum

    def converted(tree: Element) -> Element:
        convert(tree)
        if prunes_comments:
            prune_comments(tree)
        return tree

    tree = clean(page.copy(), options.focus, page.with_scripts)
    cleaned = copy(tree)
    body, text = extract_content(converted(tree), lambda: converted(copy(cleaned)), options)
    return compare(page, cleaned, body, text, options)


def _escalate(page: Page, body: Element, text: str) -> tuple[Element, str]:
    """Try again with less strictness, and with jusText; keep what is much longer."""
    options = _options("recall")
    retry, retry_text = _extract(page, options)
    other, other_text = rescue(page.copy())
    if len(other_text) > max(len(retry_text), ESCALATION_JUSTEXT_RATIO * len(text)):
        return other, other_text
    if len(retry_text) >= options.min_extracted_size and len(
        retry_text
    ) > ESCALATION_ACCEPT_RATIO * len(text):
        return retry, retry_text
    return body, text
