"""A real gateway over HTTP with its queue and conductor; the batch's tasks run in this process."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from services.gateway.cli import app
from services.gateway.client import Client
from services.gateway.cluster import Cluster
from shared.shards import Batch
from shared.store import Store
from shared.testing import drive, html_page, prose, warc_gz, warc_record

RECIPE: dict[str, Any] = {
    "name": "look",
    "steps": [
        {"extraction.records_v1": {}, "keep": {"http_status": "http_status == 200 or null"}},
        {
            "extraction.main_text_v1": {"engine": "resiliparse"},
            "keep": {"has_text": "characters > 0"},
        },
        {
            "langid.fasttext_v1": {"model": "lid.176"},
            "keep": {"language": "language == en", "score": "score >= 0.65"},
        },
        {
            "quality.gopher_quality_v1": {},
            "keep": {"words_min": "words >= 60", "words_max": "words <= 400"},
        },
    ],
}
DOCUMENTS = 124
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund und läuft davon. "


def write_pages(folder: Path, pages: int = 60, archives: int = 2) -> list[Path]:
    """English pages of 20 to 600 words, German ones, an empty and a damaged one an archive."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for a in range(archives):
        records = []
        for i in range(pages):
            n = a * pages + i
            body = [GERMAN * (i % 7 + 1)] if i % 6 == 5 else prose(n, 1 + (i * 7) % 40)
            url = f"http://site-{n % 5}.example/{n}"
            records.append(warc_record(url, html_page(f"Page {n}", body), n=n))
        records.append(warc_record(f"http://empty.example/{a}", b"<html></html>", n=9000 + a))
        path = folder / f"pages-{a}.warc.gz"
        cut_off = warc_gz([warc_record(f"http://cut-off.example/{a}", b"<p>x", n=9100 + a)])
        path.write_bytes(warc_gz(records) + cut_off[:-30])
        paths.append(path)
    return paths


@dataclass
class Gateway:
    """A running gateway, and how to talk to it."""

    client: Client
    store: Store

    def run(self, archives: list[Path], recipe: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Submit a batch, run its tasks, wait for the conductor to see its end."""
        body = {"sources": [str(p) for p in archives], "recipe": recipe, **more}
        batch = self.client.post("/v1/batches", body)["id"]
        drive(self.store, self.read(batch))
        deadline = time.monotonic() + 30
        while (state := self.client.get(f"/v1/batches/{batch}"))["state"] != "finished":
            assert time.monotonic() < deadline, state
            time.sleep(0.05)
        return state

    def read(self, batch: str) -> Batch:
        """The batch's record."""
        return Batch.model_validate(self.store.get_json(f"batches/{batch}/batch.json"))

    def cli(self, *arguments: str) -> str:
        """A command's output."""
        result = CliRunner().invoke(
            app, [*arguments, "--url", self.client.url], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> list[Path]:
    return write_pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="session")
def gateway(tmp_path_factory) -> Iterator[Gateway]:
    """The cluster's gateway and Valkey without its workers."""
    folder = tmp_path_factory.mktemp("store")
    cluster = Cluster(
        str(folder), workers=1, environment={"CORPUSMILL_TICK": "0.05", "CORPUSMILL_WARM": "false"}
    )
    cluster._define()
    cluster.children = {n: cluster.children[n] for n in ("valkey", "gateway")}
    try:
        for child in cluster.children.values():
            child.start()
        _wait(cluster)
        client = Client(cluster.url)
        yield Gateway(client, Store(str(folder)))
        client.close()
    finally:
        cluster.stop()


def _wait(cluster: Cluster) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{cluster.url}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, cluster.children["gateway"].tail()
        time.sleep(0.05)


@pytest.fixture(scope="session")
def batch(gateway, pages) -> dict[str, Any]:
    """A finished batch of several shards."""
    return gateway.run(pages, RECIPE, shard_bytes=9000)
