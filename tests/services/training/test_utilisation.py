"""Model FLOPs utilisation by hand, and what is told of a loss that diverged."""

import json
import math

import pytest
import torch

from services.gateway.training_metrics import TrainingMetrics
from services.training import train as program
from services.training.model import Llama
from services.training.utilisation import operations_a_token, peak_of, utilisation
from shared.errors import PermanentError
from shared.training_run import RunSpec, read_metrics, run_key


def spec_of(preset: str, dtype: str = "bf16") -> RunSpec:
    return RunSpec(id="r", dataset="d", preset=preset, dtype=dtype)


def test_operations_of_a_small_model_by_hand():
    # width 32, 2 layers, hidden 96, 4 heads of 8, 2 of keys and values, 100 tokens in the vocabulary
    layer = 32 * 32 * 2 + 2 * 32 * 16 + 3 * 32 * 96 + 2 * 32
    parameters = 100 * 32 + 2 * layer + 32
    spec = spec_of("nano")
    found = operations_a_token(Llama(spec.shape, 100, 64), spec, 64)
    assert found == 6 * parameters + 12 * 2 * 32 * 64


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H200", 989.5e12),
        ("NVIDIA H100 80GB HBM3", 989.5e12),
        ("NVIDIA H100 PCIe", 756.5e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_peaks_by_the_names_that_drivers_tell(device, peak):
    assert peak_of(device) == peak


def test_a_gpu_has_it_and_a_cpu_has_none(monkeypatch):
    spec = spec_of("nano")
    model = Llama(spec.shape, 100, 64)
    assert utilisation(model, spec, 64, torch.device("cpu"), 1)(1e6) == {}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "NVIDIA H200")
    gpu = torch.device("cuda", 0)
    tokens = 0.5 * 2 * 989.5e12 / operations_a_token(model, spec, 64)
    assert utilisation(model, spec, 64, gpu, 2)(tokens) == {"mfu": 0.5}
    assert utilisation(model, spec_of("nano", "fp32"), 64, gpu, 2)(tokens) == {}


def test_a_diverged_loss_is_told(store, submit, tmp_path, process_settings, monkeypatch):
    spec = submit(steps=4)
    taken = program.take_step

    def diverge(run):
        found = taken(run)
        return found._replace(loss=math.nan) if run.step == 2 else found

    monkeypatch.setattr(program, "take_step", diverge)
    with pytest.raises(PermanentError, match="nan at step 2"):
        program.run_process(store, spec, tmp_path / "scratch", math.inf)
    store.put_json(run_key(spec.id, "failed.json"), {"error": "the loss is nan"})
    told = {f.name: [s.value for s in f.samples] for f in TrainingMetrics(store).collect()}
    assert math.isnan(told["corpusmill_training_loss"][0])
    assert told["corpusmill_training_step"] == [2]
    assert told["corpusmill_training_steps"] == [4]
    assert told["corpusmill_training_last_progress_timestamp_seconds"] == []
    assert told["corpusmill_training_mfu"] == []
    lines = read_metrics(store, spec.id)
    assert [line["loss"] is None for line in lines] == [False, True]
    json.dumps(lines, allow_nan=False)
