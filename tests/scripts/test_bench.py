"""The benchmark's report compares equal numbers of pages only, and both sides run for it."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from scripts.bench import measure, ours, report, run
from scripts.bench.measure import DROPPING, STAGES, Measured, Outcome, Pages
from scripts.reference import ROOT, THEIR_PYTHON
from shared.recipe import load_recipe, resolve

#: Stages of 0.5 s on our side, 1.5 s on theirs.
OURS, THEIRS = 0.5, 1.5
OTHER_ENGINES = {f"main text, {engine}" for engine in measure.ENGINES} - {"main text, trafilatura"}


def stages_of(side: str, slow: int, texts: int = 80) -> Outcome:
    seconds = slow * (OURS if side == "ours" else THEIRS)
    found = []
    for stage in STAGES:
        name = stage.name
        if side == "theirs":
            if not stage.block or name in OTHER_ENGINES:
                continue
            name = name.partition(",")[0]
        pages = 100 if stage.over == "pages" else texts
        found.append(Measured(name, pages, seconds, seconds, {"with text": texts}))
    return Outcome({"corpusmill": "0", "datatrove": "1", "trafilatura": "2"}, found, [2**20, 2**19])


def line_of(cpu: float, pages: int = 100) -> Outcome:
    left = {name: 90 - 10 * i for i, name in enumerate(DROPPING)}
    start = Measured("start-up", 8, 2.0, 2.0, left)
    return Outcome({}, [start, Measured("pipeline", pages, cpu, cpu, left)], [3 * 2**20, 2**20])


def outcomes(their_texts: int = 80, their_pages: int = 100) -> dict[str, list[Outcome]]:
    """Three rounds, the last twice as slow."""
    found = {
        f"{side}-stages-stages": [
            stages_of(side, slow, 80 if side == "ours" else their_texts) for slow in (1, 1, 2)
        ]
        for side in ("ours", "theirs")
    }
    memory = {"warm": 100 * 2**20, "peak": 300 * 2**20}
    found["workers"] = [Outcome({}, [Measured("langid: fasttext_v1", 0, 0, 0, memory)])]
    for pages in ("first", "all"):
        found[f"theirs-pipeline-{pages}"] = [line_of(9.0, their_pages), line_of(11.0, their_pages)]
        found[f"ours-pipeline-trafilatura-{pages}"] = [line_of(4.0), line_of(4.0)]
        found[f"ours-pipeline-blocks-{pages}"] = [line_of(1.25), line_of(1.25)]
        found[f"ours-pipeline-resiliparse-{pages}"] = [line_of(0.5), line_of(0.75)]
    return found


def test_numbers_of_the_page() -> None:
    page = report.write_report(["a.warc.gz", "b.warc.gz"], "no lists", outcomes())
    assert "Written by `make bench`;" in page
    assert "| langid: fasttext_v1 | 100 MiB | 300 MiB |" in page
    # 0.5 s over 100 pages are 5 ms a page, over 80 texts 6.25 ms.
    assert "| `WarcReader` | 100 | 5.00 (5.00 to 10.00) | 15.00 (15.00 to 30.00) | 3.0 |" in page
    assert (
        "| `C4QualityFilter` | 80 | 6.25 (6.25 to 12.50) | 18.75 (18.75 to 37.50) | 3.0 |" in page
    )
    assert "| no block of its own | 80 | 6.25 (6.25 to 12.50) | | |" in page
    # Of the line's stages but extraction ours has ten, datatrove eight.
    rest = "| 100 | 50.00 (50.00 to 100.00) | 120.00 (120.00 to 240.00) | 2.4 | at most 4 ms, 12 |"
    assert f"| **all but extraction** | | {rest}" in page
    # Decoding is a part of the main text.
    assert "| all, with trafilatura | | | 100 | 50.00 (50.00 to 100.00) | 135.00 (" in page
    assert "| jusText" not in page
    assert "a line has" not in page
    assert (
        "| trafilatura | first | 100 | 40.00 (40.00 to 40.00) | 100.00 (90.00 to 110.00) |" in page
    )
    assert "| 25.0 | 10.0 | **2.5** | 2.5 | 2.0 s | 2.0 s | 3 MiB | 3 MiB, child 1 MiB |" in page
    assert "| 160.0 | 10.0 | **16.0** | 12 |" in page
    assert "| blocks | first | 100 | 12.50 (12.50 to 12.50) | 100.00 (90.00 to 110.00) |" in page
    assert "| 80.0 | 10.0 | **8.0** | 8 |" in page
    assert "| 80.0 | 10.0 | **8.0** |  |" in page
    assert "| datatrove | all | 100 | 90 | 80 | 70 | 60 | 50 | 40 |" in page


@pytest.mark.parametrize(
    ("change", "what"),
    [({"their_texts": 79}, "language: these"), ({"their_pages": 99}, "trafilatura, first: these")],
)
def test_unequal_pages_are_refused(change: dict[str, int], what: str) -> None:
    with pytest.raises(ValueError, match=f"{what} do not compare"):
        report.write_report(["a.warc.gz"], "", outcomes(**change))


def test_every_stage_has_its_step(tmp_path: Path) -> None:
    (tmp_path / "our-lists.json").write_text("{}")
    steps = ours.bound_steps(Pages(tmp_path / "pages"))
    named = {s.step for s in STAGES} - {"a part of extraction.main_text_v1", "Parquet, all columns"}
    assert named == set(steps)
    raw = ours.line(Pages(tmp_path / "pages"), "blocks")
    line = [b.step.name for b in resolve(load_recipe(raw)).steps]
    dropping = [s.step for s in STAGES if s.name in DROPPING]
    assert [step for step in line if step in dropping] == dropping
    assert "extraction.precheck_v1" not in line


def test_pages_are_evenly_spread() -> None:
    assert run.evenly(["a", "b", "c", "d", "e", "f"], 3) == ["a", "c", "e"]
    assert run.evenly(["a", "b"], 3) == run.evenly(["a", "b"], None) == ["a", "b"]


def test_stages_in_turn_see_every_piece_and_add_up() -> None:
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


@pytest.mark.slow
def test_both_sides_run(tmp_path: Path, sample: list[Path]) -> None:
    if not THEIR_PYTHON.is_file():
        pytest.skip("datatrove's environment is absent: make .venv-bench/installed")
    page = tmp_path / "page.md"
    command = [sys.executable, "-m", "scripts.bench.run", sample[0], "--output", page]
    command += ["--pages", "4", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")]
    stages = {row[0].removeprefix("| "): row for row in rows}
    assert all(float(stages[s.name][4]) >= 0 for s in STAGES)
    assert stages["reading"][3] == "4"
