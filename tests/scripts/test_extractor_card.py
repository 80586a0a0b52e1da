"""The model card: bins and curve of the confidence, the chart, pictures of failures."""

import json
from xml.etree import ElementTree as ET

import pytest
import yaml

from scripts.extractor.calibration import BINS, bins, calibration_error, chart, correlation, curve
from scripts.extractor.card import TEMPLATE, counted, estimate_row, failure_text, model_facts
from scripts.extractor.gold import Page
from scripts.extractor.pictures import (
    FAILURES,
    MOST_LINES,
    STATES,
    Bar,
    Failure,
    draw,
    lines_of,
    page_bars,
    state,
)
from scripts.extractor.predictions import read_predictions
from scripts.extractor.summary import Estimate
from services.extraction.engines.blocks.engine import extract
from services.extraction.engines.blocks.model import PATH

SVG = "{http://www.w3.org/2000/svg}"
MAIN = "The mill grinds slowly, but every grain that enters leaves as flour in the end."
HTML = f"<title>Mill</title><nav><a href=/>Home</a></nav><h1>The mill</h1><p>{MAIN}</p><p>{MAIN[::-1]}</p>"


def page(**fields):
    standard = {
        "record_id": "<1>",
        "id": "wcxb/1",
        "source": "wcxb",
        "site": "mill.example",
        "language": "en",
        "page_type": "article",
        "kind": "full",
        "url": "",
        "html": HTML,
        "gold_text": f"The mill\n{MAIN}",
    }
    return Page(**(standard | fields))


def colours(svg):
    """How many bars of each colour a picture has."""
    paths = ET.fromstring(svg).iter(f"{SVG}path")
    return {path.get("fill"): path.get("d").count("M") for path in paths}


def test_bins_hold_as_many_pages_each_in_the_order_of_confidence():
    sure = [i / 100 for i in range(100)][::-1]
    found = bins(sure, [one / 2 for one in sure])
    assert [one.pages for one in found] == [10] * BINS
    assert [(one.low, one.high) for one in found[:2]] == [(0.0, 0.09), (0.1, 0.19)]
    assert found[0].confidence == pytest.approx(0.045)
    assert found[0].f1 == pytest.approx(0.0225)


def test_fewer_pages_than_bins_are_a_bin_each():
    assert [one.pages for one in bins([0.5, 0.9, 0.5], [0, 1, 0.5])] == [1, 1, 1]


def test_the_error_weighs_bins_by_pages():
    assert calibration_error(bins([0.5] * 3, [0.7, 0.7, 0.7], 1)) == pytest.approx(0.2)
    assert calibration_error(bins([0.2, 0.2, 0.8], [0.2, 0.2, 0.5], 2)) == pytest.approx(0.1)


def test_the_rank_correlation_has_equals_in_the_middle():
    assert correlation([0.1, 0.2, 0.9], [0.0, 0.5, 0.6]) == pytest.approx(1)
    assert correlation([0.1, 0.2, 0.9], [0.6, 0.5, 0.0]) == pytest.approx(-1)
    # Ranks 1.5, 1.5, 3 beside 1, 2, 3.
    assert correlation([0.1, 0.1, 0.9], [0.0, 0.5, 0.6]) == pytest.approx(0.75**0.5)


def test_the_curve_keeps_from_the_threshold_on():
    found = curve([0.2, 0.5, 0.9], [0.1, 0.6, 0.8], [0.1, 0.5, 0.95])
    assert [(row.pages, row.share) for row in found] == [(3, 1), (2, pytest.approx(2 / 3)), (0, 0)]
    assert [row.f1 for row in found] == [pytest.approx(0.5), pytest.approx(0.7), None]
    assert [row.left_f1 for row in found] == [None, pytest.approx(0.1), pytest.approx(0.5)]


def test_the_chart_has_a_point_for_each_bin_and_threshold():
    sure, f1s = [0.2, 0.5, 0.9], [0.1, 0.6, 0.8]
    drawn = chart(bins(sure, f1s), curve(sure, f1s, [0.3, 0.5, 0.95]))
    root = ET.fromstring(drawn)
    # Nothing is kept at 0.95, so that has a share but no F1.
    assert [len(line.get("points").split()) for line in root.iter(f"{SVG}polyline")] == [3, 2, 3]
    assert drawn == chart(bins(sure, f1s), curve(sure, f1s, [0.3, 0.5, 0.95]))


