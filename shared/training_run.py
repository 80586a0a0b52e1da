"""A training run: its specification, where its parts lie in the store, and what saw which tokens.

    runs/<run>/run.json              the specification, immutable
    runs/<run>/order.npy             which sequences each step sees; the first writer's
    runs/<run>/metrics.jsonl         progress: one JSON line a step, replaced every few seconds
    runs/<run>/checkpoints/<step>.json      receipt: commits a checkpoint and names its files
    runs/<run>/checkpoints/<step>-<hash>/   model.safetensors, trainer.pt, metrics.jsonl
    runs/<run>/final/<hash>/         model.safetensors, config.json, tokenizer.json, sample.txt
    runs/<run>/finished.json         the receipt of the end; or failed.json, or cancelled.json

Steps count from 1: checkpoint n is the state after n steps. Nothing here needs torch, so that the
gateway can answer "which documents did step n see" and "which steps saw this document".
"""

import io
import json
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.dataset import find_document, read_index, read_manifest
from shared.errors import ConflictError, NotFoundError, UsageError
from shared.store import Store, to_json

#: A .npy header of version 1 fits in this many bytes for any two or three dimensions.
_HEADER_BYTES = 128
#: The order file is searched in blocks of about this many bytes.
_BLOCK_BYTES = 8 * 2**20
#: The receipts that end a run, the strongest first.
ENDS: tuple[Literal["finished", "failed", "cancelled"], ...] = ("finished", "failed", "cancelled")


