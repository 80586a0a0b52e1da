"""The parity check: its small version against datatrove itself, and that it can fail."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shared.step import load_registry

ROOT = Path(__file__).resolve().parents[2]
PARITY = ROOT / "scripts" / "parity"
THEIR_PYTHON = ROOT / ".venv-bench" / "bin" / "python"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(PARITY))
    return importlib.import_module


def test_small_check_agrees_with_datatrove(tmp_path: Path, module: Any) -> None:
    if not THEIR_PYTHON.is_file():
        pytest.skip("datatrove's environment is absent: make .venv-bench/installed")
    command = [sys.executable, PARITY / "run.py", "--small"]
    command += ["--work", tmp_path, "--json", tmp_path / "found.json"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "NUMBA_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {(a["group"], a["rule"]): a for a in json.loads((tmp_path / "found.json").read_text())}
    sides = module("sides")
    expected = {(group, rule) for group, rules in sides.RULES.items() for rule in rules}
    # The list of bad words is not shipped.
    assert set(found) == expected - {(sides.C4, "bad_words")}
    assert all(a["compared"] >= 75 and a["passes"] for a in found.values())
    # No agreement of filters that never drop.
    assert sum(a["dropped"] > 0 for a in found.values()) >= 35
    assert found[sides.REPETITION, "dup_10_gram"]["same_value"] >= 75


@pytest.fixture
def sides(module: Any) -> tuple[ModuleType, Any, Any]:
    """Two sides of 300 texts and 3 URLs that agree on everything."""
    sides = module("sides")
    pair = [sides.Side({"corpusmill": "0"}) for _ in range(2)]
    for side in pair:
        for group, rules in sides.RULES.items():
            for rule in rules:
                for i in range(3 if group == sides.URL else 300):
                    side.column(group, rule).add(i % 2 == 0, i / 7)
        side.evidence = {"words": ["w"] * 300, "sentences": ["s"] * 300}
        side.evidence["registered_domain"] = ["d"] * 3
    return sides, *pair


def agreements(module: Any, ours: Any, theirs: Any) -> dict[tuple[str, str], Any]:
    ids = {"texts": [f"t{i}" for i in range(300)], "urls": ["u0", "u1", "u2"]}
    found = module("compare").compare(ours, theirs, ids)
    return {(a.group, a.rule): a for a in found}


def test_one_text_in_300_is_within_gophers_floor_and_below_finewebs(
    module: Any, sides: Any
) -> None:
    names, ours, theirs = sides
    for group, rule in ((names.QUALITY, "words_min"), (names.FINEWEB, "list_ratio")):
        ours.column(group, rule).decisions[5] = True
        ours.column(group, rule).values[5] += 0.25
    ours.evidence["words"][5] = "other words"
    found = agreements(module, ours, theirs)
    gopher, fineweb = found[names.QUALITY, "words_min"], found[names.FINEWEB, "list_ratio"]
    assert (gopher.same, gopher.compared, gopher.passes) == (299, 300, True)
    assert (fineweb.same, fineweb.passes) == (299, False)
    assert gopher.largest == pytest.approx(0.25)
    (one,) = gopher.disagreements
    assert (one.document, one.cause) == ("t5", "words differ")
    assert (one.ours, one.theirs) == ("0.964286 (kept)", "0.714286 (dropped)")
    report = module("report")
    faults = report.faults(list(found.values()), [])
    assert "FineWeb: list_ratio: 299 of 300 documents decided alike" in faults
    assert not any("words_min" in fault and "alike" in fault for fault in faults)
    assert "| t5 | 0.964286 (kept) | 0.714286 (dropped) |" in report.differences([gopher])


def test_what_is_not_compared_and_what_is_missing(module: Any, sides: Any) -> None:
    names, ours, theirs = sides
    theirs.column(names.C4, "sentences").decisions[0] = None
    ours.column(names.C4, "policy").decisions[0] = None
    del ours.rules[names.key(names.URL, "domain")]
    found = agreements(module, ours, theirs)
    assert (found[names.C4, "sentences"].compared, found[names.C4, "sentences"].share) == (299, 1.0)
    assert found[names.C4, "policy"].same == 299
    missing = module("compare").missing(ours, theirs)
    assert missing == ["URL filter: domain"]
    faults = module("report").faults(list(found.values()), missing)
    assert "URL filter: domain: only one side has this rule" in faults
    assert any(f.startswith("C4: policy: no cause is known") for f in faults)


def test_preset_has_every_rule(module: Any) -> None:
    ours, names = module("ours"), module("sides")
    entries = ours.yaml.safe_load(ours.RECIPE.read_text())["steps"]
    presets = {p.name: p for p in map(ours.Preset, entries)}
    assert set(presets) <= set(load_registry())
    for step, group in ours.PLAIN.items():
        assert {*presets[step].rules, names.WHOLE} == set(names.RULES[group])
        types = {c.name: c.type for c in presets[step].step.columns}
        for rule in presets[step].rules.values():
            rule.check_type(types)
