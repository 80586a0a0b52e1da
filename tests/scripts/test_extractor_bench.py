"""The benchmark of extractors: what it scores, times and writes; and what a replaced engine does."""

import sys

import pytest

from scripts.extractor import bench, bench_growth, bench_quality, bench_report, replace
from scripts.extractor.bench_clock import WARM_UP, Clocked, clock
from scripts.extractor.bench_engines import ENGINES, REFERENCE, Engine
from scripts.extractor.bench_pages import OPEN, WebPage, read_gold, read_languages, read_pages
from scripts.extractor.bench_results import HELD_OUT, SEEN, Results
from scripts.extractor.replace_report import write_report
from scripts.extractor.replace_sides import Document, Side, change
from scripts.reference import DATA, sample_archives
from shared.recipe import load_recipe, resolve
from shared.store import Store
from shared.testing import html_page, prose, warc_gz, warc_record

EVALUATION = DATA.parent / "eval" / "extraction_f1.py"
needs_evaluation = pytest.mark.skipif(
    not EVALUATION.is_file() or not OPEN.is_dir(), reason="no open pages and no evaluation here"
)


def page(name, html=WARM_UP, language="en"):
    return WebPage(name, "a.warc.gz", html, len(html), language)


def raising(html, language):
    if "best of times" in html:
        raise RuntimeError("no")
    return html


@pytest.mark.parametrize("name", [n for n in ENGINES if n != "blocks"])
def test_engines_find_the_text_and_leave_the_menu(name):
    text = ENGINES[name].extract(WARM_UP, "en")
    assert "tell what they had seen of it." in text
    assert "Home" not in text


@pytest.mark.parametrize("language", ["de", "zh"])
def test_justext_takes_the_stop_words_of_the_language(language):
    german = (
        "<p>Es war die beste und die schlimmste aller Zeiten, wie man sich in der Stadt von den"
    )
    german += " beiden Jahren noch lange erzählt hat, und keiner, der es sah, hat es vergessen.</p>"
    text = ENGINES["jusText"].extract(
        f"<html><body>{(german * 4).replace('</p><p>', ' ')}</body></html>", language
    )
    assert "schlimmste" in text  # by its stop words, or without any by length


def test_every_engine_gets_every_page_and_errors_are_counted():
    engines = [ENGINES["resiliparse"], Engine("bad", "", raising)]
    pages = [page(str(n), f"{WARM_UP}{n}") for n in range(70)] + [page("other", "all is well")]
    found = {engine.name: Clocked() for engine in engines}
    clock(engines, pages, "", found, turn=1)
    clock(engines, pages, "", found, turn=2)
    for one in found.values():
        assert [*one.texts] == [p.record_id for p in pages]
        assert {len(seconds) for seconds in one.seconds.values()} == {2}
    assert not found["resiliparse"].errors
    assert found["bad"].errors == {str(n): "RuntimeError" for n in range(70)}
    assert (found["bad"].texts["0"], found["bad"].texts["other"]) == ("", "all is well")


def test_joined_pages_hold_the_same_bodies():
    bodies = [f"<p>{n}</p>" for n in range(32)]
    for size in bench_growth.SIZES:
        grown = bench_growth.joined(bodies, size)
        assert len(grown) == 32 // size
        inside = "".join(html[len("<html><body>") : -len("</body></html>")] for html in grown)
        assert inside == "".join(bodies)
    assert bench_growth.body_of("<html><BODY class='a'>b</BODY ></html>") == "b"
    assert bench_growth.body_of("<p>no tags</p>") is None


@pytest.mark.parametrize(("power", "expected"), [(0, 1.0), (1, 2.0)])
def test_exponent_of_growth(power, expected):
    times = {size: 3.0 * size**power for size in bench_growth.SIZES}
    assert bench_growth.exponent(times) == pytest.approx(expected)


def test_growth_is_measured_on_pages_with_a_body():
    pages = [page("a"), page("b", "<p>no body</p>")]
    found = bench_growth.grow([ENGINES["resiliparse"]], pages)
    assert [*found["resiliparse"]] == list(bench_growth.SIZES)
    assert all(ms > 0 for ms in found["resiliparse"].values())


