"""Fixtures that all tests share."""

import gc
import os
from pathlib import Path
from typing import Any

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


#: Files that look at the same cluster or rendered chart.
_TOGETHER = {
    "tests/deploy/test_queries.py": "scraped",
    "tests/deploy/test_scaling.py": "scraped",
    "tests/deploy/test_chart.py": "chart",
    "tests/deploy/test_chart_structure.py": "chart",
    "tests/deploy/test_chart_values.py": "chart",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several test processes one runs the cluster; else a file's tests stay together."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "cluster" if file.startswith("tests/cluster/") else _TOGETHER.get(file, file)

    return ByFile(config, log)


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
