"""The training program, in this process: it learns, and an interruption changes nothing."""

import json
import math

import pytest

from services.training.checkpoint import save_checkpoint
from services.training.launch import Process
from services.training.local import EXIT_PERMANENT
from services.training.model import Llama
from services.training.progress import Stop
from services.training.train import (
    learning_rate_at,
    main,
    make_optimiser,
    prepare,
    run_process,
    train,
)
from shared.errors import PermanentError
from shared.training_run import (
    RunSpec,
    cancel_run,
    read_checkpoints,
    read_metrics,
    run_key,
    run_state,
)


@pytest.fixture
def go(store, tmp_path, process_settings):
    """Train a run until its end, or for a time; every call is a fresh start of the program."""

    def run(spec, seconds=math.inf, scratch="scratch"):
        run_process(store, spec, tmp_path / scratch, seconds)

    return run


def results(store, run):
    """All that must repeat: metrics without speed, and every byte of the final files."""
    metrics = [
        {k: v for k, v in m.items() if k != "tokens_per_second"} for m in read_metrics(store, run)
    ]
    end = store.get_json(run_key(run, "finished.json"))
    return metrics, {f["name"]: store.get(f["key"]) for f in end["files"]}, end["sample"]


def test_the_loss_falls(store, submit, go):
    spec = submit(steps=60, learning_rate=1e-2)
    go(spec)
    losses = [m["loss"] for m in read_metrics(store, spec.id)]
    assert losses[0] == pytest.approx(math.log(277), abs=0.1)  # as wrong as chance
    assert losses[-1] < losses[0] - 1.5


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_an_interrupted_run_ends_with_the_same_bytes(store, submit, go, dtype):
    whole, pieces = submit(id="whole", dtype=dtype), submit(id="pieces", dtype=dtype)
    go(whole)
    for _ in range(7):
        go(pieces, seconds=0, scratch="other")  # one step a slice
    # As if it had been killed after step 7, before its checkpoint: steps 6 and 7 are lost.
    for step in (6, 7):
        store.delete(read_checkpoints(store, "pieces")[step])
    assert len(read_metrics(store, "pieces")) == 7
    go(pieces, scratch="third")
    assert results(store, "pieces") == results(store, "whole")
    assert list(read_checkpoints(store, "whole")) == [5, 10]


def test_metrics_say_what_happened(store, submit, go):
    spec = submit()
    go(spec)
    metrics = read_metrics(store, spec.id)
    assert [m["step"] for m in metrics] == list(range(1, 13))
    assert [m["tokens"] for m in metrics] == [n * 4 * 16 for n in range(1, 13)]
    assert [m["lr"] for m in metrics] == [learning_rate_at(n, spec) for n in range(1, 13)]
    assert all(m["grad_norm"] > 0 and m["tokens_per_second"] > 0 for m in metrics)


def test_the_final_model_is_one_that_transformers_loads(store, submit, go, tmp_path):
    from transformers import AutoTokenizer, LlamaForCausalLM

    spec = submit()
    go(spec)
    end = store.get_json(run_key(spec.id, "finished.json"))
    for file in end["files"]:
        store.download(file["key"], tmp_path / "final" / file["name"])
    model = LlamaForCausalLM.from_pretrained(tmp_path / "final")
    assert model.num_parameters() == end["parameters"]
    assert end["step"] == 12
    assert end["sample"].startswith("the cat")
    assert (tmp_path / "final/sample.txt").read_text() == end["sample"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "final")
    assert tokenizer.decode(tokenizer("the cat").input_ids) == "the cat"


def test_a_run_that_is_cancelled_stops_with_a_checkpoint(store, submit, tmp_path, process_settings):
    spec = submit(steps=10_000)
    training = prepare(store, spec, Process.join(), tmp_path)
    cancel_run(store, spec.id)  # while the program runs: it looks with the first metrics
    assert not train(store, training, tmp_path, Stop(math.inf))
    state = run_state(store, spec.id)
    assert (state.state, state.step, state.checkpoints) == ("cancelled", 2, (2,))


def test_a_run_that_has_ended_is_not_begun(store, submit, go):
    spec = submit()
    cancel_run(store, spec.id)
    go(spec)
    assert read_metrics(store, spec.id) == []


def test_a_loss_that_is_no_number_fails_the_run(store, submit, go):
    with pytest.raises(PermanentError, match=r"the loss is nan at step \d"):
        go(submit(learning_rate=1e30, warmup_steps=0))


def test_the_second_checkpoint_of_a_step_does_not_replace_the_first(store, submit, tmp_path):
    spec = submit()
    model = Llama(spec.shape, 277, 16)
    for n in (1, 2):
        (tmp_path / str(n)).mkdir()
        save_checkpoint(
            store, spec.id, 3, model, make_optimiser(model, spec), b"%d" % n, tmp_path / str(n)
        )
    receipt = store.get_json(read_checkpoints(store, spec.id)[3])
    (metrics,) = [f["key"] for f in receipt["files"] if f["name"] == "metrics.jsonl"]
    assert store.get(metrics) == b"1"


def test_a_checkpoint_that_was_damaged_is_refused(store, submit, go):
    spec = submit()
    go(spec, seconds=0)
    receipt = store.get_json(read_checkpoints(store, spec.id)[1])
    store.put(receipt["files"][0]["key"], b"damaged")
    with pytest.raises(PermanentError, match="is not what its receipt says"):
        go(spec)


def test_the_program_writes_down_why_it_failed(store, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    arguments = ["none", "--store", store.url, "--scratch", str(scratch)]
    assert main(arguments) == EXIT_PERMANENT
    assert (scratch / "error.txt").read_text() == "NotFoundError: no run 'none'"


def spec_with(**changes):
    return RunSpec(id="r", dataset="d", learning_rate=1.0, **changes)


@pytest.mark.parametrize(
    ("step", "warmup", "expected"),
    [
        (1, 4, 0.25),
        (4, 4, 1.0),
        (54, 4, 0.55),  # half of the cosine: between 1 and 0.1
        (104, 4, 0.1),
        (1, 0, 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 104))),
    ],
)
def test_the_rate_warms_up_and_falls_to_a_tenth(step, warmup, expected):
    spec = spec_with(steps=104, warmup_steps=warmup)
    assert learning_rate_at(step, spec) == pytest.approx(expected)


def test_norms_do_not_decay():
    model = Llama(spec_with(preset="nano").shape, 50, 8)
    decayed, free = make_optimiser(model, spec_with(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    norms = [p for name, p in model.named_parameters() if "norm" in name]
    assert {id(p) for p in free["params"]} == {id(p) for p in norms}
    assert len(decayed["params"]) + len(norms) == len(list(model.parameters()))


def test_metrics_are_lines_of_json(store, submit, go):
    spec = submit()
    go(spec, seconds=0)
    (line,) = store.get(run_key(spec.id, "metrics.jsonl")).splitlines()
    assert json.loads(line) == read_metrics(store, spec.id)[0]