def test_pages_of_the_sample():
    archive = sample_archives()[0]
    pages = list(read_pages(archive, {}))
    assert len({p.record_id for p in pages}) == len(pages) > 10
    assert all("<" in p.html and p.size for p in pages)


@needs_evaluation
def test_the_gold_itself_scores_one_and_nothing_scores_nothing():
    gold = read_gold(set([*read_languages()][:300]))
    assert 200 < len(gold) <= 300
    texts = {g["record_id"]: perfect(g) for g in gold}
    scored = bench_quality.score(gold, texts)
    nothing = bench_quality.score(gold, dict.fromkeys(texts, ""))
    best, worst = (bench_quality.summary(s, scored) for s in (scored, nothing))
    assert (best["page_mean"], best["empty"], best["types"]["article"]) == (1.0, 0.0, 1.0)
    assert (worst["page_mean"], worst["empty"], worst["macro"]) == (0.0, 1.0, 0.0)
    assert worst["difference_interval"] == (-1.0, -1.0)
    texts.popitem()
    with pytest.raises(ValueError, match="no prediction for 1 of"):
        bench_quality.score(gold, texts)


def perfect(gold):
    return gold.get("gold_text") or gold.get("first_words") or " ".join(gold.get("with") or [])


def results_of(quality):
    one = {
        **dict.fromkeys(("macro", "page_mean", "precision", "recall", "chinese"), 0.5),
        **dict.fromkeys(("with", "without", "empty"), 0.25),
        "macro_interval": (0.4, 0.6), "difference_interval": (-0.1, 0.1),
        "types": {**dict.fromkeys(bench_quality.TYPES, 0.75), "forum": None},
        "sources": {"s (full)": {"n": 9, "kind": "full", "F1": 0.875}},
    }  # fmt: skip
    found = Results("command", "machine", {"lxml": "1"}, ["a.warc.gz"])
    found.timed = {"archive": "a.warc.gz", "pages": 100, "bytes": 5.0, "rounds": 2}
    found.times = {
        REFERENCE: [float(n) for n in range(1, 101)],
        "blocks": [n / 10 for n in range(1, 101)],
    }
    found.times_all = dict.fromkeys(found.times, 7.0)
    found.errors = {REFERENCE: {"x": "E"}, "blocks": {}}
    found.counts = dict.fromkeys(("gold", "full", "chinese", *bench_quality.TYPES), 3)
    found.quality = dict.fromkeys(quality, one)
    found.growth = {"blocks": dict.fromkeys(bench_growth.SIZES, 2.0)}
    found.memory = {n: {"start": 2**20, "peak": 2**21} for n in ("none", *found.times)}
    return found


def test_numbers_of_the_report():
    engines = [ENGINES[name] for name in (REFERENCE, "blocks")]
    text = bench_report.write_report(results_of([HELD_OUT, SEEN, REFERENCE]), engines)
    assert f"| {REFERENCE} | 50.50 | 50.50 | 99.00 | 100 | 1.0 | 7.00 | 1 | 1 | 2 |" in text
    assert "| blocks | 5.05 | 5.05 | 9.90 | 10 | 10.0 | 7.00 | 0 | 1 | 2 |" in text
    assert f"| {HELD_OUT} | .500 | 0.400 to 0.600 | -0.100 to +0.100 | .500 |" in text
    assert f"| {REFERENCE} | .500 | 0.400 to 0.600 |  | .500 |" in text
    assert f"| {SEEN} | .750 |  | .750 |" in text
    assert "| s (full), 9 pages: F1 | .875 | .875 | .875 |" in text
    assert "| blocks | 2.00 | 2.00 | 2.00 | 2.00 | 2.00 | 1.00 |" in text
    assert "says nothing about quality on other pages" in text
    assert "says nothing" not in bench_report.write_report(results_of([REFERENCE]), engines)


