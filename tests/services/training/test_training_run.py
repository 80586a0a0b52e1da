"""Runs in the store, and the trace between steps and documents, against a search of everything."""

import numpy as np
import pytest
from pydantic import ValidationError

from services.training.data import draw_order, fetch
from shared.dataset import read_manifest
from shared.errors import ConflictError, NotFoundError, UsageError
from shared.store import to_json
from shared.training_run import (
    RecordedOrder,
    RunSpec,
    cancel_run,
    documents_of_step,
    read_spec,
    run_key,
    run_state,
    steps_of_document,
    submit_run,
)


@pytest.fixture
def recorded(store, submit, manifest, tmp_path):
    """A run whose order is recorded: 12 steps of 4 sequences, so more than one epoch."""
    spec = submit()
    fetch(store, spec, manifest, tmp_path)
    assert spec.steps * spec.batch_size > manifest.totals.sequences
    return spec


def spans(store, manifest):
    """Document to (token shard, start, end)."""
    import io

    import pyarrow.parquet as pq

    found = {}
    for number, shard in enumerate(manifest.shards):
        data = store.get(f"datasets/{manifest.id}/{shard.index_file}")
        for row in pq.read_table(io.BytesIO(data)).to_pylist():
            found[row["document"]] = (number, row["start"], row["end"])
    return found


def everything_seen(store, manifest, spec):
    """(step, position, document, start, end) by looking at every token of every step."""
    order = draw_order(manifest, spec.steps, spec.batch_size, spec.seed)
    seen = set()
    for step, batch in enumerate(order.tolist(), start=1):
        for position, (shard, sequence) in enumerate(batch):
            tokens = set(range(sequence * 16, sequence * 16 + 17))
            for document, (where, start, end) in spans(store, manifest).items():
                both = tokens & set(range(start, end)) if where == shard else set()
                if both:
                    seen.add((step, position, document, min(both), max(both) + 1))
    return seen


def test_documents_of_every_step_are_those_whose_tokens_it_saw(store, manifest, recorded):
    traced = {
        (step, d["position"], d["document"], d["start"], d["end"])
        for step in range(1, recorded.steps + 1)
        for d in documents_of_step(store, recorded.id, step)
    }
    assert traced == everything_seen(store, manifest, recorded)


def test_steps_of_every_document_are_those_that_saw_its_tokens(store, manifest, recorded):
    traced = set()
    for document, (shard, _, _) in spans(store, manifest).items():
        found = steps_of_document(store, recorded.id, document)
        assert [s["step"] for s in found] == sorted(s["step"] for s in found)
        assert all(s["token_shard"] == shard for s in found)
        traced |= {(s["step"], s["position"], document, s["start"], s["end"]) for s in found}
    assert traced == everything_seen(store, manifest, recorded)


def test_a_document_without_text_was_seen_by_no_step(store, recorded):
    assert steps_of_document(store, recorded.id, "crawl.warc.gz:0-2") == []


def test_what_does_not_exist_is_named(store, recorded):
    with pytest.raises(NotFoundError, match="has no document 'x'"):
        steps_of_document(store, recorded.id, "x")
    for step in (0, 13):
        with pytest.raises(NotFoundError, match=f"steps 1 to 12, not {step}"):
            documents_of_step(store, recorded.id, step)
    with pytest.raises(NotFoundError, match="no run 'none'"):
        documents_of_step(store, "none", 1)


def test_the_order_is_read_by_ranges(store, recorded, monkeypatch):
    monkeypatch.setattr("shared.training_run._BLOCK_BYTES", 8 * 4 * 5)  # five steps a block
    order = RecordedOrder(store, recorded.id)
    blocks = list(order.blocks())
    assert [first for first, _ in blocks] == [1, 6, 11]
    whole = np.concatenate([steps for _, steps in blocks])
    assert whole.shape == order.shape == (12, 4, 2)
    assert (order.steps(4, 6) == whole[3:6]).all()


def test_a_run_is_recorded_once(store, submit):
    spec = submit()
    assert submit() == read_spec(store, spec.id) == spec  # the same again: nothing changes
    with pytest.raises(ConflictError, match="another run 'r1'"):
        submit(steps=13)
    state = run_state(store, spec.id)
    assert (state.state, state.step, state.steps, state.ended) == ("queued", 0, 12, False)


def test_a_run_needs_a_dataset_with_a_sequence(store, submit, manifest):
    with pytest.raises(NotFoundError, match="no dataset 'dogs'"):
        submit(dataset="dogs")
    raw = read_manifest(store, manifest.id).model_dump(mode="json")
    raw["totals"]["sequences"] = 0
    store.put("datasets/cats/manifest.json", to_json(raw))
    with pytest.raises(UsageError, match="too few for a sequence of 16"):
        submit()


def test_a_run_is_cancelled_once_and_not_after_its_end(store, submit):
    spec = submit()
    cancel_run(store, spec.id)
    cancel_run(store, spec.id)
    assert run_state(store, spec.id).state == "cancelled"
    store.put(run_key(spec.id, "finished.json"), b"{}")
    with pytest.raises(ConflictError, match="is finished"):
        cancel_run(store, spec.id)
    with pytest.raises(NotFoundError):
        cancel_run(store, "none")


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../x"},
        {"steps": 0},
        {"batch_size": 8, "processes": 3},
        {"dtype": "fp16"},
        {"preset": "huge"},
        {"unknown": 1},
    ],
)
def test_a_wrong_specification_is_refused(changes):
    with pytest.raises(ValidationError):
        RunSpec(**({"id": "r", "dataset": "d"} | changes))


def test_submitting_names_the_dataset_before_anything_is_written(store):
    with pytest.raises(NotFoundError):
        submit_run(store, RunSpec(id="r", dataset="d"))
    assert list(store.list("runs/")) == []
