"""The order in which a run sees its data, recorded; and the batches read in that order.

The order is drawn once, from the run's seed, and committed before the first step: the first writer
wins, and everyone reads what was committed. So a later version of numpy that shuffles otherwise
changes no run that has begun, and the record, not a formula, says which step saw which tokens.
"""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from torch import Tensor

from services.training.model import IGNORED
from shared.dataset import DatasetManifest, TokenShard
from shared.errors import PermanentError
from shared.store import Store
from shared.training_run import RunSpec, run_key


class Batch(NamedTuple):
    """A step's part of one process: int64 (B, T) `inputs` and `targets`, IGNORED where masked.

    `trained` and `masked` count the targets of the whole step, over all processes.
    """

    inputs: Tensor
    targets: Tensor
    trained: int
    masked: int


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
    masks = [s.mask_file for s in manifest.shards if s.mask_file is not None]
    for name in ("tokenizer.json", *(s.tokens_file for s in manifest.shards), *masks):
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
        dtype = np.dtype(manifest.dtype).newbyteorder("<")
        self._tokens = [_mapped(folder, s, s.tokens_file, dtype) for s in manifest.shards]
        self._masks = [
            None if s.mask_file is None else _mapped(folder, s, s.mask_file, np.dtype(np.uint8))
            for s in manifest.shards
        ]
        share = self._order.shape[1] // world
        self._mine = slice(rank * share, (rank + 1) * share)

    def step(self, step: int) -> Batch:
        """The sequences of step 1, 2, ...: targets are one token ahead."""
        places = self._order[step - 1].tolist()
        mine = places[self._mine]
        rows = [
            self._tokens[shard][i * self._length : i * self._length + self._length + 1]
            for shard, i in mine
        ]
        tokens = torch.from_numpy(np.stack(rows).astype(np.int64))
        inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        masked = 0
        for number, place in enumerate(places):
            mask = self._mask(*place)
            if mask is not None:
                masked += int(mask.sum())
                if number in range(self._mine.start, self._mine.stop):
                    targets[number - self._mine.start, torch.from_numpy(mask)] = IGNORED
        return Batch(inputs, targets, len(places) * self._length - masked, masked)

    def _mask(self, shard: int, sequence: int) -> npt.NDArray[np.bool_] | None:
        """Which targets of a sequence are masked; None where the shard has no mask."""
        bits = self._masks[shard]
        if bits is None:
            return None
        first = sequence * self._length + 1
        part = bits[first // 8 : (first + self._length + 7) // 8]
        found = np.unpackbits(part, bitorder="little").astype(np.bool_)
        return found[first % 8 : first % 8 + self._length]


def _mapped(
    folder: Path, shard: TokenShard, name: str, dtype: np.dtype[Any]
) -> npt.NDArray[np.unsignedinteger]:
    """A file of a token shard; an empty one cannot be mapped."""
    return np.memmap(folder / name, dtype, "r") if shard.tokens else np.empty(0, dtype)
