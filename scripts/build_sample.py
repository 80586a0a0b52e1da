"""Build `sample/`: at most 3 MB of WARC from Debian's free documentation.

    apt-get update && python scripts/build_sample.py        (on Debian 12; about half a minute)

Why these packages: their licences allow redistribution, the pages are real HTML of three
generators, and the help of LibreOffice exists in British and American English, which gives
near-duplicates that nobody made up. What a page cannot be by itself (a legacy charset, half a gzip
stream, a broken archive) is made here from such a page and named in `manifest.json`.

The same package versions give the same bytes: dates are those of the packaged files, record ids
are hashes, the order is a seeded shuffle. Nothing is stripped from a page.
"""

import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sample_faults import FAULTS, damaged
from sample_pages import PACKAGES, Page, prose, read_package
from sample_warc import Archive, http_response, payload_digest

ROOT = Path(__file__).resolve().parents[1]
LIMIT_BYTES = 3_000_000
FIELDS = "application/warc-fields"
REQUEST = "application/http; msgtype=request"
ARCHIVES = ("sample-0.warc.gz", "sample-1.warc.gz", "sample-2.warc.gz")
#: Pages taken of each language and package: those of most prose to the byte, so that 3 MB hold text
#: enough to train a small model on.
TAKE = {
    ("en-US", "libreoffice-help-en-us"): 235,
    ("en-US", "debian-handbook"): 85,
    ("en", "debian-reference-en"): 14,
    ("de", "libreoffice-help-de"): 24,
    ("de-DE", "debian-handbook"): 16,
    ("zh-CN", "libreoffice-help-zh-cn"): 24,
    ("zh-CN", "debian-handbook"): 16,
}
LEAST_PROSE = 1500  # characters; in Chinese a third of them
NEAR_DUPLICATE_EVERY = 5  # of the American pages, the British one is taken too
EXACT_DUPLICATES = 12  # pages of the handbook that debian.org publishes a second time
SHORT_PAGES = 16  # pages of LibreOffice's help with hardly any prose
EXCHANGE_EVERY = 12  # a page is surrounded by its request and metadata records


