"""A real cluster: private Valkey, two worker processes, a training worker, a gateway over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.gateway.client import Client
from services.gateway.cluster import Cluster
from tests.cluster.support import QUICK, write_archives


@pytest.fixture(scope="session")
def archives(tmp_path_factory) -> list[Path]:
    return write_archives(tmp_path_factory.mktemp("crawl"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    store = tmp_path_factory.mktemp("store")
    with Cluster(str(store), workers=2, environment=QUICK) as running:
        yield running


@pytest.fixture(scope="module")
def client(cluster) -> Iterator[Client]:
    talking = Client(cluster.url)
    yield talking
    talking.close()