class ModelShape(BaseModel):
    """A Llama's shape (arXiv 2302.13971, section 2.2; grouped heads: Llama 2, arXiv 2307.09288)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int
    layers: int
    heads: int
    #: Heads of keys and values; fewer than `heads` are shared by groups of them.
    kv_heads: int
    #: Of the SwiGLU; about 8/3 of the width.
    hidden: int
    #: Whether the output layer is the embedding.
    tied: bool
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-5


#: nano: tests. tiny: 1.3 M parameters with a vocabulary of 4,096; 300 steps of 8 sequences of 256
#: take below a minute on two cores. small: 124 M with 50,257, the size of GPT-2's smallest.
PRESETS: dict[str, ModelShape] = {
    "nano": ModelShape(width=32, layers=2, heads=4, kv_heads=2, hidden=96, tied=True),
    "tiny": ModelShape(width=128, layers=4, heads=4, kv_heads=4, hidden=352, tied=True),
    "small": ModelShape(width=768, layers=12, heads=12, kv_heads=12, hidden=2048, tied=True),
}


class RunSpec(BaseModel):
    """`runs/<id>/run.json`: what is trained, on what, how long. Decides every weight.

    Defaults of the optimiser are Llama's (arXiv 2302.13971, section 2.3): AdamW with betas 0.9 and
    0.95, weight decay 0.1, clipping at 1.0, a warm-up, then a cosine to a tenth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    dataset: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    preset: Literal["nano", "tiny", "small"] = "tiny"
    steps: int = Field(default=300, ge=1)
    #: Sequences a step, over all processes.
    batch_size: int = Field(default=8, ge=1)
    #: At its highest, after the warm-up.
    learning_rate: float = Field(default=3e-3, gt=0)
    warmup_steps: int = Field(default=20, ge=0)
    weight_decay: float = Field(default=0.1, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    #: Norm of the gradient at most.
    clip: float = Field(default=1.0, gt=0)
    #: Of the weights' start, the order of the data, and the sample.
    seed: int = Field(default=0, ge=0, lt=2**63)
    dtype: Literal["fp32", "bf16"] = "fp32"
    checkpoint_every: int = Field(default=100, ge=1)
    #: Machines; more than one needs the backend `kubernetes`.
    nodes: int = Field(default=1, ge=1, le=1024)
    #: Processes on each machine, one a GPU where there are GPUs.
    processes: int = Field(default=1, ge=1, le=64)
    #: CPU threads a process. Sums depend on it in the last bit, so it is part of the run.
    threads: int = Field(default=2, ge=1)
    sample_prompt: str = "The "
    sample_tokens: int = Field(default=64, ge=0)

    @model_validator(mode="after")
    def _divides(self) -> "RunSpec":
        if self.batch_size % self.world:
            raise ValueError("batch_size must be a multiple of nodes x processes")
        return self

    @property
    def world(self) -> int:
        """Processes on all machines."""
        return self.nodes * self.processes

    @property
    def shape(self) -> ModelShape:
        """The model's shape."""
        return PRESETS[self.preset]


class RunState(BaseModel):
    """Where a run stands. `loss` (nats a token) and `tokens_per_second` are the last step's.

    `tokens` counts targets since the start, `masked` those among them that the loss left out.
    """

    id: str
    state: Literal["queued", "running", "finished", "failed", "cancelled"]
    step: int
    steps: int
    tokens: int
    masked: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    error: str | None = None
    checkpoints: tuple[int, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.state in ENDS


def run_key(run: str, name: str) -> str:
    """The key of a part of a run."""
    return f"runs/{run}/{name}"


def submit_run(store: Store, spec: RunSpec) -> None:
    """Record a run, so that it is trained; submitting the same again changes nothing.

    Raises NotFoundError for an unknown dataset, UsageError for one that is too short for a single
    sequence, ConflictError where the id is another run's.
    """
    manifest = read_manifest(store, spec.dataset)
    if manifest.totals.sequences == 0:
        raise UsageError(
            f"dataset {spec.dataset} has {manifest.totals.tokens} tokens in "
            f"{len(manifest.shards)} shards, too few for a sequence of {manifest.sequence_length}",
            field="dataset",
        )
    data = to_json(spec.model_dump(mode="json"))
    if not store.put_if_absent(run_key(spec.id, "run.json"), data) and (
        read_spec(store, spec.id) != spec
    ):
        raise ConflictError(f"there is another run {spec.id!r}", field="id")


def cancel_run(store: Store, run: str) -> None:
    """Ask a run to stop; it does at its next look. ConflictError where it has ended otherwise."""
    state = run_state(store, run)
    if state.ended and state.state != "cancelled":
        raise ConflictError(f"run {run!r} is {state.state}", field="run")
    store.put_if_absent(run_key(run, "cancelled.json"), to_json({"step": state.step}))


def read_spec(store: Store, run: str) -> RunSpec:
    """A run's specification; NotFoundError where there is no such run."""
    try:
        return RunSpec.model_validate_json(store.get(run_key(run, "run.json")))
    except NotFoundError as error:
        raise NotFoundError(f"no run {run!r}", field="run") from error


def run_end(store: Store, run: str) -> Literal["finished", "failed", "cancelled"] | None:
    """How a run has ended; None where it has not."""
    return next((end for end in ENDS if store.exists(run_key(run, f"{end}.json"))), None)


def run_state(store: Store, run: str) -> RunState:
    """Where a run stands, from the store alone."""
    spec = read_spec(store, run)
    end = run_end(store, run)
    metrics = read_metrics(store, run)
    last = metrics[-1] if metrics else {"step": 0, "tokens": 0}
    error = store.get_json(run_key(run, "failed.json"))["error"] if end == "failed" else None
    return RunState(
        id=run,
        state=end or ("running" if metrics else "queued"),
        steps=spec.steps,
        checkpoints=tuple(read_checkpoints(store, run)),
        error=error,
        **{name: last[name] for name in RunState.model_fields if name in last},
    )


def read_metrics(store: Store, run: str) -> list[dict[str, Any]]:
    """A line a step: step, loss, lr, grad_norm, tokens, masked, tokens_per_second; perhaps mfu.

    `tokens` and `masked` count targets since the start: all, and those that the loss left out. What
    is no number (a loss that diverged) is None.
    """
    try:
        lines = store.get(run_key(run, "metrics.jsonl")).splitlines()
    except NotFoundError:
        return []
    return [json.loads(line, parse_constant=lambda _: None) for line in lines]


def read_checkpoints(store: Store, run: str) -> dict[int, str]:
    """Committed checkpoints in order: step to the key of its receipt."""
    prefix = run_key(run, "checkpoints/")
    keys = [e.key for e in store.list(prefix)]
    # A checkpoint's own files lie one folder deeper.
    receipts = [k for k in keys if k.endswith(".json") and "/" not in k.removeprefix(prefix)]
    return {int(k.removeprefix(prefix).removesuffix(".json")): k for k in receipts}


class RecordedOrder:
    """`order.npy`, read by ranges, since a long run's is large.

    int32 (steps, batch_size, 2): the token shard and the sequence at each position of a step.
    """

    def __init__(self, store: Store, run: str) -> None:
        self._store, self._key = store, run_key(run, "order.npy")
        head = io.BytesIO(store.get_range(self._key, 0, _HEADER_BYTES))
        np.lib.format.read_magic(head)
        self.shape, _, self._dtype = np.lib.format.read_array_header_1_0(head)
        self._start = head.tell()

    def steps(self, first: int, last: int) -> npt.NDArray[np.int32]:
        """(steps, batch_size, 2) of steps first to last, last included."""
        row = self.shape[1] * self.shape[2] * self._dtype.itemsize
        start = self._start + (first - 1) * row
        data = self._store.get_range(self._key, start, (last - first + 1) * row)
        return np.frombuffer(data, self._dtype).reshape(-1, *self.shape[1:])

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
        """The whole order in blocks: the first step of each, and its steps."""
        size = max(1, _BLOCK_BYTES // (8 * self.shape[1]))
        for first in range(1, self.shape[0] + 1, size):
            yield first, self.steps(first, min(first + size - 1, self.shape[0]))


def documents_of_step(store: Store, run: str, step: int) -> list[dict[str, Any]]:
    """What a step saw: `document`, `token_shard`, `start`, `end`, `position`, `sequence`.

    [start, end) are the tokens of the token shard that the step saw of the document, as an input or
    as the last target. In the order of the batch. NotFoundError where the run has no such step.
    """
    spec = read_spec(store, run)
    if not 1 <= step <= spec.steps:
        raise NotFoundError(f"run {run!r} has steps 1 to {spec.steps}, not {step}", field="step")
    manifest = read_manifest(store, spec.dataset)
    length = manifest.sequence_length
    (batch,) = RecordedOrder(store, run).steps(step, step)
    spans = {
        int(shard): read_index(store, manifest, int(shard)) for shard in np.unique(batch[:, 0])
    }
    seen: list[dict[str, Any]] = []
    for position, (shard, sequence) in enumerate(batch.tolist()):
        low, high = sequence * length, sequence * length + length + 1
        index = spans[shard]
        starts, ends = (index[name].to_numpy() for name in ("start", "end"))
        here = np.arange(np.searchsorted(ends, low, "right"), np.searchsorted(starts, high))
        for row in here[starts[here] < ends[here]].tolist():
            place = {"start": max(low, int(starts[row])), "end": min(high, int(ends[row]))}
            seen.append(
                {"document": index["document"][row].as_py(), "token_shard": shard}
                | place
                | {"position": position, "sequence": sequence}
            )
    return seen


def steps_of_document(store: Store, run: str, document: str) -> list[dict[str, Any]]:
    """Where a run saw a document: `step`, `position`, `token_shard`, `sequence`, `start`, `end`.

    In the order of the steps; planned steps are named before they have been run. Empty where its
    tokens lie in no sequence that the run reaches. NotFoundError where the dataset lacks it.
    """
    manifest = read_manifest(store, read_spec(store, run).dataset)
    shard, start, end = find_document(store, manifest, document)
    length = manifest.sequence_length
    # Sequence i sees tokens i L to i L + L, both included.
    low, high = max(0, -(-(start - length) // length)), (end - 1) // length
    seen = []
    for first, steps in RecordedOrder(store, run).blocks() if start < end else ():
        inside = (steps[..., 1] >= low) & (steps[..., 1] <= high) & (steps[..., 0] == shard)
        for step, position in np.argwhere(inside).tolist():
            begin = int(steps[step, position, 1]) * length
            where = {"start": max(start, begin), "end": min(end, begin + length + 1)}
            place = {"step": first + step, "position": position, "token_shard": shard}
            seen.append(place | {"sequence": begin // length} | where)
    return seen