@pytest.mark.slow
@needs_evaluation
def test_a_run_from_archive_to_report(tmp_path, monkeypatch):
    archive = OPEN / "open-zh-00000.warc.gz"
    page_md, told = tmp_path / "page.md", tmp_path / "told.json"
    page_md.write_text("before\n")
    arguments = ["bench", "--archives", str(archive), "--pages", "2", "--rounds", "2"]
    arguments += ["--engines", "resiliparse", "--output", str(page_md), "--json", str(told)]
    monkeypatch.setattr(sys, "argv", arguments)
    bench.main()
    text = page_md.read_text()
    assert text.startswith("before\n\n<!-- make bench-extraction: begin -->\n## Beside other")
    assert "--pages 2 --rounds 2 --engines 'resiliparse'`" in text
    assert '"resiliparse"' in told.read_text()


def side(engine, verdicts):
    documents = {
        name: Document(f"id-{name}", rule, text) for name, (rule, text) in verdicts.items()
    }
    return Side(engine, ["a.x", "b.y"], documents)


BEFORE = side(
    "old",
    {
        "1": (None, "one two three four"),
        "2": (None, "five"),
        "3": ("b.y", "six seven"),
        "4": ("a.x", None),
        "5": ("b.y", ""),
    },
)
NOW = side(
    "new",
    {
        "1": (None, "one two"),
        "2": ("b.y", "eight"),
        "3": (None, "six seven"),
        "4": ("a.x", None),
        "5": ("b.y", ""),
    },
)


@needs_evaluation
def test_documents_that_change_sides():
    found = change(BEFORE, NOW, {})
    assert (found.kept_by_both, found.lost, found.gained) == (1, {"b.y": 1}, {"b.y": 1})
    assert (found.own.documents, found.own.characters, found.other.characters) == (2, 22, 16)
    assert found.own.dropped == {"b.y": 2, "a.x": 1}
    # 2/3, 0 and 1; the page that neither extracts and the one without text are not compared.
    assert (found.compared, found.f1) == (3, pytest.approx((2 / 3 + 0 + 1) / 3))
    assert found.below == {"0.5": 1, "0.8": 2, "0.95": 2}
    text = write_report({"recipe": found}, "new", ["a.warc.gz"])
    assert "| `recipe` | old → new | 5 | 2 → 2 (+0.0 %) | 1 | 1 | 1 | 22 → 16 (-27.3 %) |" in text
    assert "| `b.y` | 2 | 2 | 1 | 1 |" in text
    with pytest.raises(ValueError, match="different documents"):
        change(BEFORE, side("new", {}), {})


@pytest.mark.parametrize("name", replace.RECIPES)
def test_only_the_engine_of_a_recipe_is_replaced(name):
    (own, engine), (other, _) = replace.recipe_of(name, None), replace.recipe_of(name, "justext")
    assert engine in ("trafilatura", "resiliparse", "plain_text")
    mine, replaced = (resolve(load_recipe(raw)).steps for raw in (own, other))
    assert not any(b.step.name.startswith("export.") for b in mine)
    for one, two in zip(mine, replaced, strict=True):
        if one.step.name == replace.MAIN_TEXT:
            assert two.params == one.params.model_copy(update={"engine": "justext"})
        else:
            assert (one.params, one.rule_names) == (two.params, two.rule_names)


@needs_evaluation
def test_a_recipe_with_two_engines(tmp_path):
    bodies = [prose(60), prose(80), ["Too short."]]
    records = [
        warc_record(f"http://a.test/{n}", html_page(str(n), body), n=n)
        for n, body in enumerate(bodies)
    ]
    archive = tmp_path / "a.warc.gz"
    archive.write_bytes(warc_gz(records))
    place = replace.Place(Store(str(tmp_path / "store")), [archive])
    sides = [replace.run(place, "gopher", engine) for engine in (None, "plain_text")]
    assert [s.engine for s in sides] == ["trafilatura", "plain_text"]
    for found in sides:
        rules = [document.rule for document in found.documents.values()]
        assert rules[:2] == [None, None]
        assert rules[2] in found.rules
    texts = [[d.text for d in found.documents.values()] for found in sides]
    assert texts[0][0] != texts[1][0]
