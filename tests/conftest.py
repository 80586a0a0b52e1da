"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_data() -> Path:
    return Path(os.environ.get("CORPUSMILL_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def data_path() -> Path:
    """The folder of real pages and archives; skips where it is absent."""
    path = test_data()
    if not path.is_dir():
        pytest.skip(f"the test data is not at {path}; set CORPUSMILL_TEST_DATA to its folder")
    return path


@pytest.fixture
def sample() -> list[Path]:
    """The archives that ship with the project."""
    return sorted((ROOT / "sample").glob("*.warc.gz"))
