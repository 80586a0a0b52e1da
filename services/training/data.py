"""The order in which a run sees its data, recorded; and the batches read in that order.

The order is drawn once, from the run's seed, and committed before the first step: the first writer
wins, and everyone reads what was committed. So a later version of numpy that shuffles otherwise
changes no run that has begun, and the record, not a formula, says which step saw which tokens.
"""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from torch import Tensor

from shared.dataset import DatasetManifest
from shared.errors import PermanentError
from shared.store import Store
from shared.training_run import RunSpec, run_key


def draw_order(
    manifest: DatasetManifest, steps: int, batch_size: int, seed: int
) -> npt.NDArray[np.int32]:
    """int32 (steps, batch_size, 2): the token shard and the sequence at each position of a step.

    Every epoch is a permutation of all sequences, drawn from (seed, epoch); a step may end one
    epoch and begin the next.
    """
    places = np.concatenate(
        [
            np.stack([np.full(s.sequences, i), np.arange(s.sequences)], axis=1).astype(np.int32)
            for i, s in enumerate(manifest.shards)
        ]
    )
    wanted = steps * batch_size
    epochs = [
        np.random.default_rng([seed, epoch]).permutation(len(places))
        for epoch in range(-(-wanted // len(places)))
    ]
    return places[np.concatenate(epochs)[:wanted]].reshape(steps, batch_size, 2)


def fetch(store: Store, spec: RunSpec, manifest: DatasetManifest, folder: Path) -> None:
    """Bring the recorded order (drawn where there is none yet), tokens and tokenizer to `folder`.

    A file that is there already with the right hash is kept. Raises PermanentError where the store
    holds other bytes than the manifest says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = run_key(spec.id, "order.npy")
    if not store.exists(key):
        buffer = io.BytesIO()
        np.save(buffer, draw_order(manifest, spec.steps, spec.batch_size, spec.seed))
        store.put_if_absent(key, buffer.getvalue())
    store.download(key, folder / "order.npy")
    for name in ("tokenizer.json", *(s.tokens_file for s in manifest.shards)):
        expected = manifest.file(name).blake3
        path = folder / name
        if path.exists() and _hash(path) == expected:
            continue
        store.download(f"datasets/{manifest.id}/{name}", path)
        if _hash(path) != expected:
            raise PermanentError(f"dataset {manifest.id}: {name} is not what its manifest says")


def _hash(path: Path) -> str:
    return blake3().update_mmap(path).hexdigest()


class Batches:
    """Inputs and targets of each step, read from memory-mapped files in the recorded order.

    Process `rank` of `world` gets its slice of each step's sequences, so that the step is the same
    for any number of processes.
    """

    def __init__(self, folder: Path, manifest: DatasetManifest, rank: int, world: int) -> None:
        self._length = manifest.sequence_length
        self._order = np.load(folder / "order.npy", mmap_mode="r")
        self._tokens = [
            np.memmap(folder / s.tokens_file, np.dtype(manifest.dtype).newbyteorder("<"), "r")
            if s.tokens
            else np.empty(0, manifest.dtype)
            for s in manifest.shards
        ]
        share = self._order.shape[1] // world
        self._mine = slice(rank * share, (rank + 1) * share)

    def step(self, step: int) -> tuple[Tensor, Tensor]:
        """int64 (B, T) inputs and targets of step 1, 2, ...: targets are one token ahead."""
        rows = [
            self._tokens[shard][i * self._length : i * self._length + self._length + 1]
            for shard, i in self._order[step - 1, self._mine].tolist()
        ]
        tokens = torch.from_numpy(np.stack(rows).astype(np.int64))
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
