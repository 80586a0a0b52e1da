"""The model is the Llama that transformers has."""

import json

import pytest
import torch

from services.training.checkpoint import count_parameters, save_weights
from services.training.model import Llama, generate
from shared.training_run import PRESETS, ModelShape

UNTIED = ModelShape(width=48, layers=3, heads=6, kv_heads=6, hidden=100, tied=False)


def model_of(shape, vocab_size=300, length=40):
    torch.manual_seed(1)
    return Llama(shape, vocab_size, length).eval()


@pytest.mark.parametrize("shape", [PRESETS["nano"], UNTIED], ids=["grouped-tied", "untied"])
def test_transformers_loads_the_checkpoint_and_gives_the_same_logits(shape, tmp_path):
    from transformers import LlamaForCausalLM

    model = model_of(shape)
    with torch.no_grad():  # scales of 1 would hide a norm in the wrong place
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.mul_(5)
    save_weights(model, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(model.transformers_config(eos_id=0)))
    theirs, report = LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokens = torch.randint(0, 300, (2, 40))
    with torch.no_grad():
        torch.testing.assert_close(
            model.logits(tokens), theirs(tokens).logits, rtol=1e-4, atol=1e-4
        )
        loss = theirs(tokens, labels=tokens).loss
        torch.testing.assert_close(
            model(tokens[:, :-1], tokens[:, 1:], 2 * 39), loss, rtol=1e-4, atol=1e-4
        )


def test_a_token_sees_no_later_one():
    model = model_of(PRESETS["nano"])
    tokens = torch.randint(0, 300, (1, 20))
    changed = tokens.clone()
    changed[0, 10] = (changed[0, 10] + 1) % 300
    before, after = model.logits(tokens), model.logits(changed)
    torch.testing.assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:])


def test_an_untrained_model_is_as_wrong_as_chance():
    tokens = torch.randint(0, 300, (4, 41))
    loss = model_of(PRESETS["nano"])(tokens[:, :-1], tokens[:, 1:], 4 * 40)
    assert loss.item() == pytest.approx(torch.tensor(300.0).log().item(), abs=0.05)


@pytest.mark.parametrize(
    ("preset", "vocab_size", "parameters"),
    # Embedding, then a layer's attention, feed-forward and two norms, then the last norm.
    [
        ("tiny", 4096, 4096 * 128 + 4 * (4 * 128**2 + 3 * 128 * 352 + 2 * 128) + 128),
        ("small", 50257, 50257 * 768 + 12 * (4 * 768**2 + 3 * 768 * 2048 + 2 * 768) + 768),
    ],
)
def test_presets_have_the_size_that_they_say(preset, vocab_size, parameters):
    with torch.device("meta"):
        model = Llama(PRESETS[preset], vocab_size, 8)
    assert count_parameters(model) == parameters
    assert round(parameters / 1e6, 1) == {"tiny": 1.3, "small": 123.6}[preset]


def test_a_sample_repeats_with_its_seed_and_may_be_longer_than_a_sequence():
    model = model_of(PRESETS["nano"], length=8)
    first = generate(model, [1, 2], 30, seed=3)
    assert len(first) == 30
    assert generate(model, [1, 2], 30, seed=3) == first
    assert generate(model, [1, 2], 30, seed=4) != first
