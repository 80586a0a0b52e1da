"""Listings that many share: one for all who wait, long ones for longer; what one says of batches."""

import threading
import time

import pytest

from services.gateway.catalog import Catalog
from services.gateway.listings import COST_FACTOR, Listings
from shared.shards import Batch
from shared.store import Store
from shared.testing import make_batch
from tests.services.gateway.conftest import RECIPE, write_pages


def test_those_who_wait_share_a_listing():
    reads = []

    def read(folder):
        reads.append(folder)
        time.sleep(0.1)
        return len(reads)

    listings = Listings(read)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(listings.get("a/", time.monotonic()).value))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) <= 2  # those that asked while the first was read may want another
    assert len(found) == 20


def test_a_long_listing_serves_for_longer_and_a_quick_one_is_made_anew():
    pauses = {"quick/": 0.0, "long/": 0.05}
    reads = []

    def read(folder):
        reads.append(folder)
        time.sleep(pauses[folder])
        return len(reads)

    listings = Listings(read)
    first = listings.get("quick/", time.monotonic())
    assert listings.get("quick/", time.monotonic()).value != first.value
    old = listings.get("long/", time.monotonic())
    assert listings.get("long/", time.monotonic()) is old
    time.sleep(COST_FACTOR * old.took)
    assert listings.get("long/", time.monotonic()).value != old.value
    listings.forget("long/")
    assert listings.get("long/", 0.0).begun > old.begun + COST_FACTOR * old.took


@pytest.fixture
def catalog(tmp_path):
    store = Store(str(tmp_path / "store"))
    pages = write_pages(tmp_path / "crawl", 4, 1)
    for name in ("20260101-000000-aaaa", "20260102-000000-bbbb", "20260103-000000-cccc"):
        batch = make_batch(pages, RECIPE, shard_bytes=5000)
        record = Batch.model_validate({**batch.model_dump(), "id": name})
        store.put_json(f"batches/{name}/batch.json", record.model_dump(mode="json"))
    return Catalog(store)


def test_one_listing_says_what_has_ended_failed_or_was_cancelled(catalog):
    store, (first, second, third) = catalog.store, catalog.survey().ids
    unit = catalog.view(first).batch.shards[0].id
    store.put_json(f"batches/{first}/failed/001-{unit}.json", {"task": f"{first}/1/{unit}"})
    store.put_json(f"batches/{second}/cancelled.json", {})
    store.put_json(f"batches/{third}/end.json", {"state": "finished"})
    survey = catalog.survey()
    assert survey.active == [first, second]
    assert survey.failed == {first: {f"{first}/1/{unit}"}}
    assert survey.cancelled == {second}
    states = [catalog.state(batch, survey) for batch in survey.ids]
    assert states == ["queued", "cancelling", "finished"]
    catalog.retry(second)
    assert catalog.state(second, catalog.survey(60)) == "queued"
