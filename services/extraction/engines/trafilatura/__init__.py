"""trafilatura 2.3.1's main text with a fraction of its work.

`main_text` returns what `trafilatura.extract(html, include_comments=False)` does. The algorithm is
trafilatura's (Adrien Barbaresi and contributors, Apache-2.0), parts of it are derived from its
code, as the modules say; elements of the main frame are handled by its own functions. What costs
less here, and why the text is the same: docs/trafilatura.md.

A page that holds something which only trafilatura itself treats as trafilatura does (characters
that no tree may hold, tags whose names are no names) is left to it: one in a thousand.
"""

import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def main_text(html: str, *, favor_precision: bool) -> str:
    """The main text of a page; "" where there is none."""
    from services.extraction.engines.trafilatura.cascade import text_of
    from services.extraction.engines.trafilatura.page import read

    try:
        page = read(html, favor_precision=favor_precision)
        return "" if page is None else text_of(page, favor_precision=favor_precision)
    except Exception:  # noqa: BLE001  # what an error means for the text, trafilatura knows
        return reference(html, favor_precision=favor_precision)


def reference(html: str, *, favor_precision: bool) -> str:
    """The same by trafilatura itself."""
    found = _extract()(
        html, favor_precision=favor_precision, include_comments=False, deduplicate=False
    )
    return found or ""


def reset() -> None:
    """Free what trafilatura remembers of earlier pages.

    They are caches of pure functions, so no result depends on them, but each holds up to 1,024
    lines of any length. What is remembered here is small (`marks`, `readability`) and stays.
    """
    _extract()
    meta: Any = import_module("trafilatura.meta")
    # As `meta.reset_caches`, but for a collection of all garbage: nothing cached holds cycles, and
    # in a process with much in memory that takes half a second.
    meta.reset_caches_htmldate()
    meta.reset_caches_courlan()
    meta.LRU_TEST.clear()
    for cached in (
        meta.define_stoplist,
        meta.is_similar_domain,
        meta.line_processing,
        meta.return_printables_and_spaces,
        meta.trim,
        meta._vector_to_add,  # noqa: SLF001
    ):
        cached.cache_clear()


@cache
def _extract() -> Callable[..., str | None]:
    """trafilatura, once it has been told not to log a line for every empty page."""
    import trafilatura

    for name in ("trafilatura", "htmldate"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    extract: Callable[..., str | None] = trafilatura.extract
    return extract
