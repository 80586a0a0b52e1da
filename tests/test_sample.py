"""The shipped sample is what its manifest says, by warcio's reading and by ours."""

import hashlib
import io
import json
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator

from shared.shards import ShardReader
from shared.step import load_registry

SAMPLE = Path(__file__).resolve().parents[1] / "sample"
MANIFEST: dict[str, Any] = json.loads((SAMPLE / "manifest.json").read_text())
RECORDS: list[dict[str, Any]] = MANIFEST["records"]
ARCHIVES = {name: (SAMPLE / name).read_bytes() for name in MANIFEST["archives"]}
DAMAGED = {"corrupt member", "truncated member"}
DOCUMENTS = {"response", "revisit"}
CHARSETS = {
    "gb18030": "gb18030",
    "gbk in meta only": "gbk",
    "gbk undeclared": "gbk",
    "gb18030 declared as utf-8": "gb18030",
    "iso-8859-1": "iso-8859-1",
    "windows-1252 undeclared": "cp1252",
    "utf-16 with byte order mark": "utf-16",
    "utf-8 declared as iso-8859-1": "utf-8",
    "unknown charset": "utf-8",
    "no content type": "utf-8",
}


def member(record: dict[str, Any]) -> bytes:
    start = record["offset"]
    return ARCHIVES[record["archive"]][start : start + record["length"]]


def payload(record: dict[str, Any]) -> bytes:
    parsed = next(iter(ArchiveIterator(io.BytesIO(member(record)))))
    return parsed.content_stream().read()


def by_url() -> dict[str, dict[str, Any]]:
    return {r["url"]: r for r in RECORDS if r["type"] == "response"}


def shingles(html: bytes) -> set[tuple[str, ...]]:
    body = re.sub(r"<script.*?</script>|<[^>]*>", " ", html.decode(), flags=re.DOTALL)
    words = body.lower().split()
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def test_the_archives_are_small_and_those_of_the_manifest() -> None:
    assert sum(map(len, ARCHIVES.values())) <= 3_000_000
    assert sorted(ARCHIVES) == sorted(p.name for p in SAMPLE.glob("*.warc.gz"))
    for name, facts in MANIFEST["archives"].items():
        assert facts["bytes"] == len(ARCHIVES[name])
        assert facts["sha256"] == hashlib.sha256(ARCHIVES[name]).hexdigest()


def test_members_tile_the_archives() -> None:
    ends = dict.fromkeys(ARCHIVES, 0)
    for record in RECORDS:
        assert record["offset"] == ends[record["archive"]]
        ends[record["archive"]] += record["length"]
    assert ends == {name: len(data) for name, data in ARCHIVES.items()}


@pytest.mark.parametrize("name", ["sample-0.warc.gz", "sample-1.warc.gz"])
def test_warcio_reads_the_records_of_the_manifest(name: str) -> None:
    read = [
        (r.rec_type, r.rec_headers["WARC-Record-ID"], r.rec_headers.get_header("WARC-Target-URI"))
        for r in ArchiveIterator(io.BytesIO(ARCHIVES[name]))
    ]
    listed = [(r["type"], r["id"], r.get("url")) for r in RECORDS if r["archive"] == name]
    assert read == listed


def test_warcio_reads_every_sound_member_of_the_damaged_archive() -> None:
    for record in RECORDS:
        if record["archive"] == "sample-2.warc.gz" and record.get("how") not in DAMAGED:
            parsed = next(iter(ArchiveIterator(io.BytesIO(member(record)))))
            assert (parsed.rec_type, parsed.rec_headers["WARC-Record-ID"]) == (
                record["type"],
                record["id"],
            )


def test_damaged_members_are_damaged() -> None:
    corrupt, truncated = (r for r in RECORDS if r.get("how") in DAMAGED)
    with pytest.raises(zlib.error):
        zlib.decompress(member(corrupt), 31)
    reader = zlib.decompressobj(31)
    assert reader.decompress(member(truncated)).startswith(b"WARC/1.0\r\n")
    assert not reader.eof
    assert truncated["offset"] + truncated["length"] == len(ARCHIVES[truncated["archive"]])
    assert any(r["offset"] > corrupt["offset"] and r["kind"] == "page" for r in RECORDS)


