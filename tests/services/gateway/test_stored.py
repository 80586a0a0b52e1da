"""Stored columns are read by range, in pieces, and only through receipts."""

import pytest

from services.gateway import signals, stored
from services.gateway.catalog import BatchView
from services.gateway.preview import tell
from services.gateway.signals import distribution, find_signal, signals_of
from services.gateway.stored import Stored, side_by_side
from shared import ranges
from shared.errors import PermanentError, UsageError
from shared.stages import compile_batch
from shared.store import Store
from shared.testing import drive, make_batch
from tests.services.gateway.conftest import DOCUMENTS, RECIPE


class Counting(Store):
    """A store that counts the bytes that are read of Parquet objects."""

    fetched = 0

    def get(self, key: str) -> bytes:
        data = super().get(key)
        self.fetched += len(data) * key.endswith(".parquet")
        return data

    def range_reader(self, key: str, size: int):
        read = super().range_reader(key, size)

        def counting(offset: int, length: int) -> bytes:
            data = read(offset, length)
            self.fetched += len(data)
            return data

        return counting


@pytest.fixture
def view(tmp_path, pages) -> tuple[Counting, BatchView]:
    store = Counting(str(tmp_path))
    return store, BatchView(*drive(store, make_batch(pages, RECIPE, shard_bytes=9000)))


def test_ranges_and_pieces_give_the_same(view, monkeypatch):
    store, batch = view
    keep = ["words >= 100", "characters > 700"]
    whole, signal = tell(store, batch, keep), find_signal(batch.pipeline, "words")
    counted = distribution(Stored(store, batch.pipeline), signal)[0].describe(by_verdict=True)
    monkeypatch.setattr(ranges, "SMALL_BYTES", 0)
    monkeypatch.setattr(stored, "CHUNK_ROWS", 7)
    assert tell(store, batch, keep) == whole
    again = distribution(Stored(store, batch.pipeline), signal)[0].describe(by_verdict=True)
    assert again == counted
    assert counted["documents"] == DOCUMENTS


def test_texts_are_not_fetched(tmp_path):
    """Of an object with long texts only the numbers beside them are read."""
    import random

    from shared.testing import html_page, warc_gz, warc_record

    rng = random.Random(1)
    bodies = ["".join(chr(rng.randint(0x4E00, 0x9FFF)) for _ in range(30_000)) for _ in range(40)]
    pages = [
        warc_record(f"http://x.example/{i}", html_page(f"P {i}", [body]), n=i)
        for i, body in enumerate(bodies)
    ]
    path = tmp_path / "long.warc.gz"
    path.write_bytes(warc_gz(pages))
    store = Counting(str(tmp_path / "store"))
    recipe = {"name": "long", "steps": RECIPE["steps"][:2]}
    pipeline, _ = drive(store, make_batch([path], recipe))
    folder = pipeline.column_folder(pipeline.recipe.steps[1])
    size = max(e.size for e in store.list(folder))
    assert size > 2 * ranges.SMALL_BYTES
    store.fetched = 0
    found, shards = distribution(Stored(store, pipeline), find_signal(pipeline, "characters"))
    assert (shards, found.by_group.sum()) == (1, 40)
    assert store.fetched < size / 4


def test_answers_of_finished_batches_are_kept(view):
    store, batch = view
    signal = find_signal(batch.pipeline, "words")
    first = signals.tell(store, batch, signal, finished=True)
    store.fetched = 0
    assert signals.tell(store, batch, signal, finished=True) == first
    assert store.fetched == 0
    assert signals.tell(store, batch, signal, finished=False) == {**first, "final": False}
    assert store.fetched > 0


def test_a_lost_receipt_is_an_error(view):
    store, batch = view
    pipeline = batch.pipeline
    signal = find_signal(pipeline, "words")
    store.delete(f"{pipeline.column_folder(signal.bound)}{pipeline.batch.shards[1].id}.json")
    with pytest.raises(PermanentError, match="is not committed, though its stage is"):
        distribution(Stored(store, pipeline), signal)


def test_a_column_of_several_steps_wants_its_step(pages):
    steps = [{"dedup.text_hash_v1": {}}, {"dedup.exact_duplicates_v1": {}}]
    steps += [{"dedup.url_key_v1": {}}, {"dedup.url_duplicates_v1": {}}]
    pipeline = compile_batch(
        make_batch(pages, {"name": "two", "steps": [*RECIPE["steps"], *steps]})
    )
    with pytest.raises(UsageError, match="exact_duplicates_v1.keeper, url_duplicates_v1.keeper"):
        find_signal(pipeline, "keeper")
    assert find_signal(pipeline, "url_duplicates_v1.keeper").bound.step.service == "dedup"
    names = [s.name for s in signals_of(pipeline)]
    assert len(names) == len(set(names))
    assert not {n for n in names if n.endswith((".text", ".edits", ".payload", ".text_hash"))}


def test_work_is_done_in_order_and_a_few_at_a_time():
    begun, most = [], 0

    def work(i: int) -> int:
        begun.append(i)
        return i * i

    done = []
    for value in side_by_side(range(50), work):
        most = max(most, len(begun) - len(done))
        done.append(value)
    assert done == [i * i for i in range(50)]
    assert most <= stored.SIDE_BY_SIDE
