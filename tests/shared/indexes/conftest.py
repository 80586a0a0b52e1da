"""Fixtures: three days of documents, a batch a day or all in one, under an index."""

import shutil

import pytest

from shared.store import Store
from tests.shared.indexes.support import DAYS, run, three_sources


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return three_sources(tmp_path_factory.mktemp("days"))


@pytest.fixture(scope="module")
def at_once(tmp_path_factory, sources):
    """All days in one batch, under an index of its own: store and pipeline."""
    store = Store(str(tmp_path_factory.mktemp("once")))
    return store, run(store, sources, "all")


@pytest.fixture(scope="module")
def three_days(tmp_path_factory, sources):
    """A batch a day, one after the other: store and pipelines."""
    store = Store(str(tmp_path_factory.mktemp("days") / "store"))
    return store, [run(store, [p], name) for p, name in zip(sources, DAYS, strict=True)]


@pytest.fixture
def days(tmp_path, three_days):
    """The same in a store of the test's own."""
    store, pipelines = three_days
    shutil.copytree(store.url, tmp_path / "store")
    return Store(str(tmp_path / "store")), pipelines
