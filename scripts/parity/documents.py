"""The documents of the check: extracted texts of archives, their URLs, hostile texts, made URLs.

Extraction takes minutes, so its texts are kept in the work folder as long as archive, engine and
the code of the extraction stay the same.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pyarrow as pa

from scripts.parity.sides import Document
from scripts.reference import ROOT, read_archive
from shared.step import load_registry
from shared.testing import HOSTILE_TEXTS, prose

Engine = Literal["trafilatura", "resiliparse", "justext"]
#: Where a rule's own signs stand at the edges of lines, words and texts.
HAND_MADE = (
    "A line about javascript stands here.\nThis site uses cookies, as they do.\nNothing else is.",
    "Some lorem ipsum stands in this line.\nAnother line is here.",
    "Code has { brackets } in this line.\nAnother line is here.",
    "A fact.[12] Another one[edit] stands here [citation needed] too.\nAnd [] nothing.",
    "One two three four. Five six seven! Eight nine ten? \"Eleven twelve.\" It's 'thirteen.'",
    "Dr. Smith went to the U.S. on Jan. 5th. He paid $3.50 to Mr. Jones, e.g. for tea.",
    "line that repeats\nline that repeats\nline that repeats\nline that does not\n",
    "a paragraph\n\na paragraph\n\n\nanother paragraph\n\n",
    "\u2022 one\n\u2022 two\n- three\n  - four\nfive",
    "ends in dots...\nends in an ellipsis\u2026\nends in neither",
    "# # # hash signs # and ## more ###",
    "a b c d e f g h i j " * 6,
    "windows\r\nline\rends\x0bof\x0call\u2028kinds\u2029here",
    "don't can't we'll I'm you've o'clock 'tis rock-n-roll state-of-the-art",
    "user@example.org http://example.org/a?b=c 3.14 1,000 10% :-) ... --- (parens)",
    "Mail jo@example.co.uk, jo.do+x@a-b.org. or @no, a@b; 8.8.8.8, 10.0.0.1, 1.2.3.4.5, 01.2.3.4.",
    "w" * 1001 + " is a long word in this line.\nA short line follows here.",
    "The cost: \u20ac5\u20136 (approx.), \u00bd cup; 5'10\" tall \u2014 see \u00a77.",
    "\u4e00\u4e8c\u4e09\u3002\u56db\u4e94\u516d\uff01\n\u4e03\u516b\u4e5d\uff1f",
)


def hand_made() -> list[Document]:
    """Texts that break rules, prose that passes them, and Gopher's most words and one more."""
    texts = [text for text in HOSTILE_TEXTS if text]
    texts += HAND_MADE
    texts += ["\n".join(prose(seed)) for seed in range(8)]
    texts += [" ".join(["the", "of"] * 50_000), " ".join(["the", "of"] * 50_000 + ["end"])]
    return [Document(f"hand-made/{i}", text) for i, text in enumerate(texts)]


def pages(
    archives: list[Path], engine: Engine, work: Path, limit: int | None = None
) -> tuple[list[Document], list[Document]]:
    """(texts, URLs) of the archives' pages, at most `limit` an archive."""
    texts: list[Document] = []
    urls: list[Document] = []
    work.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        kept = work / f"{archive.name}.{engine}.{limit or 'all'}.{_key(archive)}.json"
        if not kept.is_file():
            print(f"extracting {archive.name}", flush=True)
            found = [list(pair) for pair in _extract(archive, engine, limit)]
            kept.write_text(json.dumps([[asdict(d) for d in pair] for pair in found]))
        for text, url in json.loads(kept.read_text()):
            if text["content"]:
                texts.append(Document(**text))
            urls.append(Document(**url))
    return texts, urls


def _extract(
    archive: Path, engine: Engine, limit: int | None
) -> Iterator[tuple[Document, Document]]:
    """(text, URL) of every page of an archive, by our steps; a page without text has "" ."""
    step = load_registry()["extraction.main_text_v1"]
    assert step.row is not None
    params = step.params.model_validate({"engine": engine})
    seen = 0
    for table in read_archive(archive):
        rows = table.filter(pa.compute.equal(table["record_type"], "response"))
        rows = rows[: None if limit is None else limit - seen]
        seen += len(rows)
        texts = step.row(rows.select(list(step.reads)), params)["text"].to_pylist()
        for row, text in zip(rows.select(["record_id", "url"]).to_pylist(), texts, strict=True):
            name = f"{archive.name} {row['record_id']}"
            yield Document(name, text or ""), Document(name, row["url"])
        if seen == limit:
            return


def _key(archive: Path) -> str:
    """Of all that decides the texts."""
    found = hashlib.sha256(archive.read_bytes())
    for package in ("trafilatura", "resiliparse", "lxml"):
        found.update(version(package).encode())
    for source in sorted((ROOT / "services" / "extraction").rglob("*.py")):
        found.update(source.read_bytes())
    return found.hexdigest()[:16]
