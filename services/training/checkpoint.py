"""Checkpoints and the final model: written to a temporary folder, uploaded, then committed.

A folder's name ends in the hash of its content, so two processes that train the same run at once
cannot mix their files; the receipt, put only where it is absent, says whose are valid. What has no
receipt is garbage.
"""

import json
from pathlib import Path
from typing import Any

import torch
from blake3 import blake3
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

from services.training.model import Llama, generate
from shared.dataset import DatasetManifest
from shared.errors import PermanentError
from shared.store import Store, to_json
from shared.training_run import RunSpec, read_checkpoints, run_key


def save_weights(model: nn.Module, path: Path) -> None:
    """The state dict as safetensors, float32."""
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    save_file(state, path, metadata={"format": "pt"})


def commit_folder(
    store: Store, run: str, folder: Path, target: str, receipt: str, facts: dict[str, Any]
) -> None:
    """Upload a folder to `<target><hash>/` of the run and put its receipt, if there is none yet.

    The receipt holds `facts`, and under `files` each file's name, key, bytes and blake3 (hex).
    """
    paths = sorted(folder.iterdir())
    hashes = [blake3().update_mmap(path).hexdigest() for path in paths]
    content = blake3("".join(hashes).encode()).hexdigest()[:16]
    files = []
    for path, digest in zip(paths, hashes, strict=True):
        key = run_key(run, f"{target}{content}/{path.name}")
        store.upload(path, key)
        files.append(
            {"name": path.name, "key": key, "bytes": path.stat().st_size, "blake3": digest}
        )
    store.put_if_absent(run_key(run, receipt), to_json({**facts, "files": files}))


def save_checkpoint(
    store: Store,
    run: str,
    step: int,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    metrics: bytes,
    folder: Path,
) -> None:
    """Commit the state after `step` steps: weights, optimiser, random state, metrics so far.

    `folder` is an empty temporary one.
    """
    save_weights(model, folder / "model.safetensors")
    trainer = {"optimiser": optimiser.state_dict(), "random": torch.get_rng_state()}
    torch.save(trainer, folder / "trainer.pt")
    (folder / "metrics.jsonl").write_bytes(metrics)
    name = f"checkpoints/{step:08d}"
    commit_folder(store, run, folder, f"{name}-", f"{name}.json", {"step": step})


def fetch_checkpoint(store: Store, run: str, step: int, folder: Path) -> None:
    """Bring the committed checkpoint of a step to `folder`, an empty one; for step 0 nothing.

    Raises PermanentError where the store holds other bytes than the receipt says.
    """
    if step == 0:
        return
    receipt = store.get_json(read_checkpoints(store, run)[step])
    for file in receipt["files"]:
        path = folder / file["name"]
        store.download(file["key"], path)
        if blake3().update_mmap(path).hexdigest() != file["blake3"]:
            raise PermanentError(f"{file['key']} is not what its receipt says")
    (folder / "step.json").write_text(json.dumps(receipt["step"]))


def resume(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[int, bytes]:
    """Put a fetched checkpoint into model and optimiser; its step and metrics, or (0, nothing)."""
    if not (folder / "step.json").exists():
        return 0, b""
    model.load_state_dict(load_file(folder / "model.safetensors"))
    trainer = torch.load(folder / "trainer.pt", weights_only=True, map_location="cpu")
    optimiser.load_state_dict(trainer["optimiser"])
    torch.set_rng_state(trainer["random"])
    step: int = json.loads((folder / "step.json").read_text())
    return step, (folder / "metrics.jsonl").read_bytes()


def save_final(
    store: Store, spec: RunSpec, manifest: DatasetManifest, model: Llama, folder: Path
) -> None:
    """Commit the end of a run: weights and config for transformers, the tokenizer, a sample.

    `folder` is an empty temporary one. The sample continues the run's prompt, drawn with its seed.
    """
    tokenizer_json = store.get(f"datasets/{manifest.id}/tokenizer.json").decode()
    tokenizer = Tokenizer.from_str(tokenizer_json)
    eos = manifest.tokenizer.eos_id
    prompt = tokenizer.encode(spec.sample_prompt, add_special_tokens=False).ids or [eos]
    tokens = generate(model, prompt, spec.sample_tokens, spec.seed)
    sample = spec.sample_prompt + tokenizer.decode(tokens)
    config = json.dumps(model.transformers_config(eos), indent=1)
    save_weights(model, folder / "model.safetensors")
    (folder / "config.json").write_text(config)
    (folder / "tokenizer.json").write_text(tokenizer_json)
    (folder / "sample.txt").write_text(sample)
    facts = {"step": spec.steps, "sample": sample, "parameters": count_parameters(model)}
    commit_folder(store, spec.id, folder, "final/", "finished.json", facts)


def count_parameters(model: nn.Module) -> int:
    """How many weights a model has."""
    return sum(p.numel() for p in model.parameters())
