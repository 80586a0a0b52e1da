"""Compare our trafilatura with the original on whole archives: the same text, and at what cost.

    python -m scripts.check_trafilatura [--json] [--profile] [ARCHIVE …]

Every page goes through both, one after the other, so that both see the same machine; CPU time.
Without archives, all of the test data's `warc/open`. Exits with 1 where a text differs.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

from scripts.reference import open_archives, read_archive

PACKAGE = "services.extraction.engines.trafilatura"

#: Where a part of the work is called from: (part, module, name), in the original and in ours.
#: What a part calls of other parts counts for those.
ORIGINAL = (
    ("parse, repair", "trafilatura.core", "load_html"),
    ("class, id: prune the raw tree", "trafilatura.core", "prune_unwanted_nodes"),
    ("copies of trees", "trafilatura.core", "copy"),
    ("copies of trees", "trafilatura.main_extractor", "deepcopy"),
    ("clean", "trafilatura.core", "tree_cleaning"),
    ("clean", "trafilatura.external", "tree_cleaning"),
    ("convert", "trafilatura.core", "convert_tags"),
    ("convert", "trafilatura.external", "convert_tags"),
    ("main frame: find, handle", "trafilatura.core", "extract_content"),
    ("main frame: prune sections", "trafilatura.main_extractor", "prune_unwanted_sections"),
    ("readability", "trafilatura.external", "try_readability"),
    ("compare", "trafilatura.core", "compare_extraction"),
    ("jusText", "trafilatura.external", "justext_rescue"),
    ("jusText", "trafilatura.core", "justext_rescue"),
    ("whole page: baseline, length", "trafilatura.core", "baseline"),
    ("whole page: baseline, length", "trafilatura.core", "html2txt"),
    ("write text", "trafilatura.core", "xmltotxt"),
)
OURS = (
    ("parse, repair", f"{PACKAGE}.page", "parse"),
    ("class, id: prune the raw tree", f"{PACKAGE}.page", "_prune"),
    ("copies of trees", f"{PACKAGE}.page", "copy"),
    ("copies of trees", f"{PACKAGE}.cascade", "copy"),
    ("clean", f"{PACKAGE}.cascade", "clean"),
    ("clean", f"{PACKAGE}.compare", "clean"),
    ("convert", f"{PACKAGE}.cascade", "convert"),
    ("convert", f"{PACKAGE}.compare", "convert"),
    ("main frame: find, handle", f"{PACKAGE}.cascade", "extract_content"),
    ("main frame: prune sections", f"{PACKAGE}.content", "prune_sections"),
    ("readability", f"{PACKAGE}.compare", "summary"),
    ("compare", f"{PACKAGE}.cascade", "compare"),
    ("jusText", f"{PACKAGE}.compare", "rescue"),
    ("jusText", f"{PACKAGE}.cascade", "rescue"),
    ("whole page: baseline, length", f"{PACKAGE}.cascade", "baseline"),
    ("whole page: baseline, length", f"{PACKAGE}.cascade", "covers"),
    ("write text", f"{PACKAGE}.cascade", "xmltotxt"),
)
Extract = Callable[..., str]


def pages(archive: Path) -> list[str]:
    """The characters of all pages of an archive."""
    from services.extraction.page import read_page

    found = []
    for table in read_archive(archive):
        columns = (table[name].to_pylist() for name in ("payload", "content_type"))
        for payload, content_type in zip(*columns, strict=True):
            page = None if payload is None else read_page(payload, content_type)
            if page is not None and page.is_markup:
                found.append(page.text)
    return found


def outcome(extract: Extract, html: str, *, favor_precision: bool) -> tuple[str, float]:
    """(text, or the kind of error, CPU seconds)."""
    start = time.process_time()
    try:
        text = extract(html, favor_precision=favor_precision)
    except Exception as error:  # noqa: BLE001  # either may raise anything; it has to be the same
        text = f"error: {type(error).__name__}"
    return text, time.process_time() - start


def compare(archive: Path, *, favor_precision: bool) -> dict[str, Any]:
    """Both on every page."""
    from services.extraction.engines.trafilatura import main_text, reference, reset

    texts = pages(archive)
    extracts = (reference, main_text)
    for extract in extracts:  # imports, stop words
        outcome(extract, texts[0], favor_precision=favor_precision)
    seconds = [0.0, 0.0]
    differing = []
    for number, html in enumerate(texts):
        both = []
        for which in (0, 1) if number % 2 else (1, 0):
            text, took = outcome(extracts[which], html, favor_precision=favor_precision)
            seconds[which] += took
            both.append(text)
        if both[0] != both[1]:
            differing.append(number)
        if number % 64 == 63:  # as between the tables of a run
            reset()
        bar(archive.name, number + 1, len(texts))
    per_page = [1000 * s / len(texts) for s in seconds]
    return {
        "archive": archive.name, "favor_precision": favor_precision, "pages": len(texts),
        "differing": differing, "original_ms": round(per_page[0], 2),
        "ours_ms": round(per_page[1], 2), "times": round(per_page[0] / per_page[1], 2),
    }  # fmt: skip


def bar(name: str, done: int, total: int) -> None:
    """Progress, where somebody looks on."""
    if sys.stderr.isatty():
        filled = 40 * done // total
        end = "\n" if done == total else ""
        print(f"\r{name} {'#' * filled:40} {done}/{total}", end=end, file=sys.stderr, flush=True)


class Parts:
    """CPU seconds of parts that call each other; each second counts once."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._open = ["other"]
        self._since = 0.0

    def switch(self) -> None:
        """Count the time since the last call for the part that is open."""
        now = time.process_time()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, its time counted."""

        @wraps(work)
        def run(*args: Any, **options: Any) -> Any:
            self.switch()
            self._open.append(part)
            self.calls[part] += 1
            try:
                return work(*args, **options)
            finally:
                self.switch()
                self._open.pop()

        return run

    @contextmanager
    def watching(self, places: tuple[tuple[str, str, str], ...]) -> Iterator[None]:
        """Time the calls at these places."""
        modules = [(part, import_module(module), name) for part, module, name in places]
        before = [getattr(module, name) for _, module, name in modules]
        for part, module, name in modules:
            setattr(module, name, self.timed(part, getattr(module, name)))
        self._since = time.process_time()
        try:
            yield
        finally:
            self.switch()
            for (_, module, name), work in zip(modules, before, strict=True):
                setattr(module, name, work)


def profile(archive: Path, *, favor_precision: bool) -> dict[str, Any]:
    """Milliseconds a page of each part, original and ours; page by page in turn."""
    from services.extraction.engines.trafilatura import main_text, reference

    texts = pages(archive)
    sides = (Parts(), ORIGINAL, reference), (Parts(), OURS, main_text)
    for number, html in enumerate(texts):
        for parts, places, extract in sides:
            with parts.watching(places):
                extract(html, favor_precision=favor_precision)
        bar(archive.name, number + 1, len(texts))
    rows = [
        {
            "part": part,
            "original_ms": round(1000 * sides[0][0].seconds[part] / len(texts), 2),
            "ours_ms": round(1000 * sides[1][0].seconds[part] / len(texts), 2),
        }
        for part in (*dict.fromkeys(part for part, _, _ in OURS), "other")
    ]
    total = {key: round(sum(row[key] for row in rows), 2) for key in ("original_ms", "ours_ms")}
    rows.append({"part": "total", **total})
    return {"archive": archive.name, "favor_precision": favor_precision, "parts": rows}


def show(result: dict[str, Any]) -> None:
    """For people."""
    mode = "precision" if result["favor_precision"] else "balanced"
    if "parts" in result:
        print(f"{result['archive']} ({mode}), ms of CPU a page\n| part | trafilatura | ours |")
        print("|---|--:|--:|")
        for row in result["parts"]:
            print(f"| {row['part']} | {row['original_ms']:.2f} | {row['ours_ms']:.2f} |")
    else:
        print(
            f"{result['archive']} ({mode}): {len(result['differing'])} of {result['pages']} pages"
            f" differ {result['differing'][:20]}; {result['original_ms']} ms of CPU a page,"
            f" ours {result['ours_ms']} ({result['times']} times)"
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archives", nargs="*", type=Path, help="WARC files")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--profile", action="store_true", help="where the time goes, by part")
    arguments = parser.parse_args()
    archives = arguments.archives or open_archives()
    differing = 0
    for archive in archives:
        for favor_precision in (False, True):
            work = profile if arguments.profile else compare
            result = work(archive, favor_precision=favor_precision)
            differing += len(result.get("differing", ()))
            print(json.dumps(result), flush=True) if arguments.json else show(result)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
