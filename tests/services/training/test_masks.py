"""The loss mask in training: masked targets are read and not learned."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from services.training.data import Batches, fetch
from services.training.model import IGNORED, Llama
from services.training.train import run_process
from shared.dataset import read_manifest
from shared.training_run import PRESETS, read_metrics, run_key, run_state
from tests.services.training.conftest import DOCUMENTS, LENGTH, write_dataset

ALL, NONE = slice(None), slice(0)
#: Of the first token shard the second document and a half of the fourth; of the last but the last.
SOME = (slice(40, 92), NONE, NONE, slice(66))


@pytest.fixture
def masked(store, manifest):
    """A dataset like `cats`, masked."""

    def make(masks=SOME, name="masked"):
        return write_dataset(store, name, masks)

    return make


@pytest.fixture
def go(store, tmp_path, process_settings):
    """Train a run, for a time."""

    def run(spec, seconds=math.inf):
        run_process(store, spec, tmp_path / spec.id, seconds)

    return run


def write_order(store, run, order):
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array(order, np.int32))
    store.put(run_key(run, "order.npy"), buffer.getvalue())


def final(store, run):
    end = store.get_json(run_key(run, "finished.json"))
    return {f["name"]: store.get(f["key"]) for f in end["files"]}


def test_masked_targets_are_ignored_and_inputs_stay(store, submit, masked, manifest, tmp_path):
    spec = submit(dataset=masked().id)
    fetch(store, spec, masked(), tmp_path)
    batches = Batches(tmp_path, masked(), 0, 1)
    order = np.load(tmp_path / "order.npy")
    for step in range(1, spec.steps + 1):
        inputs, targets, trained, left_out = batches.step(step)
        for row, (shard, sequence) in enumerate(order[step - 1].tolist()):
            tokens = np.frombuffer(store.get(f"datasets/cats/tokens-{shard}.bin"), "<u2")
            is_masked = np.zeros(len(tokens), np.bool_)
            is_masked[SOME[shard]] = True
            here = slice(sequence * LENGTH, sequence * LENGTH + LENGTH + 1)
            assert inputs[row].tolist() == tokens[here][:-1].tolist()
            expected = np.where(is_masked, IGNORED, tokens.astype(np.int64))[here][1:]
            assert targets[row].tolist() == expected.tolist()
        assert (trained, left_out) == (int((targets != IGNORED).sum()), int((targets < 0).sum()))
    assert manifest.totals.masked_tokens == 0
    assert masked().totals.masked_tokens == 52 + 66


@pytest.mark.parametrize("length", [1, 3, 8, 13])
def test_masks_are_read_at_any_bit(store, submit, masked, tmp_path, length):
    manifest = masked((slice(3, None, 5),) * len(DOCUMENTS))
    spec = submit(dataset=manifest.id)
    fetch(store, spec, manifest, tmp_path)
    shards = tuple(
        s.model_copy(update={"sequences": max(0, s.tokens - 1) // length}) for s in manifest.shards
    )
    short = manifest.model_copy(update={"sequence_length": length, "shards": shards})
    write_order(store, spec.id, [[[0, i]] for i in range(shards[0].sequences)])
    store.download(run_key(spec.id, "order.npy"), tmp_path / "order.npy")
    batches = Batches(tmp_path, short, 0, 1)
    for sequence in range(shards[0].sequences):
        targets = batches.step(sequence + 1).targets[0]
        positions = sequence * length + 1 + np.arange(length)
        assert (targets == IGNORED).tolist() == (positions % 5 == 3).tolist()


def test_the_loss_is_the_mean_of_targets_that_are_not_masked():
    torch.manual_seed(0)
    model = Llama(PRESETS["nano"], 50, 8)
    tokens = torch.randint(0, 50, (3, 9))
    targets = tokens[:, 1:].clone()
    targets[0, :5] = targets[2] = IGNORED
    logits = model.logits(tokens[:, :-1])
    each = functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    expected = each[targets != IGNORED].mean()
    torch.testing.assert_close(model(tokens[:, :-1], targets, 11), expected)
    # Two processes: each divides by its even share, gradients and losses are averaged.
    halves = [
        model(tokens[rows, :-1], targets[rows], 11 / 2) for rows in (slice(0, 1), slice(1, 3))
    ]
    torch.testing.assert_close(sum(halves) / 2, expected)
    assert model(tokens[2:, :-1], targets[2:], 1).item() == 0.0


def test_with_all_but_one_document_masked_a_run_learns_that_document_alone(
    store, submit, masked, go
):
    # The second token shard is one document of 200 tokens: twelve sequences.
    steps = range(12)
    both = submit(id="both", dataset=masked((ALL, NONE, ALL, ALL)).id)
    write_order(store, "both", [[[0, 1], [1, i], [3, 2], [0, 3]] for i in steps])
    alone = submit(id="alone", batch_size=1)
    write_order(store, "alone", [[[1, i]] for i in steps])
    unmasked = submit(id="unmasked")
    write_order(store, "unmasked", [[[0, 1], [1, i], [3, 2], [0, 3]] for i in steps])
    for spec in (both, alone, unmasked):
        go(spec)
    for name in ("loss", "grad_norm"):
        found, expected, other = (
            [m[name] for m in read_metrics(store, run)] for run in ("both", "alone", "unmasked")
        )
        assert found == pytest.approx(expected, rel=1e-4)
        assert found != pytest.approx(other, rel=1e-2)


def test_an_interrupted_masked_run_ends_with_the_same_bytes(store, submit, masked, go):
    dataset = masked().id
    whole, pieces = submit(id="whole", dataset=dataset), submit(id="pieces", dataset=dataset)
    go(whole)
    for _ in range(5):
        go(pieces, seconds=0)  # one step a slice
    go(pieces)
    assert final(store, "pieces") == final(store, "whole")
    lines, expected = (
        [{k: v for k, v in m.items() if k != "tokens_per_second"} for m in read_metrics(store, run)]
        for run in ("pieces", "whole")
    )
    assert lines == expected


def test_metrics_count_what_was_masked(store, submit, masked, go):
    spec = submit(dataset=masked((ALL, NONE, NONE, NONE)).id, steps=3)
    write_order(store, spec.id, [[[0, 0], [0, 1], [1, 0], [1, 1]]] * 2 + [[[0, 0]] * 4])
    go(spec)
    metrics = read_metrics(store, spec.id)
    assert [m["masked"] for m in metrics] == [32, 64, 128]
    assert [m["tokens"] for m in metrics] == [64, 128, 192]
    assert metrics[2]["loss"] == 0.0  # nothing to learn from
    assert all(a["loss"] > 0 for a, _ in pairwise(metrics))
    state = run_state(store, spec.id)
    assert (state.state, state.tokens, state.masked) == ("finished", 192, 128)
    assert read_manifest(store, spec.dataset).totals.masked_tokens == 138
