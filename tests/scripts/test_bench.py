"""The benchmark's report compares equal numbers of pages only, and its recipe is valid."""

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shared.recipe import load_recipe, parse_yaml, resolve

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("report")


def outcomes(report: ModuleType, their_texts: int = 80) -> dict[str, Any]:
    """Three rounds of 0.5 s a stage of ours and of 1.5 s of theirs, the last twice as slow."""

    def side(seconds: float, texts: int, versions: dict[str, str]) -> dict[str, Any]:
        stages = [
            measured(name, 100 if i < 2 else texts, seconds, seconds, {"with text": texts})
            for i, (name, _, _) in enumerate(report.STAGES)
        ]
        left = {name: 90 - 10 * i for i, (name, _, _) in enumerate(report.STAGES)}
        left[report.ALPHABETIC] = int(10 * seconds)
        pipeline = [measured("pipeline", 100, 2 * seconds, 4 * seconds, left)]
        return {
            "stages": report.Outcome(versions, stages, [2**20, 0]),
            "pipeline": report.Outcome(versions, pipeline, [3 * 2**20, 2**20]),
        }

    measured = importlib.import_module("measure").Measured
    sides = {
        "ours": (0.5, 80, {"corpusmill": "0", "trafilatura": "2"}),
        "theirs": (1.5, their_texts, {"datatrove": "0", "trafilatura": "1"}),
    }
    return {
        f"{who}-{mode}": [side(seconds * slow, texts, versions)[mode] for slow in (1, 1, 2)]
        for who, (seconds, texts, versions) in sides.items()
        for mode in ("stages", "pipeline")
    }


def test_numbers_of_the_page(report: ModuleType) -> None:
    page = report.write_report("a.warc.gz", outcomes(report))
    # 0.5 s over 100 pages are 5 ms a page, over 80 texts 6.25 ms; six stages add up to 30 ms.
    assert "| `WarcReader` | 100 | 5.00 (5.00 to 10.00) | 15.00 (15.00 to 30.00) | 3.0 |" in page
    assert "| 80 | 6.25 (6.25 to 12.50) | 18.75 (18.75 to 37.50) | 3.0 |" in page
    assert "| all | | | 100 | 30.00 (30.00 to 60.00) | 90.00 (90.00 to 180.00) | 3.0 |" in page
    assert "| all but main text | | | 100 | 25.00 (25.00 to 50.00) |" in page
    assert "| Corpusmill | 100 | 10.00 (10.00 to 20.00) | 20.00 | 100.0 | 3 MiB | 80 | 70 |" in page
    assert "| 30.00 (30.00 to 60.00) | 60.00 | 33.3 | 3 MiB, child 1 MiB | 80 | 70 |" in page
    assert "drops 15 pages there, 5 here" in page


def test_unequal_pages_are_refused(report: ModuleType) -> None:
    with pytest.raises(ValueError, match="do not compare"):
        report.write_report("a.warc.gz", outcomes(report, their_texts=79))


def test_the_recipe_runs_the_stages(report: ModuleType) -> None:
    raw = parse_yaml((BENCH / "recipe.yaml").read_text(), "recipe.yaml")
    steps = resolve(load_recipe(raw)).steps
    assert [b.step.name for b in steps] == [ours for _, ours, _ in report.STAGES]


def test_stages_in_turn_see_every_piece_and_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    measure = importlib.import_module("measure")
    seen: list[tuple[str, int]] = []

    def work(stage: str, piece: int) -> int:
        seen.append((stage, piece))
        return piece * sum(range(20_000))

    works = [partial(work, "a"), partial(work, "b")]
    totals, results = measure.timed_in_turn(["a", "b"], [1, 0], works)
    assert seen == [("a", 1), ("b", 1), ("a", 0), ("b", 0)]
    assert results == [[199_990_000, 0], [199_990_000, 0]]
    assert [t.stage for t in totals] == ["a", "b"]
    assert all(t.wall_seconds > 0 and t.cpu_seconds >= 0 for t in totals)
