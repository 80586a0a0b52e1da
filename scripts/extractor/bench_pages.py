"""The pages of the benchmark, decoded, and what people say their main text is."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.reference import DATA, read_archive
from services.extraction.page import read_page

OPEN = DATA / "warc" / "open"


@dataclass(frozen=True)
class WebPage:
    """A page as every engine gets it."""

    record_id: str
    archive: str
    #: Decoded.
    html: str
    #: Of the payload, in the page's own charset.
    size: int
    #: ISO 639-1, by the manifest.
    language: str


def read_pages(archive: Path, languages: dict[str, str]) -> Iterator[WebPage]:
    """All pages with markup, in the archive's order, as a run reads and decodes them."""
    for table in read_archive(archive):
        columns = (table[name].to_pylist() for name in ("record_id", "payload", "content_type"))
        for record_id, payload, content_type in zip(*columns, strict=True):
            page = read_page(payload, content_type) if payload else None
            if page is not None and page.is_markup:
                language = languages.get(record_id, "en")
                yield WebPage(record_id, archive.name, page.text, len(payload), language)


def read_languages() -> dict[str, str]:
    """Language of each page by record id."""
    with (OPEN / "manifest.jsonl").open() as lines:
        return {row["record_id"]: row["lang"] for row in map(json.loads, lines)}


def read_gold(wanted: set[str]) -> list[dict[str, Any]]:
    """The gold records of the wanted pages, as `extraction_f1.py` reads them."""
    with gzip.open(OPEN / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["record_id"] in wanted]


def evenly(pages: list[WebPage], limit: int | None) -> list[WebPage]:
    """At most `limit` of them, evenly spread."""
    if limit is None or limit >= len(pages):
        return pages
    return [pages[i * len(pages) // limit] for i in range(limit)]
