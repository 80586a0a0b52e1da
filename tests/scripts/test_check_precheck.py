"""The pre-check's proof, on the pages that ship with the project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def check(tmp_path, *options):
    archive = ROOT / "sample" / "sample-0.warc.gz"
    command = [
        sys.executable,
        "-m",
        "scripts.check_precheck",
        str(archive),
        "--cache",
        str(tmp_path),
    ]
    return subprocess.run([*command, *options], capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("texts")


def test_no_page_of_the_sample_is_lost(folder):
    done = check(folder, "--json", "--language", "en", "--language", "de")
    assert done.returncode == 0, done.stderr
    for found in json.loads(done.stdout)["findings"]:
        assert found["lost"] == []
        assert found["kept_without"] + found["dropped"] <= found["pages"]
        assert found["kept_without"] > 0
        assert found["dropped"] > 0


def test_lost_pages_are_listed_and_fail(folder):
    """A rule that drops everything loses every page that is kept without it."""
    done = check(folder, "--rule", "wanted_score > 1")
    assert done.returncode == 1
    kept = int(done.stdout.split(" kept without")[0].split()[-1])
    assert f"lost: {kept} " in done.stdout
    assert done.stdout.count("wanted_score") == kept
    assert not check(folder, "--rule", "wanted_score > 1", "--at-most", "1").returncode
