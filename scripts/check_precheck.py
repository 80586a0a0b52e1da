"""Proof of `extraction.precheck_v1`: the pages that are kept without it and dropped with it.

    python -m scripts.check_precheck crawl/*.warc.gz --language en --language de
    python -m scripts.check_precheck crawl/*.warc.gz --cache /tmp/texts --json > found.json

Every page is extracted by trafilatura and its language decided as RefinedWeb does; then the
pre-check's keep rule is asked what it would have dropped before. The pages that are lost by it are
listed. Ends with 1 where they are more than `--at-most` of the pages.
"""

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from scripts.reference import read_archive
from services.extraction.main_text import MainTextParams, page_text, reset_engines
from services.extraction.page import read_page
from services.extraction.steps.precheck_v1 import PrecheckParams, precheck_v1
from services.langid.steps.fasttext_v1 import FastTextParams, fasttext_v1
from shared.rules import KeepRule

RULE = "wanted_score >= 0.05 or null"
FIELDS = ["document", "url", "payload", "content_type"]


@dataclass
class Finding:
    """What the pre-check does for one wanted language. Seconds are CPU time."""

    language: str
    pages: int = 0
    #: By trafilatura's text: the label is the language, its score at least `--score`.
    kept_without: int = 0
    #: Pages that the rule drops before extraction.
    dropped: int = 0
    #: Pages that are kept without the pre-check and dropped by it.
    lost: list[dict[str, Any]] = field(default_factory=list)
    precheck_seconds: float = 0.0
    extraction_seconds: float = 0.0
    extraction_seconds_saved: float = 0.0

    @property
    def share_lost(self) -> float:
        """Of all pages."""
        return len(self.lost) / max(1, self.pages)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archives", nargs="+", type=Path, help="WARC files")
    parser.add_argument(
        "--language", action="append", help="a wanted language, each is checked alone (en, zh, de)"
    )
    parser.add_argument("--rule", default=RULE, help="the pre-check's keep rule (%(default)s)")
    parser.add_argument("--score", type=float, default=0.65, help="of the text (%(default)s)")
    parser.add_argument("--favor-precision", action="store_true", help="as FineWeb extracts")
    parser.add_argument("--at-most", type=float, default=0.002, help="share lost (%(default)s)")
    parser.add_argument("--cache", type=Path, help="a folder that keeps extracted texts")
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    return parser.parse_args()


def extracted(table: pa.Table, params: MainTextParams) -> pa.Table:
    """The text by trafilatura, its language and the seconds that it took, a row a page."""
    texts, seconds = [], []
    for payload, content_type in zip(*(table[n].to_pylist() for n in FIELDS[2:]), strict=True):
        page = None if payload is None else read_page(payload, content_type)
        started = time.process_time()
        texts.append(None if page is None else page_text(page, params))
        seconds.append(time.process_time() - started)
    reset_engines()
    text = pa.table({"text": pa.array(texts, pa.large_string())})
    found = fasttext_v1(text, FastTextParams())
    names = ["text", "language", "score", "seconds"]
    return pa.table([text["text"], found["language"], found["score"], pa.array(seconds)], names)


def cached(archive: Path, params: MainTextParams, folder: Path | None) -> pa.Table:
    """`extracted` for all pages of an archive."""
    import pyarrow.parquet as pq

    known = f"{archive.resolve()} {archive.stat().st_size} {params.model_dump_json()}"
    name = hashlib.blake2b(known.encode(), digest_size=8).hexdigest()
    path = None if folder is None else folder / f"{archive.name}-{name}.parquet"
    if path is not None and path.is_file():
        return pq.read_table(path)
    parts = []
    for table in read_archive(archive):
        parts.append(extracted(table, params))
        done = sum(len(p) for p in parts)
        print(f"\r{archive.name}: {done} pages extracted", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    whole = pa.concat_tables(parts).combine_chunks()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(whole, path)
    return whole


def check(finding: Finding, table: pa.Table, texts: pa.Table, rule: KeepRule, score: float) -> None:
    """Add some pages to a finding."""
    started = time.process_time()
    params = PrecheckParams(languages=(finding.language,))
    measured = precheck_v1(table.select(FIELDS[2:]), params)
    finding.precheck_seconds += time.process_time() - started
    passes = rule.holds({name: measured[name] for name in rule.columns}).to_pylist()
    rows = zip(table.to_pylist(), texts.to_pylist(), measured.to_pylist(), passes, strict=True)
    for page, text, precheck, is_kept in rows:
        finding.pages += 1
        finding.extraction_seconds += text["seconds"]
        wanted = text["language"] == finding.language and text["score"] >= score
        finding.kept_without += wanted
        if is_kept:
            continue
        finding.dropped += 1
        finding.extraction_seconds_saved += text["seconds"]
        if wanted:
            lost = {name: page[name] for name in ("document", "url")}
            lost |= {name: text[name] for name in ("language", "score")}
            finding.lost.append(lost | precheck | {"characters": len(text["text"] or "")})


def report(finding: Finding) -> str:
    """A finding as text."""
    f = finding
    each = 1000 / max(1, f.pages)
    head = (
        f"{f.language}: {f.pages} pages, {f.kept_without} kept without the pre-check",
        f"  dropped before extraction: {f.dropped} of {f.pages - f.kept_without} unwanted",
        f"  lost: {len(f.lost)} ({f.share_lost:.2%} of all pages)",
        f"  CPU a page: pre-check {f.precheck_seconds * each:.2f} ms",
        f"  extraction without it {f.extraction_seconds * each:.2f} ms a page",
        f"  saved extraction {f.extraction_seconds_saved * each:.2f} ms a page",
    )
    lost = (
        f"    {page['document']} {page['url']}: {page['characters']} characters, "
        f"{page['language']} {page['score']:.2f}; wanted_score {page['wanted_score']:.3f}, "
        f"plain {page['plain_language']} {page['plain_score']:.2f}"
        for page in f.lost
    )
    return "\n".join((*head, *lost))


def main() -> int:
    """Check all archives for all languages."""
    args = arguments()
    rule = KeepRule("wanted", args.rule)
    params = MainTextParams(favor_precision=args.favor_precision)
    findings = [Finding(language) for language in args.language or ["en"]]
    for archive in args.archives:
        texts = cached(archive, params, args.cache)
        first = 0
        for table in read_archive(archive):
            for finding in findings:
                check(
                    finding, table.select(FIELDS), texts.slice(first, len(table)), rule, args.score
                )
            first += len(table)
            done = f"\r{archive.name}: {first} of {len(texts)} pages checked"
            print(done, end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    if args.json:
        found = [asdict(f) | {"share_lost": f.share_lost} for f in findings]
        print(json.dumps({"rule": args.rule, "findings": found}, indent=2))
    else:
        print("\n".join(map(report, findings)))
    return int(any(finding.share_lost > args.at_most for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
