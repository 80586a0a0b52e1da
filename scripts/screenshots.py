"""The dashboard's pictures in docs/images, made on the shipped sample.

    python -m scripts.screenshots

Starts an embedded cluster in a temporary folder, runs a batch and a short training run, and takes
pictures in the browser that `make tools` found.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from services.gateway.client import Client
from services.gateway.cluster import Cluster
from services.gateway.demo import SAMPLE

IMAGES = Path("docs/images")
CHROMIUM = Path(".tools/bin/chromium")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
]
RECIPE, RUNNING = "refinedweb-lite", "c4"
#: Small shards, so that there is something to watch.
SHARD_BYTES = 150_000
WIDTH, HEIGHT = 1200, 820
#: A picture in the repository at most.
LARGEST = 200_000
#: Of a text so many bytes are to be seen without scrolling, and so many cut ones show enough.
SEEN, CUT_OF_SEEN = 700, 250
#: Dropped pages that are looked at for it.
PAGES = 150


def main() -> None:
    """Take the pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="corpusmill-pictures-") as store,
        Cluster(store, workers=2) as cluster,
        Client(cluster.url) as client,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(
            base_url=cluster.url, viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light"
        )
        sources = [client.upload(path) for path in sorted(SAMPLE.glob("*.warc.gz"))]
        first = submit(client, sources)
        finish(client, first)
        second = take_overview(client, page, sources)
        page.goto(f"/ui/batches/{first}")
        page.wait_for_selector("#funnel-chart canvas")
        take(page, "dashboard-funnel")
        page.goto(f"/ui/batches/{second}/documents/{edited_page(client, second)}")
        take(page, "dashboard-document")
        browser.close()


def submit(client: Client, sources: list[str], **more: Any) -> str:
    """A batch of the sample; its id."""
    body = {"sources": sources, "recipe": RECIPE, "shard_bytes": SHARD_BYTES, **more}
    return str(client.post("/v1/batches", body)["id"])


def finish(client: Client, batch: str) -> None:
    """Wait for a batch's end."""
    while client.get(f"/v1/batches/{batch}")["state"] in ("queued", "running"):
        time.sleep(0.5)


def take_overview(client: Client, page: Page, sources: list[str]) -> str:
    """The overview in the middle of a second batch; its id."""
    page.goto("/ui/")
    batch = submit(client, sources, recipe=RUNNING, shard_bytes=SHARD_BYTES // 2)
    progress = 0.0
    while progress < 0.2:
        time.sleep(0.2)
        progress = client.get(f"/v1/batches/{batch}")["progress"]["fraction"]
    page.wait_for_timeout(2500)  # until the page has looked again
    take(page, "dashboard-overview")
    finish(client, batch)
    return batch


def edited_page(client: Client, batch: str) -> str:
    """A dropped page whose text begins with something cut and goes on with what stays."""
    path = f"/v1/batches/{batch}/documents"
    items = list(client.pages(path, verdict="dropped"))[:PAGES]
    lives = [client.get(f"{path}/{item['document']}") for item in items]

    def distance(life: dict[str, Any]) -> float:
        edits = [edit for step in life["edits"][:1] for edit in step["edits"]]
        cut = sum(max(0, min(e["end"], SEEN) - e["start"]) for e in edits)
        return abs(cut - CUT_OF_SEEN) + max(0, SEEN - len(life["text_before_edits"] or ""))

    return str(min(lives, key=distance)["document"])


def take(page: Page, name: str) -> None:
    """A picture of what is to be seen; ValueError where it is too large for the repository."""
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path)
    print(f"{path}: {path.stat().st_size:,} bytes")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has more than {LARGEST:,} bytes")


if __name__ == "__main__":
    main()
