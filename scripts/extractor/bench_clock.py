"""Texts and CPU times of all engines on the same pages, in one process on one core.

Decoding is outside the clock, for all alike: 0.4 ms a page that no engine can change. Everything
after it is inside: making bytes of the characters, the parse, the search, writing the text, freeing
the trees.

Engines take turns of 32 pages in an order that rotates, so that a machine that gets slower or
faster meets all of them. Not page by page: then the modes of trafilatura would find the lines of
the page in the caches that they share. Before a turn these caches are emptied, as between the
tables of a run, and a page of no interest warms what was emptied (stop words). Garbage is
collected before each call, so that none pays for another's.
"""

import gc
import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field

from scripts.check_trafilatura import bar
from scripts.extractor.bench_engines import Engine
from scripts.extractor.bench_pages import WebPage
from services.extraction.engines.trafilatura import reset

TURN = 32
#: Long enough that every engine goes through all of its parts.
WARM_UP = (
    "<html><head><title>One</title></head><body><div class='menu'><a href='/'>Home</a></div>"
    "<div class='text'>"
    + "<p>It was the best of times and it was the worst of times, as one of the two cities has it"
    " in the words of all who were there and who had to tell what they had seen of it. That is"
    " what the one of them said to the other, and then they were gone, each to a city.</p>"
    * 8
    + "</div></body></html>"
)


@dataclass
class Clocked:
    """What one engine did."""

    #: By record id.
    texts: dict[str, str] = field(default_factory=dict)
    #: CPU seconds of every round, by record id.
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    #: Kinds of errors, by record id; the text is empty then.
    errors: dict[str, str] = field(default_factory=dict)


def clock(
    engines: list[Engine], pages: list[WebPage], label: str, found: dict[str, Clocked], turn: int
) -> None:
    """Every engine over all pages; adds to `found`. `turn`: whose turn is first."""
    gc.collect()
    gc.freeze()  # what is loaded by now is no garbage: a collection takes microseconds
    done = 0
    for start in range(0, len(pages), TURN):
        some = pages[start : start + TURN]
        first = (turn + start // TURN) % len(engines)
        for engine in engines[first:] + engines[:first]:
            take_turn(engine, some, found[engine.name])
            done += len(some)
            bar(label, done, len(pages) * len(engines))
    gc.unfreeze()


def take_turn(engine: Engine, pages: list[WebPage], found: Clocked) -> None:
    """One engine over some pages."""
    reset()
    timed(engine, WARM_UP, "en")
    for page in pages:
        gc.collect()
        text, seconds, error = timed(engine, page.html, page.language)
        found.texts[page.record_id] = text
        found.seconds[page.record_id].append(seconds)
        if error:
            found.errors[page.record_id] = error


def timed(engine: Engine, html: str, language: str) -> tuple[str, float, str]:
    """(text, CPU seconds, kind of the error or "")."""
    start = time.process_time()
    try:
        text, error = engine.extract(html, language), ""
    except Exception as raised:  # noqa: BLE001  # any; it is counted and the text is empty
        text, error = "", type(raised).__name__
    return text, time.process_time() - start, error


def quiet() -> None:
    """No lines about pages that an engine finds odd; the benchmark counts what it raises."""
    for name in ("readability", "trafilatura", "htmldate"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
