"""Quality by `../shared/eval/extraction_f1.py`, imported by its path: its scores, its intervals."""

import importlib.util
import json
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from scripts.reference import DATA

#: Page types in the order of the table.
TYPES: Final = (
    *("article", "forum", "listing", "product", "collection", "service", "documentation"),
)
#: The evaluation's default: a source with fewer pages of full gold is not in the macro average.
MIN_PAGES: Final = 10
Scored = list[dict[str, Any]]


@cache
def evaluation() -> ModuleType:
    """The project's evaluation."""
    path = DATA.parent / "eval" / "extraction_f1.py"
    spec = importlib.util.spec_from_file_location("extraction_f1", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


def read_predictions(path: Path) -> dict[str, str]:
    """Texts by record id of a JSONL file of {record_id, text}."""
    with path.open(encoding="utf-8") as lines:
        return {row["record_id"]: row["text"] or "" for row in map(json.loads, lines)}


def score(gold: list[dict[str, Any]], texts: dict[str, str]) -> Scored:
    """Every gold record's scores. Raises ValueError where a record has no text at all."""
    absent = [g["record_id"] for g in gold if g["record_id"] not in texts]
    if absent:
        raise ValueError(f"no prediction for {len(absent)} of {len(gold)} pages: {absent[:3]}")
    scored: Scored = evaluation().score(gold, texts)
    return scored


def summary(pages: Scored, reference: Scored) -> dict[str, Any]:
    """What the table says of one engine; F1 is of pages with full gold by people."""
    tool = evaluation()
    full = [page for page in pages if page["kind"] == "full"]
    all_pages = tool.agg([p if p["kind"] != "regression" else {**p, "kind": "x"} for p in pages])
    macro, interval, difference = tool.macro(pages, MIN_PAGES), None, None
    if macro is not None:  # a try on few pages has none
        interval, difference = tool.bootstrap(pages, reference, MIN_PAGES)
    return {
        "macro": macro,
        "macro_interval": interval,
        "difference_interval": difference,
        "page_mean": all_pages["F1"],
        "precision": all_pages["P"],
        "recall": all_pages["R"],
        "with": all_pages["with"],
        "without": all_pages["w/o"],
        "empty": all_pages["empty"],
        "chinese": mean_f1(page for page in full if page["lang"] == "zh"),
        "types": {t: mean_f1(page for page in full if page["type"] == t) for t in TYPES},
        "sources": {
            source: tool.agg(of) | {"kind": of[0]["kind"]} for source, of in by_source(pages)
        },
    }


def mean_f1(pages: Any) -> float | None:
    """Over the pages; None without any."""
    found: float | None = evaluation().mean(page["f"] for page in pages)
    return found


def by_source(pages: Scored) -> list[tuple[str, Scored]]:
    """Pages of each source, the largest first."""
    found = defaultdict(list)
    for page in pages:
        found[f"{page['source']} ({page['kind']})"].append(page)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def counts(pages: Scored) -> dict[str, int]:
    """How many pages stand behind the columns."""
    full = [page for page in pages if page["kind"] == "full"]
    types = {t: sum(page["type"] == t for page in full) for t in TYPES}
    return {
        "gold": len(pages),
        "full": len(full),
        "chinese": sum(page["lang"] == "zh" for page in full),
        **types,
    }
