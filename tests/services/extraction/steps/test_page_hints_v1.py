"""The page hints as a step: columns, what is null, and real pages."""

import gzip
import json

import pyarrow as pa
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from services.extraction.steps.page_hints_v1 import COLUMNS, page_hints_v1
from shared.schema import arrow_schema, conform
from shared.step import NoParams

HTML = "text/html; charset=utf-8"
PAGE = (
    "<html lang='de-at'><title>Brot &amp; Käse | Die Seite</title>"
    "<meta property='article:published_time' content='2021-03-04T10:15:00+01:00'>"
    "<h1>Brot &amp; Käse</h1>"
)


def run(pages):
    table = pa.table(
        {
            "payload": pa.array([p for p, _ in pages], pa.large_binary()),
            "content_type": pa.array([t for _, t in pages], pa.string()),
        }
    )
    return conform(page_hints_v1(table, NoParams()), arrow_schema(COLUMNS), len(pages), "hints")


def rows(pages):
    return [tuple(row[c.name] for c in COLUMNS) for row in run(pages).to_pylist()]


def test_hints_of_a_page_in_any_charset():
    expected = ("Brot & Käse", "de-AT", "2021-03-04")
    assert rows([(PAGE.encode(), HTML), (PAGE.encode("latin1"), "text/html")]) == [expected] * 2


@pytest.mark.parametrize(
    "page",
    [
        (None, None),
        (b"", HTML),
        (PAGE.encode(), "text/plain"),
        (PAGE.encode(), "image/png"),
        (b"<p>text</p>", None),
        (b"<html lang><title><meta", HTML),
    ],
)
def test_null_is_what_a_page_does_not_say(page):
    assert rows([page]) == [(None, None, None)]


def test_no_rows():
    assert run([]).num_rows == 0


def test_titles_and_dates_of_real_pages(open_mini):
    """Floors a little below what was measured: a change that loses pages shows here."""
    gold_file = open_mini.with_name("open-mini-gold.jsonl.gz")
    with gzip.open(gold_file, "rt") as lines:
        gold = {g["record_id"]: g for g in map(json.loads, lines)}
    pages, records = [], []
    with open_mini.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            records.append(gold.get(record.headers["WARC-Record-ID"], {}))
            pages.append((record.reader.read(), record.http_headers.get("Content-Type")))
    found = rows(pages)
    pairs = list(zip(found, records, strict=True))
    titles = [(t, g["title"]) for (t, _, _), g in pairs if g.get("title")]
    dates = [(d, g["date"][:10]) for (_, _, d), g in pairs if d and g.get("date")]
    assert len(titles) >= 80
    assert sum(a == b for a, b in titles) >= 52
    assert len(dates) >= 40
    assert sum(a == b for a, b in dates) >= 34
