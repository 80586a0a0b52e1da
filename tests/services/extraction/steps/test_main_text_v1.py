"""Main text: equal to the engines' own results, one row's fault stays its own."""

import gzip
import json
from typing import get_args

import justext
import pyarrow as pa
import pytest
import trafilatura
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.extraction import main_text
from services.extraction.charset import decode
from services.extraction.engines.justext import STOP_LISTS, JustextParams
from services.extraction.engines.justext import main_text as justext_text
from services.extraction.main_text import Engine, clean
from services.extraction.memory import forget
from services.extraction.steps import main_text_v1 as step_module
from services.extraction.steps.main_text_v1 import COLUMNS, MainTextParams, main_text_v1
from shared.schema import arrow_schema, conform
from shared.warming import warm

ARTICLE = "<html><body><nav><a href='/'>Home</a></nav><article>{}</article></body></html>".format(
    "".join(
        f"<p>Paragraph {i} says something that is long enough to be kept, and it goes on for more "
        "than two hundred characters, so that each of the engines will see in it what a reader of "
        "the page came for, and not one of the many things that are around it.</p>"
        for i in range(9)
    )
)
HTML = "text/html; charset=utf-8"


def run(pages, engine="trafilatura", **params) -> pa.Table:
    table = pa.table(
        {
            "payload": pa.array([p for p, _ in pages], pa.large_binary()),
            "content_type": pa.array([t for _, t in pages], pa.string()),
        }
    )
    out = main_text_v1(table, MainTextParams(engine=engine, **params))
    return conform(out, arrow_schema(COLUMNS), len(pages), "main_text_v1")


@pytest.fixture(scope="module")
def mini(read, open_mini):
    rows = read(open_mini.read_bytes(), open_mini.name).rows
    return [(row["record_id"], row["payload"], row["content_type"]) for row in rows]


@pytest.mark.parametrize("favor_precision", [False, True])
def test_text_is_exactly_trafilaturas(mini, favor_precision):
    pages = [(payload, kind) for _, payload, kind in mini[::5]]
    table = run(pages, favor_precision=favor_precision)
    expected = [
        trafilatura.extract(
            decode(payload, kind)[0], include_comments=False, favor_precision=favor_precision
        )
        or ""
        for payload, kind in pages
    ]
    assert table["text"].to_pylist() == expected
    assert sum(map(bool, expected)) > 0.9 * len(expected)


def test_a_page_does_not_depend_on_the_pages_before_it(mini):
    pages = [(payload, kind) for _, payload, kind in mini[:12]]
    there = run(pages)["text"].to_pylist()
    back = run(pages[::-1])["text"].to_pylist()[::-1]
    alone = [run([page])["text"][0].as_py() for page in pages]
    assert there == back == alone


def grams(text: str) -> set[str]:
    flat = "".join(text.split())
    return {flat[i : i + 5] for i in range(len(flat) - 4)}


