"""The parity check: its small version against datatrove itself, and that it can fail."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.parity import compare, ours, report, sides
from scripts.reference import ROOT, THEIR_PYTHON


def test_small_check_agrees_with_datatrove(tmp_path: Path) -> None:
    if not THEIR_PYTHON.is_file():
        pytest.skip("datatrove's environment is absent: make .venv-bench/installed")
    command = [sys.executable, "-m", "scripts.parity.run", "--small"]
    command += ["--work", tmp_path, "--json", tmp_path / "found.json"]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {(a["group"], a["rule"]): a for a in json.loads((tmp_path / "found.json").read_text())}
    expected = {(group, rule) for group, rules in sides.RULES.items() for rule in rules}
    # The list of bad words is not shipped.
    assert set(found) == expected - {(sides.C4, "bad_words")}
    assert all(a["compared"] >= 75 and a["passes"] for a in found.values())
    # No agreement of filters that never drop.
    assert sum(a["hits"] > 0 for a in found.values()) >= 35
    assert found[sides.REPETITION, "dup_10_gram"]["same_value"] >= 75


@pytest.fixture
def pair() -> list[sides.Side]:
    """Two sides of 300 texts and 3 URLs that agree on everything."""
    pair = [sides.Side({"corpusmill": "0"}) for _ in range(2)]
    for side in pair:
        for group, rules in sides.RULES.items():
            for rule in rules:
                for i in range(3 if group == sides.URL else 300):
                    side.column(group, rule).add(i % 2 == 0, i / 7)
        side.evidence = {"words": ["w"] * 300, "sentences": ["s"] * 300}
        side.evidence["registered_domain"] = ["d"] * 3
    return pair


def agreements(pair: list[sides.Side]) -> dict[tuple[str, str], Any]:
    ids = {"texts": [f"t{i}" for i in range(300)], "urls": ["u0", "u1", "u2"]}
    found = compare.compare(*pair, ids)
    return {(a.group, a.rule): a for a in found}


def test_one_text_in_300_is_within_gophers_floor_and_below_finewebs(pair: list[sides.Side]) -> None:
    our_side = pair[0]
    for group, rule in ((sides.QUALITY, "words_min"), (sides.FINEWEB, "newlines")):
        our_side.column(group, rule).decisions[5] = True
        our_side.column(group, rule).values[5] += 0.25
    our_side.evidence["words"][5] = "other words"
    found = agreements(pair)
    gopher, fineweb = found[sides.QUALITY, "words_min"], found[sides.FINEWEB, "newlines"]
    assert (gopher.same, gopher.compared, gopher.passes) == (299, 300, True)
    assert (fineweb.same, fineweb.passes) == (299, False)
    assert gopher.largest == pytest.approx(0.25)
    (one,) = gopher.disagreements
    assert (one.document, one.cause) == ("t5", "words differ")
    assert (one.ours, one.theirs) == ("0.964286 (kept)", "0.714286 (dropped)")
    faults = report.faults(list(found.values()), [])
    assert "FineWeb: newlines: 299 of 300 documents decided alike" in faults
    assert not any("words_min" in fault and "alike" in fault for fault in faults)
    assert "| t5 | 0.964286 (kept) | 0.714286 (dropped) |" in report.differences([gopher])


def test_what_is_not_compared_and_what_is_missing(pair: list[sides.Side]) -> None:
    our_side, their_side = pair
    their_side.column(sides.C4, "sentences").decisions[0] = None
    our_side.column(sides.C4, "policy").decisions[0] = None
    del our_side.rules[sides.key(sides.URL, "domain")]
    found = agreements(pair)
    assert (found[sides.C4, "sentences"].compared, found[sides.C4, "sentences"].share) == (299, 1.0)
    assert found[sides.C4, "policy"].same == 299
    missing = compare.missing(our_side, their_side)
    assert missing == ["URL filter: domain"]
    faults = report.faults(list(found.values()), missing)
    assert "URL filter: domain: only one side has this rule" in faults
    assert any(f.startswith("C4: policy: no cause is known") for f in faults)


def test_preset_has_every_rule() -> None:
    presets = {preset.name: preset for preset in ours.presets()}
    for step, group in ours.PLAIN.items():
        assert {*presets[step].rules, sides.WHOLE} == set(sides.RULES[group])
    assert set(ours.C4_PARAMETERS) < set(sides.RULES[sides.C4])