def test_a_pages_bars_are_its_blocks_by_choice_and_gold():
    extraction = extract(HTML)
    chances = [0, 65536, 0, 65536]
    bars = page_bars(page(), chances)
    assert len(bars) == len(extraction.blocks) == 4
    assert [bar.state for bar in bars] == ["left", "kept", "missed", "wrong"]
    assert [bar.heading for bar in bars] == [False, True, False, False]
    assert bars[2].size == len(MAIN.replace(" ", ""))


def test_chances_of_another_scan_are_refused():
    with pytest.raises(SystemExit, match="train-extractor"):
        page_bars(page(), [0])


def test_a_picture_has_a_bar_for_each_block():
    bars = [Bar(name, heading, 10, 3) for name in STATES for heading in (False, True)] * 2
    drawn = draw("a < b & c", bars)
    assert colours(drawn) == {colour: 2 for _, *both in STATES.values() for colour in both}
    assert "a &lt; b &amp; c" in drawn
    assert drawn == draw("a < b & c", bars)


def test_a_long_page_has_several_blocks_in_a_line_and_stays_small():
    bars = [Bar(list(STATES)[i % 4], i % 9 == 0, i % 300, i % 40) for i in range(20_000)]
    lines = lines_of(bars)
    assert len(lines) == MOST_LINES
    assert sum(bar.size for line in lines for bar in line) == sum(bar.size for bar in bars)
    drawn = draw("long", bars)
    assert sum(colours(drawn).values()) == 4 * MOST_LINES
    assert len(drawn) < 60_000


def test_a_page_without_blocks_has_a_picture():
    assert colours(draw("empty", [])) == {}


def test_states_are_by_choice_and_gold():
    found = {(kept, main): state(kept=kept, main=main) for kept in (0, 1) for main in (0, 1)}
    assert found == {(1, 1): "kept", (1, 0): "wrong", (0, 1): "missed", (0, 0): "left"}


def test_predictions_of_another_training_are_refused(tmp_path):
    path = tmp_path / "cv.jsonl"
    with pytest.raises(SystemExit, match="absent"):
        read_predictions(path, [page()])
    row = {"record_id": "<1>", "text": "", "chances": [1], "confidence": None}
    path.write_text(json.dumps(row))
    assert read_predictions(path, [page()])["<1>"].chances == [1]
    with pytest.raises(SystemExit, match="other pages"):
        read_predictions(path, [page(record_id="<2>")])
    path.write_text(json.dumps({"record_id": "<1>", "text": ""}))
    with pytest.raises(SystemExit, match="no chances"):
        read_predictions(path, [page()])


def test_the_listed_failures_are_five_with_a_sentence():
    listed = yaml.safe_load(FAILURES.read_text(encoding="utf-8"))
    assert len({row["page"] for row in listed}) == len(listed) == 5
    assert all(row["why"].strip().endswith(".") for row in listed)


def test_a_failure_says_what_was_kept():
    bars = [Bar("kept", False, 1000, 1), Bar("wrong", False, 300, 1), Bar("missed", False, 500, 1)]
    text = failure_text(2, Failure(page(), "Because.", 0.25, 3, 84, bars))
    assert "F1 0.250**, number 3 from below of the 84 pages" in text
    assert "Of 1,500 characters of main text 1,000 are kept, and 300 others. Because." in text
    assert "extraction-failure-2.svg" in text


def test_the_cards_words():
    assert counted(["b", "a", "b"]) == "b 2, a 1"
    assert estimate_row("type None", Estimate(0.5, 0.01, 0.4, 0.6, 9)) == (
        *("type not said", "0.500", "0.010", "0.400 to 0.600", "9"),
    )


def test_the_template_asks_for_the_models_facts():
    if not PATH.is_file():
        pytest.skip(f"{PATH.name} is not there")
    template = TEMPLATE.read_text(encoding="utf-8")
    facts = model_facts()
    assert facts["size"] == PATH.stat().st_size
    assert all(f"{{{name}" in template for name in facts)