@pytest.mark.parametrize(("engine", "median"), [("trafilatura", 0.85), ("resiliparse", 0.75)])
def test_text_shares_most_of_the_gold_text(mini, open_mini, engine, median):
    path = open_mini.with_name("open-mini-gold.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        gold = {g["record_id"]: g for g in map(json.loads, file) if g["gold_kind"] == "full"}
    pages = [(i, payload, kind) for i, payload, kind in mini if i in gold][::4]
    texts = run([page[1:] for page in pages], engine)["text"].to_pylist()
    recalls = []
    for (record_id, *_), text in zip(pages, texts, strict=True):
        wanted = grams(gold[record_id]["gold_text"])
        if wanted:
            recalls.append(len(wanted & grams(text)) / len(wanted))
    assert len(recalls) > 20
    assert sorted(recalls)[len(recalls) // 2] >= median


def test_plain_text_passes_through():
    text = "one\r\ntwo\x00 three\x85\n\n\n\ncafe\u0301 http://example.org"
    table = run(
        [(text.encode(), "text/plain; charset=utf-8"), (b"caf\xe9", "text/plain; charset=latin1")]
    )
    assert table["text"].to_pylist() == [
        "one\ntwo three\n\n\n\ncaf\u00e9 http://example.org",
        "caf\u00e9",
    ]
    assert table["charset"].to_pylist() == ["utf-8", "windows-1252"]
    assert table["characters"].to_pylist() == [40, 4]


@pytest.mark.parametrize("kind", ["image/png", "application/pdf", "text/css", "application/json"])
def test_other_media_types_hold_no_text(kind):
    row = run([(ARTICLE.encode(), kind)]).to_pylist()[0]
    assert row == {"text": "", "charset": None, "characters": 0, "error": None}


@pytest.mark.parametrize("kind", [None, HTML, "application/xhtml+xml", "application/xml"])
@pytest.mark.parametrize("engine", ["trafilatura", "resiliparse", "justext"])
def test_pages_go_through_the_engine(kind, engine):
    row = run([(ARTICLE.encode(), kind)], engine).to_pylist()[0]
    assert row["text"].startswith("Paragraph 0 says")
    assert "Home" not in row["text"]
    assert row["characters"] == len(row["text"])


HOSTILE = [
    b"",
    b"   \n\t ",
    b"\x00" * 1000,
    b"<div>" * 3_000,
    b"<html><body>" + b"<p>" * 5_000 + b"x",
    b"<a " + b"b=c " * 50_000 + b">",
    b"<p>" + b"x" * 2_000_000,
    ("<p>" + "\u0301" * 20_000 + "</p>").encode(),
    "<html dir=rtl><p>\u200f\u0645\u0631\u062d\u0628\u0627 \U0001f600</p>".encode(),
    b"<p>&#xd800;&#0;&#x1F600;&#x110000;</p>" * 20,
    b"<?xml version='1.0' encoding='utf-32'?><html><p>hello</p></html>",
    b"%PDF-1.4 \x89\xff\xfe",
    b"\xff\xfe\x00",
]


def test_plain_text_is_all_of_a_page():
    page = b"<nav><a href=/>Home</a></nav><p>One sentence.</p><footer>Imprint</footer>"
    assert run([(page, HTML)], "plain_text")["text"].to_pylist() == [
        "Home\n\nOne sentence.\n\nImprint"
    ]


@pytest.mark.parametrize("engine", ["trafilatura", "resiliparse", "justext", "plain_text"])
def test_hostile_pages_are_rows(engine):
    table = run([*((p, HTML) for p in HOSTILE), (ARTICLE.encode(), HTML)], engine)
    assert "Paragraph 0 says" in table["text"][-1].as_py()
    for row in table.to_pylist():
        assert (row["text"] is None) == (row["error"] is not None)


def test_the_engines_exception_is_the_rows_error(monkeypatch):
    """RecursionError is what lxml's users meet on deep trees."""

    def refuse(html, **_options):
        if "deep" in html:
            raise RecursionError("maximum recursion depth exceeded")
        return html

    monkeypatch.setattr(main_text.trafilatura, "main_text", refuse)
    table = run([(b"deep", HTML), (b"flat", HTML)])
    assert table["text"].to_pylist() == [None, "flat"]
    assert table["error"].to_pylist() == [
        "trafilatura: RecursionError: maximum recursion depth exceeded",
        None,
    ]


def test_text_is_exactly_justexts(mini):
    """On characters the library parses the same tree, if no charset is declared in XML."""
    params = JustextParams(language="de", length_low=60, stopwords_high=0.35)
    stop_words = justext.get_stoplist("German")
    checked = 0
    for _, payload, kind in mini[::6]:
        html = decode(payload, kind)[0]
        if not html.lstrip().startswith("<?xml"):
            paragraphs = justext.justext(html, stop_words, length_low=60, stopwords_high=0.35)
            expected = "\n\n".join(p.text for p in paragraphs if not p.is_boilerplate)
            assert justext_text(html, params) == expected
            checked += bool(expected)
    assert checked > 5


LONG = "The cat and the dog are in the house with all of the others. "  # 10 of 14 are stop words


@pytest.mark.parametrize(
    ("paragraph", "neighbours", "is_good"),
    [
        (LONG * 4, "", True),
        ((LONG * 4)[:200], "", False),  # near-good between bad ones
        ((LONG * 4)[:200], LONG * 4, True),
        ("short one", LONG * 4, True),
        ("short one", "", False),
        ("short <a href='/'>one</a>", LONG * 4, False),
        (LONG * 4 + "\xa9", LONG * 4, False),
        ("Xylophon " * 40, LONG * 4, False),  # no stop words
    ],
)
def test_rules_of_justext(paragraph, neighbours, is_good):
    """Specs 8.3."""
    around = f"<p>{neighbours}</p>"
    page = f"<html><body>{around}<p>{paragraph}</p>{around}</body></html>".encode()
    text = run([(page, HTML)], "justext")["text"][0].as_py()
    marker = paragraph.partition("<")[0].strip()[-9:]
    found = [p for p in text.split("\n\n") if marker in p]
    assert bool(len(found) - 2 * (marker in neighbours)) is is_good


def test_justext_needs_the_pages_language(mini):
    german = "".join(f"<p>Das ist ein Satz, der in {i} Zeilen von der Stadt und dem Land berichtet, "
                     "und es gibt noch mehr, was man über die Leute sagen kann, die da wohnen, und "
                     "auch über das, was sie am Abend tun, wenn sie nicht zu Hause sind.</p>"
                     for i in range(5))  # fmt: skip
    page = (f"<html><body>{german}</body></html>".encode(), HTML)
    assert run([page], "justext")["text"][0].as_py() == ""
    found = run([page], "justext", justext={"language": "de"})["text"][0].as_py()
    assert found.count("Satz") == 5
    free = {"language": "none", "stopwords_low": 0, "stopwords_high": 0}
    assert run([page], "justext", justext=free)["text"][0].as_py() == found


def test_justext_reads_declared_pages_by_their_characters():
    text = "Caf\u00e9 in the north of the city, and it is the best of all that we have seen. " * 4
    page = f"<?xml version='1.0' encoding='iso-8859-1'?><html><body><p>{text}</p></body></html>"
    assert "Caf\u00e9" in run([(page.encode("latin1"), HTML)], "justext")["text"][0].as_py()


def test_every_stop_list_exists():
    assert all(justext.get_stoplist(name) for code, name in STOP_LISTS.items() if code != "none")


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"engine": "boilerpipe"}, "engine"),
        ({"justext": {"language": "English"}}, "justext.language"),
        ({"justext": {"length_low": -1}}, "justext.length_low"),
        ({"justext": {"length": 1}}, "justext.length"),
    ],
)
def test_errors_name_the_field(bad, field):
    with pytest.raises(ValidationError) as caught:
        MainTextParams.model_validate(bad)
    assert ".".join(map(str, caught.value.errors()[0]["loc"])) == field


