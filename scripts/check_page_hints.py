"""Quality and cost of `extraction.page_hints_v1` on pages with gold titles and dates.

    python -m scripts.check_page_hints                   # all open archives, a row an archive
    python -m scripts.check_page_hints --trafilatura     # and what trafilatura's metadata say

A title is right where it is the gold one but for white space and case, a date where it is the same
day, a language where it is the one that people noted. "said" is on how many of the pages with gold
there is a hint at all. Milliseconds are CPU time a page, without the decoding of its charset.
"""

import argparse
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from scripts.reference import DATA, open_archives, read_archive
from services.extraction.hints import Hints, find_hints
from services.extraction.page import read_page

OPEN = DATA / "warc" / "open"
FIELDS = ("title", "date", "language")


def gold_hints() -> dict[str, Hints]:
    """What is right, by record id."""
    with (OPEN / "manifest.jsonl").open() as lines:
        languages = {r["record_id"]: r.get("lang") for r in map(json.loads, lines)}
    with gzip.open(OPEN / "gold.jsonl.gz", "rt") as lines:
        gold = {g["record_id"]: g for g in map(json.loads, lines)}
    return {
        key: Hints(
            normal(gold.get(key, {}).get("title")),
            language,
            (gold.get(key, {}).get("date") or "").strip()[:10] or None,
        )
        for key, language in languages.items()
    }


def normal(title: str | None) -> str | None:
    """White space and case do not count."""
    return " ".join((title or "").split()).lower() or None


def pages(archive: Path) -> Iterator[tuple[str, str]]:
    """Record id and characters of each page of HTML."""
    for table in read_archive(archive):
        columns = (table[name].to_pylist() for name in ("record_id", "payload", "content_type"))
        for record, payload, content_type in zip(*columns, strict=True):
            page = None if payload is None else read_page(payload, content_type)
            if page is not None and page.is_markup:
                yield record, page.text


def trafilatura_hints(page: str) -> Hints:
    """Its metadata; the language is none that the page says."""
    from trafilatura import extract_metadata

    found = extract_metadata(page)
    return Hints(found.title, None, found.date)


def count(archive: Path, gold: dict[str, Hints], *, trafilatura: bool) -> Counter[str]:
    """Of one archive."""
    counts: Counter[str] = Counter()
    find = trafilatura_hints if trafilatura else find_hints
    for record, page in pages(archive):
        started = time.process_time()
        found = find(page)
        counts["seconds"] += time.process_time() - started  # type: ignore[assignment]
        counts["pages"] += 1
        if record not in gold:
            continue
        said = Hints(normal(found.title), (found.language or "").partition("-")[0], found.date)
        for field in FIELDS:
            wanted, value = getattr(gold[record], field), getattr(said, field)
            if wanted:
                counts[f"{field} gold"] += 1
                counts[f"{field} said"] += bool(value)
                counts[f"{field} right"] += value == wanted
    return counts


def row(name: str, counts: Counter[str]) -> str:
    """A row of the table."""
    cells = [name, f"{counts['pages']:,}"]
    cells += [f"{counts[f'{f} {k}']:,}" for f in FIELDS for k in ("gold", "said", "right")]
    return f"| {' | '.join(cells)} | {1000 * counts['seconds'] / max(1, counts['pages']):.2f} |"


def main() -> None:
    """The table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archives", nargs="*", type=Path, help="WARC files (all open archives)")
    parser.add_argument("--trafilatura", action="store_true", help="also trafilatura's metadata")
    args = parser.parse_args()
    gold = gold_hints()
    heads = [f"{f} {k}" for f in FIELDS for k in ("gold", "said", "right")]
    print(f"| archive | pages | {' | '.join(heads)} | ms |")
    print(f"|---|{'--:|' * (len(heads) + 2)}")
    for is_theirs in (False, True)[: 1 + args.trafilatura]:
        whole: Counter[str] = Counter()
        for archive in args.archives or open_archives():
            counts = count(archive, gold, trafilatura=is_theirs)
            whole.update(counts)
            name = archive.name.partition(".")[0]
            print(row(f"{name}, trafilatura" if is_theirs else name, counts), flush=True)
        print(row("all, trafilatura" if is_theirs else "all", whole))


if __name__ == "__main__":
    main()
