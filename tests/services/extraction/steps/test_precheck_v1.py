"""The pre-check: wanted pages score high, others low, and what cannot be told is kept."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.extraction.charset import decode
from services.extraction.engines.resiliparse import all_text
from services.extraction.steps.precheck_v1 import COLUMNS, PrecheckParams, precheck_v1
from shared.language import DEFAULT_MODEL, guess
from shared.rules import KeepRule
from shared.schema import arrow_schema, conform

HTML = "text/html; charset=utf-8"
RULE = KeepRule("wanted", "wanted_score >= 0.05 or null")
ENGLISH = "The committee decided to publish the report before the end of the year. " * 5
GERMAN = "Der Ausschuss hat beschlossen, den Bericht vor Jahresende zu veröffentlichen. " * 5
CHINESE = "委员会决定在年底之前公布这份报告，并且将会议记录放在网站上。" * 5


def run(pages, **params):
    table = pa.table(
        {
            "payload": pa.array([p for p, _ in pages], pa.large_binary()),
            "content_type": pa.array([t for _, t in pages], pa.string()),
        }
    )
    out = precheck_v1(table, PrecheckParams(**params))
    return conform(out, arrow_schema(COLUMNS), len(pages), "precheck_v1")


def html(*paragraphs, nav=""):
    body = "".join(f"<p>{p}</p>" for p in paragraphs)
    return f"<html><body><nav>{nav}</nav>{body}</body></html>".encode(), HTML


def kept(table):
    return RULE.holds({"wanted_score": table["wanted_score"]}).to_pylist()


def test_wanted_pages_are_kept_and_others_dropped():
    pages = [html(ENGLISH), html(GERMAN), html(CHINESE)]
    table = run(pages)
    assert table["plain_language"].to_pylist() == ["en", "de", "zh"]
    assert kept(table) == [True, False, False]
    assert kept(run(pages, languages=["zh"])) == [False, False, True]
    assert kept(run(pages, languages=["de", "zh"])) == [False, True, True]


def test_one_paragraph_in_a_wanted_language_is_enough():
    assert kept(run([html(GERMAN, ENGLISH[:200], CHINESE, nav="Impressum")])) == [True]
    many = [f"{GERMAN} {i}" for i in range(3)]
    assert kept(run([html(*many, ENGLISH[:200])])) == [False]
    assert kept(run([html(*many, ENGLISH[:200])], lines=4)) == [True]


def test_a_long_line_is_read_from_its_start():
    page = html(GERMAN[:400] + ENGLISH)
    assert kept(run([page])) == [False]
    assert kept(run([page], line_characters=800)) == [True]


@pytest.mark.parametrize(("score", "is_kept"), [(0.05, True), (0.0499, False), (None, True)])
def test_threshold(score, is_kept):
    values = {"wanted_score": pa.chunked_array([[score]], pa.float64())}
    assert RULE.holds(values)[0].as_py() is is_kept


@pytest.mark.parametrize(
    ("page", "characters"),
    [
        ((b"", HTML), 0),
        ((b"<html><img src='a.png'></html>", HTML), 0),
        ((GERMAN.encode(), "text/plain"), None),
        ((b"\x89PNG", "image/png"), None),
        ((None, None), None),
    ],
)
def test_what_cannot_be_told_is_null_and_kept(page, characters):
    table = run([page])
    assert table.to_pylist() == [
        {
            "plain_language": None,
            "plain_score": None,
            "plain_characters": characters,
            "wanted_score": None,
            "error": None,
        }
    ]
    assert kept(table) == [True]


def test_without_wanted_languages_it_is_off():
    table = run([html(GERMAN), html(ENGLISH)], languages=[])
    assert all(table[column.name].null_count == 2 for column in COLUMNS)
    assert kept(table) == [True, True]


def reference(payload, languages, lines, characters):
    """The same in other words, with the model's whole answer."""
    text = all_text(decode(payload, HTML)[0])
    longest = sorted(text.split("\n"), key=len, reverse=True)[:lines]
    parts = [dict(guess(line[:characters], DEFAULT_MODEL, -1)) for line in longest]
    return len(text), max(sum(part.get(x, 0) for x in languages) for part in parts)


def test_equals_the_reference_on_real_pages(read, open_mini):
    rows = read(open_mini.read_bytes(), open_mini.name).rows[::4]
    for params in ({"languages": ("en",)}, {"languages": ("zh", "es"), "lines": 5}):
        found = run([(r["payload"], HTML) for r in rows], **params).to_pylist()
        for row, ours in zip(rows, found, strict=True):
            if ours["wanted_score"] is not None:
                size, wanted = reference(
                    row["payload"], params["languages"], params.get("lines", 3), 400
                )
                assert ours["plain_characters"] == size
                # Labels below a thousandth count as 0.
                assert abs(ours["wanted_score"] - wanted) <= 0.0011 * len(params["languages"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=60), st.sampled_from([HTML, "text/plain", None]))))
def test_rows_do_not_see_each_other(pages):
    whole = run(pages)
    half = len(pages) // 2
    assert pa.concat_tables([run(pages[:half]), run(pages[half:])]).equals(whole)


@pytest.mark.parametrize("bad", [{"languages": "en"}, {"lines": 0}, {"threshold": 0.05}])
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        PrecheckParams(**bad)