def choose(pages: list[Page]) -> list[tuple[str, Page, dict[str, Any]]]:
    """(kind, page, note) of all records that are sound, in their final order."""
    html = [p for p in pages if p.path.endswith(".html")]
    chosen: list[tuple[str, Page, dict[str, Any]]] = []
    for (lang, package), count in TAKE.items():
        group = [p for p in html if (p.lang, p.package) == (lang, package) and not p.is_index]
        group.sort(key=lambda p: (-prose(p) / len(p.body), p.path))
        long = [p for p in group if prose(p) >= LEAST_PROSE // (3 if p.language == "zh" else 1)]
        chosen += [("page", p, {}) for p in long[:count]]
        if package == "libreoffice-help-en-us":
            chosen += [("short", p, {}) for p in group[-SHORT_PAGES:]]
            chosen += _near_duplicates(long[:count:NEAR_DUPLICATE_EVERY], html)
        if (lang, package) == ("en-US", "debian-handbook"):
            chosen += [
                ("exact_duplicate", _again(p), {"of": p.url}) for p in long[:EXACT_DUPLICATES]
            ]
    chosen += [("index", p, {}) for p in html if p.is_index and p.lang != "en-GB"]
    chosen += [("image", p, {}) for p in pages if p.path.endswith(".png") and p.lang == "en-US"]
    random.Random(0).shuffle(chosen)
    return chosen


def _near_duplicates(
    american: list[Page], html: list[Page]
) -> Iterator[tuple[str, Page, dict[str, Any]]]:
    british = {p.url: p for p in html if p.lang == "en-GB"}
    for page in american:
        twin = british[page.url.replace("/en-US/", "/en-GB/")]
        yield "near_duplicate", twin, {"of": page.url}


def _again(page: Page) -> Page:
    """The handbook's page at its second address."""
    name = page.path.rpartition("/")[2].replace(".html", ".en.html")
    url = f"https://www.debian.org/doc/manuals/debian-handbook/{name}"
    return Page(page.package, page.path, page.lang, url, page.date, page.body)


def add_page(archive: Archive, kind: str, page: Page, note: dict[str, Any]) -> None:
    """A response record; now and then with its request and metadata, as in Common Crawl."""
    headers = {"Content-Type": page.media_type, "Content-Length": str(len(page.body))}
    note = {"language": page.language, "origin": f"{page.package}:{page.path}", **note}
    if kind == "image":
        del note["language"]
    full = len(archive.records) % EXCHANGE_EVERY == 1
    where: dict[str, Any] = {"url": page.url, "date": page.date}
    if full:
        _, _, host, path = page.url.split("/", 3)
        request = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode()
        archive.add("request", "request", request, content_type=REQUEST, **where)
    block = http_response("200 OK", headers, page.body)
    digest = {"WARC-Payload-Digest": payload_digest(page.body)}
    record_id = archive.add(kind, "response", block, extra=digest, note=note, **where)
    if full:
        about = {"WARC-Concurrent-To": record_id}
        fields = b"fetchTimeMs: 0\r\n"
        archive.add("metadata", "metadata", fields, content_type=FIELDS, extra=about, **where)


def build(pages: list[Page]) -> list[Archive]:
    """Sound records in all archives, odd payloads in the second, damaged members in the third."""
    chosen = choose(pages)
    archives = []
    for i, name in enumerate(ARCHIVES):
        archive = Archive(name, date=max(p.date for p in pages))
        info = f"software: corpusmill, scripts/build_sample.py\r\nfilename: {name}\r\n"
        archive.add("warcinfo", "warcinfo", info.encode(), content_type=FIELDS)
        part = chosen[i :: len(ARCHIVES)]
        step = len(part) // len(FAULTS)
        for position, (kind, page, note) in enumerate(part):
            add_page(archive, kind, page, note)
            if i == 1 and position % step == 0 and position // step < len(FAULTS):
                FAULTS[position // step](archive, pages)
            if i == 2 and position == len(part) // 2:
                damaged(archive, pages, "corrupt member", 3)
        archives.append(archive)
    damaged(archives[2], pages, "truncated member", 5)
    return archives


def write(archives: list[Archive], licences: dict[str, bytes]) -> None:
    """`sample/`: archives, manifest, the packages' copyright files and the licences they name."""
    folder = ROOT / "sample"
    (folder / "LICENCES").mkdir(parents=True, exist_ok=True)
    total = sum(len(a.data) for a in archives)
    if total > LIMIT_BYTES:
        raise SystemExit(f"{total} bytes of archives, {LIMIT_BYTES} allowed")
    for archive in archives:
        (folder / archive.name).write_bytes(archive.data)
    facts = {
        a.name: {"bytes": len(a.data), "sha256": hashlib.sha256(a.data).hexdigest()}
        for a in archives
    }
    lines = ",\n".join(json.dumps(r, ensure_ascii=False) for a in archives for r in a.records)
    head = f'"packages": {json.dumps(PACKAGES)},\n"archives": {json.dumps(facts)}'
    (folder / "manifest.json").write_text(f'{{{head},\n"records": [\n{lines}\n]}}\n')
    common = {n: Path("/usr/share/common-licenses", n).read_bytes() for n in ("GPL-2", "MPL-2.0")}
    for name, text in {**licences, **common}.items():
        (folder / "LICENCES" / f"{name}.txt").write_bytes(text)
    print(f"{total} bytes, {sum(len(a.records) for a in archives)} records")


def main() -> None:
    """Download, choose, write."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        read = {n: read_package(n, version, folder) for n, version in PACKAGES.items()}
    pages = [page for found, _ in read.values() for page in found]
    licences = {
        f"{name}.copyright": text
        for name, (_, text) in read.items()
        # The four packages of LibreOffice's help share one text.
        if not name.startswith("libreoffice") or name.endswith("en-us")
    }
    write(build(pages), licences)


if __name__ == "__main__":
    main()