def test_equal_payloads_are_extracted_once(monkeypatch):
    calls = []

    def counted(page, params):
        calls.append(page.text)
        if "deep" in page.text:
            raise RecursionError("deep")
        return page.text

    monkeypatch.setattr(step_module, "page_text", counted)
    # Differ where the key does not look.
    near = [b"x" * 100 + c + b"x" * 2000 for c in (b"a", b"b")]
    pages = [(near[0], HTML), (b"deep", HTML), (near[1], HTML), (near[0], HTML), (b"deep", HTML),
             (near[0], "text/html"), (None, None), (b"", None), (None, None)]  # fmt: skip
    table = run(pages)
    assert len(calls) == 6  # a fault is no result to remember
    assert run(pages).equals(table)
    assert len(calls) == 8
    assert table["text"].to_pylist() == [
        None if not p or p == b"deep" else p.decode() for p, _ in pages[:7]
    ] + ["", None]
    assert table["error"].null_count == len(pages) - 2


def test_warming_runs_every_engine_on_a_page(monkeypatch):
    """No task waits for an engine to be loaded or compiled."""
    ran = {}
    real = step_module.page_text

    def told(page, params):
        ran[params.engine] = page.is_markup
        return real(page, params)

    monkeypatch.setattr(step_module, "page_text", told)
    warm("extraction")
    assert ran == dict.fromkeys(get_args(Engine), True)


def test_empty_table_and_null_payload():
    assert run([]).num_rows == 0
    row = run([(None, None)]).to_pylist()[0]
    assert set(row.values()) == {None}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=60), st.sampled_from([HTML, "text/plain", None]))))
def test_rows_do_not_see_each_other(pages):
    forget()
    whole = run(pages)
    forget()
    half = len(pages) // 2
    second = run(pages[half:])
    assert pa.concat_tables([run(pages[:half]), second]).equals(whole)


@given(st.text())
def test_clean_text_has_no_controls_and_stays_clean(text):
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert not [c for c in cleaned if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f"]
