"""The recorded order and the batches."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.training.data import Batches, draw_order, fetch
from shared.dataset import DatasetManifest
from shared.errors import PermanentError
from shared.training_run import run_key


def manifest_with(sequences: list[int]) -> DatasetManifest:
    shards = [type("Shard", (), {"sequences": n})() for n in sequences]
    return DatasetManifest.model_construct(shards=tuple(shards))


@given(
    sequences=st.lists(st.integers(0, 20), min_size=1, max_size=4).filter(any),
    steps=st.integers(1, 12),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 3),
)
def test_each_epoch_holds_every_sequence_once(sequences, steps, batch_size, seed):
    order = draw_order(manifest_with(sequences), steps, batch_size, seed)
    assert order.shape == (steps, batch_size, 2)
    assert order.dtype == np.int32
    flat = [tuple(place) for place in order.reshape(-1, 2).tolist()]
    everything = {(shard, i) for shard, n in enumerate(sequences) for i in range(n)}
    for start in range(0, len(flat), len(everything)):
        epoch = Counter(flat[start : start + len(everything)])
        assert set(epoch) <= everything
        assert max(epoch.values()) == 1


def test_seeds_and_epochs_differ():
    orders = [draw_order(manifest_with([500]), 2, 500, seed) for seed in (0, 0, 1)]
    assert (orders[0] == orders[1]).all()
    assert (orders[0] != orders[2]).any()
    assert (orders[0][0] != orders[0][1]).any()


def test_batches_are_the_recorded_sequences_and_targets_are_one_ahead(
    store, submit, manifest, tmp_path
):
    spec = submit()
    fetch(store, spec, manifest, tmp_path / "data")
    order = np.load(tmp_path / "data/order.npy")
    whole = Batches(tmp_path / "data", manifest, 0, 1)
    halves = [Batches(tmp_path / "data", manifest, rank, 2) for rank in (0, 1)]
    for step in (1, 12):
        inputs, targets, *counts = whole.step(step)
        assert counts == [4 * 16, 0]
        for row, (shard, sequence) in enumerate(order[step - 1].tolist()):
            raw = store.get(f"datasets/cats/{manifest.shards[shard].tokens_file}")
            tokens = np.frombuffer(raw, "<u2")[sequence * 16 : sequence * 16 + 17].tolist()
            assert inputs[row].tolist() == tokens[:-1]
            assert targets[row].tolist() == tokens[1:]
        parts = [half.step(step) for half in halves]
        assert torch.equal(torch.cat([p.inputs for p in parts]), inputs)
        assert torch.equal(torch.cat([p.targets for p in parts]), targets)


def test_a_recorded_order_stands(store, submit, manifest, tmp_path):
    spec = submit()
    fetch(store, spec, manifest, tmp_path / "a")
    recorded = store.get(run_key(spec.id, "order.npy"))
    fetch(store, spec.model_copy(update={"seed": 9}), manifest, tmp_path / "b")
    assert (tmp_path / "b/order.npy").read_bytes() == recorded
    assert store.get(run_key(spec.id, "order.npy")) == recorded


def test_damaged_files_are_fetched_again_and_damaged_objects_refused(
    store, submit, manifest, tmp_path
):
    spec = submit()
    fetch(store, spec, manifest, tmp_path)
    (tmp_path / "tokens-1.bin").write_bytes(b"damaged")
    fetch(store, spec, manifest, tmp_path)
    good = store.get("datasets/cats/tokens-1.bin")
    assert (tmp_path / "tokens-1.bin").read_bytes() == good
    (tmp_path / "tokens-1.bin").unlink()
    store.put("datasets/cats/tokens-1.bin", good[::-1])
    with pytest.raises(PermanentError, match=r"tokens-1\.bin is not what its manifest says"):
        fetch(store, spec, manifest, tmp_path)
