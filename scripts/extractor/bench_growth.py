"""How the time grows with the page: bodies of real pages, joined to pages of twice to 16 times.

The same content at every size: 32 bodies as 32 pages, as 16 pages of two, to two pages of 16. An
engine whose time is linear in the page's size takes as long for each row. Repeating one body would
be another question: engines remember lines, and drop what repeats.
"""

import gc
import math
import re
from typing import Final

from scripts.check_trafilatura import bar
from scripts.extractor.bench_clock import WARM_UP, timed
from scripts.extractor.bench_engines import Engine
from scripts.extractor.bench_pages import WebPage, evenly
from services.extraction.engines.trafilatura import reset

BODIES: Final = 32
SIZES: Final = (1, 2, 4, 8, 16)
_BODY: Final = re.compile(r"<body\b[^>]*>(.*)</body\s*>", re.DOTALL | re.IGNORECASE)


def body_of(html: str) -> str | None:
    """What is between the body's tags; None where the page does not write them both."""
    found = _BODY.search(html)
    return found[1] if found else None


def joined(bodies: list[str], size: int) -> list[str]:
    """Pages of so many bodies."""
    groups = [bodies[i : i + size] for i in range(0, len(bodies), size)]
    return [f"<html><body>{''.join(group)}</body></html>" for group in groups]


def grow(engines: list[Engine], pages: list[WebPage]) -> dict[str, dict[int, float]]:
    """CPU milliseconds a body by engine and bodies a page."""
    whole = [page for page in pages if body_of(page.html)]
    bodies = [body_of(page.html) or "" for page in evenly(whole, BODIES)]
    found: dict[str, dict[int, float]] = {engine.name: {} for engine in engines}
    done = 0
    for size in SIZES:
        grown = joined(bodies, size)
        for engine in engines:
            reset()
            timed(engine, WARM_UP, "en")
            seconds = 0.0
            for html in grown:
                gc.collect()
                seconds += timed(engine, html, "en")[1]
            found[engine.name][size] = 1000 * seconds / max(1, len(bodies))
            done += 1
            bar("growth", done, len(SIZES) * len(engines))
    return found


def exponent(times: dict[int, float]) -> float:
    """Of the power of the page's size that the time grows with, from the least to the largest."""
    small, large = min(times), max(times)
    return 1 + math.log(times[large] / times[small]) / math.log(large / small)
