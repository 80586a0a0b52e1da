"""Real pages with what people say is their main text, and their folds for cross-validation.

The pages are the test data's `warc/open`, decoded as the extraction service decodes them. Gold
comes from several benchmarks with conventions of their own; `kind` says how much of it there is.
"""

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from scripts.reference import read_archive

#: Where a benchmark wrote its own name in the place of a page's host.
_NO_SITE: Final = "hard"


@dataclass(frozen=True, eq=False)
class Page:
    """A page of the open archives and its gold."""

    record_id: str
    #: Benchmark and page: `wcxb/dev-3074`.
    id: str
    #: The benchmark.
    source: str
    #: The registered domain; pages of one site never part.
    site: str
    #: ISO 639-1.
    language: str
    #: `article`, `forum`, ...; None where the benchmark does not say.
    page_type: str | None
    #: `full`: all of the main text, by people; `regression`: another tool's output, reviewed;
    #: `partial`: some of the main text; `segments`: snippets only; `first_words`; None: no gold.
    kind: str | None
    url: str
    #: The page as characters.
    html: str = field(repr=False)
    gold_text: str | None = field(default=None, repr=False)
    #: Snippets that the main text has, and such that it must not have.
    with_: tuple[str, ...] = field(default=(), repr=False)
    without: tuple[str, ...] = field(default=(), repr=False)
    first_words: str | None = None
    title: str | None = None
    #: Ids of pages with nearly the same text.
    near: tuple[str, ...] = field(default=(), repr=False)


def load_pages(data: Path) -> list[Page]:
    """All pages of the open archives in the order of the manifest; `data` is the test data."""
    folder = data / "warc" / "open"
    with (folder / "manifest.jsonl").open(encoding="utf-8") as lines:
        manifest = [json.loads(line) for line in lines]
    with gzip.open(folder / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        gold = {row["record_id"]: row for row in map(json.loads, lines)}
    near = _near(json.loads((folder / "near_pairs_auto.json").read_text(encoding="utf-8")))
    places = {(row["file"], row["offset"]): row for row in manifest}
    pages = {}
    for name in dict.fromkeys(row["file"] for row in manifest):
        for offset, html in _decoded(folder / name):
            row = places[name, offset]
            key = row["record_id"]
            pages[key] = _page(row, gold.get(key, {}), html, near.get(row["id"], ()))
    return [pages[row["record_id"]] for row in manifest]


def _decoded(archive: Path) -> Iterator[tuple[int, str]]:
    """(offset of the record, characters) of an archive's pages."""
    from services.extraction.page import read_page

    for table in read_archive(archive):
        columns = (table[name].to_pylist() for name in ("offset", "payload", "content_type"))
        for offset, payload, content_type in zip(*columns, strict=True):
            page = None if payload is None else read_page(payload, content_type)
            if page is not None:
                yield offset, page.text


def _page(row: dict[str, Any], gold: dict[str, Any], html: str, near: tuple[str, ...]) -> Page:
    source, _, _ = row["id"].partition("/")
    return Page(
        record_id=row["record_id"],
        id=row["id"],
        source=source,
        site=row["site"],
        language=gold.get("lang") or row["lang"] or "und",
        page_type=row["page_type"],
        kind=gold.get("gold_kind"),
        url=row["url"],
        html=html,
        gold_text=gold.get("gold_text"),
        with_=tuple(gold.get("with") or ()),
        without=tuple(gold.get("without") or ()),
        first_words=gold.get("first_words"),
        title=gold.get("title"),
        near=near,
    )


def _near(pairs: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    near = defaultdict(list)
    for pair in pairs:
        near[pair["a"]].append(pair["b"])
        near[pair["b"]].append(pair["a"])
    return {page: tuple(others) for page, others in near.items()}


def groups(pages: list[Page]) -> list[int]:
    """Pages of one group may not part: those of a site, and of sites that share near-duplicates."""
    of_key: dict[str, int] = {}
    group = list(range(len(pages)))

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = i = group[group[i]]
        return i

    number = {page.id: i for i, page in enumerate(pages)}
    for i, page in enumerate(pages):
        alike = [number[other] for other in page.near if other in number]
        for j in (of_key.setdefault(_site(page), i), *alike):
            low, high = sorted((root(i), root(j)))
            group[high] = low
    return [root(i) for i in range(len(pages))]


def _site(page: Page) -> str:
    """The site; where the benchmark gave none, the host that the page's name begins with."""
    if page.site != _NO_SITE:
        return page.site
    return ".".join(re.split("[.-]", page.id.partition("/")[2])[:2])


def folds(pages: list[Page], k: int, seed: int) -> list[int]:
    """The fold of each page, 0 to k - 1: by group, each with its share of every source and kind.

    Groups go largest first, in seeded order among equals, each to the fold that is then the most
    even: the one that has the least of the sources and page types that the group adds.
    """
    members = defaultdict(list)
    for i, group in enumerate(groups(pages)):
        members[group].append(i)
    order = sorted(members.values())
    Random(seed).shuffle(order)
    order.sort(key=len, reverse=True)
    total = Counter(stratum for page in pages for stratum in _strata(page))
    filled: list[Counter[str]] = [Counter() for _ in range(k)]
    fold = [0] * len(pages)
    for group in order:
        adds = Counter(stratum for i in group for stratum in _strata(pages[i]))
        best = min(
            range(k),
            key=lambda f: sum(
                n * filled[f][stratum] / total[stratum] for stratum, n in adds.items()
            ),
        )
        filled[best] += adds
        for i in group:
            fold[i] = best
    return fold


def _strata(page: Page) -> tuple[str, ...]:
    return "page", f"{page.source} {page.kind}", f"type {page.page_type}", f"in {page.language}"
