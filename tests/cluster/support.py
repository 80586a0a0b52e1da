"""What the tests of the cluster share: archives, a quick recipe, waiting, accounts."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.gateway.client import Client
from shared.store import Store
from shared.testing import html_page, prose, warc_gz, warc_record

#: Quick to notice what died; the limits themselves are tested in test_quarantine.
#: Workers that are started again and again load compiled loops when they need them.
QUICK = {"CORPUSMILL_LEASE": "3", "CORPUSMILL_TICK": "0.2", "CORPUSMILL_WARM": "false"}

#: refinedweb-lite with the fast engine, so that the cluster and not trafilatura is what is tested.
RECIPE = {
    "name": "quick",
    "extends": "refinedweb-lite",
    "override": {
        "extraction.main_text_v1": {"params": {"engine": "resiliparse"}},
        "export.dataset_v1": {"params": {"vocab_size": 512, "sequence_length": 64}},
    },
}


def write_archives(folder: Path, archives: int = 3, pages: int = 24) -> list[Path]:
    """Archives with distinct pages, near-duplicates, exact duplicates, short and foreign pages."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)
    paths = []
    for a in range(archives):
        records = []
        for i in range(pages):
            n = a * pages + i
            url, paragraphs = f"http://site-{n % 11}.example/{n}", prose(n)
            title = f"Page {n}"
            if i % 8 == 1:  # the page before, one sentence changed
                paragraphs = prose(n - 1)
                paragraphs[-1] += f" And that is the end of the story number {n}."
            elif i % 8 == 2:  # the same text under another URL
                paragraphs, title = prose(n - 2), f"Page {n - 2}"
            elif i % 8 == 3:
                paragraphs = [
                    "This page is about the weather in the north of the country, and it is too short."
                ]
            elif i % 8 == 4:
                paragraphs = ["Der schnelle braune Fuchs springt über den faulen Hund. "] * 9
            elif i % 8 == 5:
                url = f"http://site-{(n - 5) % 11}.example/{n - 5}"
            records.append(warc_record(url, html_page(title, paragraphs), n=n))
        rng.shuffle(records)
        path = folder / f"crawl-{a}.warc.gz"
        path.write_bytes(warc_gz(records))
        paths.append(path)
    return paths


def wait_for(
    what: Callable[[], Any], seconds: float = 90.0, every: float = 0.1, why: str = ""
) -> Any:
    """Poll until something is true; its value."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {why}"
        time.sleep(every)
    return value


def finish(client: Client, batch: str, seconds: float = 100.0) -> dict[str, Any]:
    """Wait for a batch's end."""

    def ended() -> Any:
        state = client.get(f"/v1/batches/{batch}")
        return state if state["state"] in ("finished", "failed", "cancelled") else None

    state: dict[str, Any] = wait_for(ended, seconds, 0.2, "the batch to end")
    return state


def balance(state: dict[str, Any]) -> None:
    """The accounts of a finished batch balance, stage by stage."""
    funnel = state["funnel"]
    assert funnel["documents"] == funnel["kept"] + funnel["dropped"] + funnel["failed"]
    entered = funnel["documents"]
    for stage in funnel["stages"]:
        if "entered" in stage:
            gone = sum(r["documents"] for r in stage["rules"]) + sum(stage["failed"].values())
            assert stage["entered"] == entered
            assert stage["kept"] == entered - gone
            entered = stage["kept"]


def data_objects(store: Store) -> dict[str, bytes]:
    """Every committed data object but receipts: what must be the same whatever happened."""
    keys = [e.key for folder in ("columns/", "verdicts/", "datasets/") for e in store.list(folder)]
    datasets = [k for k in keys if k.startswith("datasets/")]
    return {k: store.get(k) for k in keys if not k.endswith(".json")} | {
        k: store.get(k) for k in datasets
    }