def test_our_reader_accounts_for_every_record() -> None:
    step = load_registry()["extraction.records_v1"]
    assert step.source is not None
    for name, data in ARCHIVES.items():
        reader = ShardReader(name, len(data), 0, len(data), lambda o, n, d=data: d[o : o + n])
        rows = [row for t in step.source(reader, step.params()) for row in t.to_pylist()]
        listed = [r for r in RECORDS if r["archive"] == name and r["type"] in DOCUMENTS]
        sound = [r["id"] for r in listed if r.get("how") not in DAMAGED]
        assert [r["record_id"] for r in rows if r["record_id"] in sound] == sound
        faults = {r["offset"] for r in listed if r.get("how") in DAMAGED}
        assert faults <= {r["offset"] for r in rows if r["error"]}


def test_languages() -> None:
    pages = [r for r in RECORDS if r["kind"] == "page"]
    counts = Counter(r["language"] for r in pages)
    assert counts["en"] > counts["de"] + counts["zh"]
    assert min(counts["de"], counts["zh"]) >= 30
    for record in pages:
        text = payload(record).decode()
        chinese = len(re.findall(r"[\u4e00-\u9fff]", text)) > 150
        german = len(re.findall(r"\b(?:der|die|das|und|nicht|werden)\b", text)) > 20
        found = "zh" if chinese else "de" if german else "en"
        assert found == record["language"], record["url"]


def test_duplicates_are_what_they_are_called() -> None:
    pages = by_url()
    exact = [r for r in RECORDS if r["kind"] == "exact_duplicate"]
    near = [r for r in RECORDS if r["kind"] == "near_duplicate"]
    assert len(exact) >= 10
    assert len(near) >= 40
    assert all(payload(r) == payload(pages[r["of"]]) for r in exact)
    likeness = []
    for record in near:
        one, two = shingles(payload(record)), shingles(payload(pages[record["of"]]))
        likeness.append(len(one & two) / len(one | two))
    assert min(likeness) > 0.5
    assert sum(s < 1 for s in likeness) >= 40


@pytest.mark.parametrize("how", CHARSETS)
def test_legacy_charsets_decode(how: str) -> None:
    (record,) = (r for r in RECORDS if r.get("how") == how)
    body = payload(record)
    text = body.decode(CHARSETS[how])
    assert {"zh": "zh-CN", "de": "de", "en": "en-US"}[record["language"]] in text
    assert "\ufffd" not in text
    if CHARSETS[how] != "utf-8":
        with pytest.raises(UnicodeDecodeError):
            body.decode()


def test_transfer_encodings_give_the_page_back() -> None:
    pages = {r["how"]: payload(r) for r in RECORDS if r["kind"] == "encoded"}
    for how in ("chunked", "gzip", "deflate", "raw deflate", "gzip chunked"):
        assert pages[how].rstrip().endswith(b"</html>"), how
    plain = by_url()
    redirected = next(r for r in RECORDS if r["kind"] == "redirect")["url"].partition("?")[0]
    assert redirected not in plain or payload(plain[redirected]) == pages["gzip"]


def test_licences_and_origins_are_named() -> None:
    readme = (SAMPLE / "README.md").read_text()
    for version in MANIFEST["packages"].values():
        assert version in readme
    assert all(
        r["origin"].partition(":")[0] in MANIFEST["packages"] for r in RECORDS if "origin" in r
    )
    texts = {p.name: p.read_text() for p in (SAMPLE / "LICENCES").iterdir()}
    assert "Mozilla Public License Version 2.0" in texts["MPL-2.0.txt"]
    assert "GNU GENERAL PUBLIC LICENSE" in texts["GPL-2.txt"]
    assert "Attribution-ShareAlike 3.0" in texts["debian-handbook.copyright.txt"]


def test_readme_counts_are_the_manifests() -> None:
    counts = Counter(r["kind"] for r in RECORDS)
    rows = re.findall(
        r"^\| ([a-z_, ]+) \| ([\d, ]+) \|", (SAMPLE / "README.md").read_text(), re.MULTILINE
    )
    written = {
        kind: int(count)
        for kinds, numbers in rows
        for kind, count in zip(kinds.split(", "), numbers.split(", "), strict=True)
    }
    assert written == counts
