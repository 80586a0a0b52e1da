"""Fixtures that all tests share."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

#: Examples of a property that does not say how many: few in the suite, `make properties` has many.
settings.register_profile(
    "suite", max_examples=int(os.environ.get("CORPUSMILL_EXAMPLES", "30")), deadline=None
)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parents[1]


def test_data() -> Path:
    return Path(os.environ.get("CORPUSMILL_TEST_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several test processes one runs the cluster; else a file's tests stay together."""
    for item in items:
        file = item.path.relative_to(ROOT)
        group = "cluster" if file.parts[1] == "cluster" else str(file)
        if "scraped" in getattr(item, "fixturenames", ()):  # one run for all files that look at it
            group = "scraped"
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish() -> None:
    """Collections of garbage, which every batch of pages ends with, need not look at modules."""
    gc.collect()
    gc.freeze()


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
