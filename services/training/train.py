"""The training program: a Llama, AdamW, a warm-up and a cosine, one recorded order of sequences.

    python -m services.training.train RUN [--store URL] [--seconds 600]

reads `runs/<RUN>/run.json` from the store, goes on from the last committed checkpoint, and ends
when all steps are done (`finished.json` is there then), or earlier when `--seconds` have passed, on
SIGTERM, or when the run was cancelled: at the end of the step it commits a checkpoint and leaves.
At least one step is done in any case, so that a run goes on however short its slices are.

On a CPU, a run that was interrupted anywhere ends with the same bytes as one that was not: weights,
optimiser and random state are restored, the order is a record, algorithms are deterministic, and
the number of threads is part of the run. On GPUs PyTorch warns where it has no such algorithm.
"""

import argparse
import logging
import math
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from services.training.checkpoint import fetch_checkpoint, resume, save_checkpoint, save_final
from services.training.data import Batches, fetch
from services.training.launch import (
    Process,
    check_world,
    end_with,
    is_node,
    is_worker,
    start_processes,
)
from services.training.local import (
    ERROR_FILE,
    EXIT_PERMANENT,
    EXIT_TRANSIENT,
    scratch_folder,
)
from services.training.model import Llama
from services.training.progress import Progress, Stop
from services.training.utilisation import utilisation
from shared.dataset import DatasetManifest, read_manifest
from shared.errors import CorpusmillError, PermanentError, TransientError
from shared.settings import settings
from shared.store import Store
from shared.training_run import RunSpec, read_checkpoints, read_spec, run_end

#: The cosine ends at this part of the learning rate (LLaMA, arXiv 2302.13971, section 2.3).
FINAL_RATE = 0.1

log = logging.getLogger("services.training.train")


def learning_rate_at(step: int, spec: RunSpec) -> float:
    """The rate of step 1, 2, ...: linear over the warm-up, then a cosine to a tenth at the end."""
    if step <= spec.warmup_steps:
        return spec.learning_rate * step / spec.warmup_steps
    done = (step - spec.warmup_steps) / (spec.steps - spec.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return spec.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * cosine)


def make_optimiser(model: nn.Module, spec: RunSpec) -> torch.optim.AdamW:
    """AdamW; matrices decay, the norms' scales do not."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=spec.betas)


@dataclass
class Training:
    """A run in this process, after `step` steps; `replica` is the model, shared by all of them."""

    spec: RunSpec
    manifest: DatasetManifest
    here: Process
    model: Llama
    replica: nn.Module
    optimiser: torch.optim.AdamW
    batches: Batches
    step: int
    metrics: bytes

    @property
    def tokens_a_step(self) -> int:
        """Targets of a step, masked ones included, over all processes."""
        return self.spec.batch_size * self.manifest.sequence_length


def prepare(store: Store, spec: RunSpec, here: Process, scratch: Path) -> Training:
    """Bring data and the last checkpoint to this machine, and make the model from them."""
    manifest = read_manifest(store, spec.dataset)
    # Machines must not go on from different steps: the first process says from which.
    last = max(read_checkpoints(store, spec.id), default=0) if here.rank == 0 else 0
    (last_step,) = here.sum([last])
    if here.local_rank == 0:
        (scratch / ERROR_FILE).unlink(missing_ok=True)  # of before torchrun's restart
        shutil.rmtree(scratch / "checkpoint", ignore_errors=True)
        (scratch / "checkpoint").mkdir(parents=True)
        fetch_checkpoint(store, spec.id, int(last_step), scratch / "checkpoint")
        fetch(store, spec, manifest, scratch / "data")
    here.sum([0.0])  # the others wait until all is there

    torch.manual_seed(spec.seed)
    vocab_size, length = manifest.tokenizer.vocab_size, manifest.sequence_length
    model = Llama(spec.shape, vocab_size, length).to(here.device)
    optimiser = make_optimiser(model, spec)
    step, metrics = resume(scratch / "checkpoint", model, optimiser)
    replica = (
        DistributedDataParallel(model, forward_sync_buffers=False) if here.world > 1 else model
    )
    batches = Batches(scratch / "data", manifest, here.rank, here.world)
    return Training(spec, manifest, here, model, replica, optimiser, batches, step, metrics)


class Taken(NamedTuple):
    """A step: this process's loss (nats a token), the norm of the gradient, the rate.

    The mean of all processes' losses is that of the step's targets, masked ones left out. The norm
    is of the gradient over all processes, before it is clipped. `masked` counts targets.
    """

    loss: float
    norm: float
    rate: float
    masked: int


def take_step(run: Training) -> Taken:
    """Learn from the next sequences."""
    run.step += 1
    rate = learning_rate_at(run.step, run.spec)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    device = run.here.device
    batch = run.batches.step(run.step)
    inputs, targets = batch.inputs.to(device), batch.targets.to(device)
    # Gradients are means over the processes, so each divides by its even share of all targets.
    count = max(1, batch.trained) / run.here.world
    with torch.autocast(device.type, torch.bfloat16, enabled=run.spec.dtype == "bf16"):
        loss = run.replica(inputs, targets, count)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(run.model.parameters(), run.spec.clip)
    run.optimiser.step()
    run.optimiser.zero_grad(set_to_none=True)
    return Taken(loss.item(), float(norm), rate, batch.masked)


def train(store: Store, run: Training, scratch: Path, stop: Stop) -> bool:
    """Go on with a run until its end (True), or until it is to stop (False)."""
    spec, here = run.spec, run.here
    progress = Progress(store, spec.id, run.metrics)
    mfu = utilisation(run.model, spec, run.manifest.sequence_length, here.device, here.world)
    log.info("run %s: %d of %d steps are done", spec.id, run.step, spec.steps)
    while run.step < spec.steps:
        started = time.perf_counter()
        taken = take_step(run)
        # All processes must agree on the loss, and on whether this was the last step for now.
        total, leaving = here.sum([taken.loss, float(stop.wanted or progress.cancelled)])
        loss = total / here.world
        if here.rank == 0:
            speed = round(run.tokens_a_step / (time.perf_counter() - started), 1)
            tokens = run.step * run.tokens_a_step
            masked = progress.last.get("masked", 0) + taken.masked
            line = {"step": run.step, "loss": loss, "lr": taken.rate, "grad_norm": taken.norm}
            line |= {"tokens": tokens, "masked": masked, "tokens_per_second": speed}
            progress.add(line | mfu(speed))
        if not math.isfinite(loss):
            if here.rank == 0:
                progress.show()
            raise PermanentError(f"the loss is {loss} at step {run.step}")
        if here.rank == 0 and (leaving or run.step % spec.checkpoint_every == 0):
            keep(store, run, progress, scratch)
        if leaving and run.step < spec.steps:
            log.info("run %s: paused after step %d", spec.id, run.step)
            return False
    if here.rank == 0:
        progress.show()
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            save_final(store, spec, run.manifest, run.model, Path(folder))
        log.info("run %s: finished", spec.id)
    return True


def keep(store: Store, run: Training, progress: Progress, scratch: Path) -> None:
    """Commit a checkpoint, with the metrics up to it."""
    metrics = bytes(progress.lines)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        save_checkpoint(
            store, run.spec.id, run.step, run.model, run.optimiser, metrics, Path(folder)
        )
    progress.show()


def run_process(store: Store, spec: RunSpec, scratch: Path, seconds: float) -> bool:
    """What each process does: settle what makes results repeat, meet the others, train.

    Whether the run has ended; else it has paused.
    """
    stop = Stop(seconds)
    torch.set_num_threads(spec.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    here = Process.join()
    # The others may still be on their way here when the first process ends the run.
    ended = run_end(store, spec.id) is not None
    if not here.sum([float(ended)])[0]:
        ended = train(store, prepare(store, spec, here, scratch), scratch, stop)
    here.leave()
    return ended or run_end(store, spec.id) is not None


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m services.training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", help="id of the run")
    parser.add_argument("--store", default=settings().store, help="default: %(default)s")
    parser.add_argument("--scratch", type=Path, help="folder for downloads, kept between slices")
    parser.add_argument("--seconds", type=float, default=math.inf, help="pause after so long")
    parser.add_argument("--parent", type=int, help="end when this process, the parent, ends")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Train, in several processes where the run wants them; the exit code.

    0: finished or paused. 75: the store was out of reach, or, under torchrun's own command, paused:
    try again later. 70: failed, and would again. Else: failed.
    """
    arguments = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    scratch = arguments.scratch or scratch_folder(arguments.store, arguments.run)
    if is_worker() or arguments.parent is not None:
        end_with(None if is_worker() else arguments.parent)
    try:
        store = Store(arguments.store)
        spec = read_spec(store, arguments.run)
        check_world(spec.nodes, spec.processes)
        if spec.processes > 1 and not is_worker():
            return start_processes(spec.processes, argv)
        ended = run_process(store, spec, scratch, arguments.seconds)
    except Exception as error:
        log.exception("failed")
        with suppress(FileExistsError), (scratch / ERROR_FILE).open("x") as file:
            file.write(f"{type(error).__name__}: {error}")
        return exit_code(error)
    # torchrun's agents on other machines must not take a pause for the end.
    return EXIT_TRANSIENT if is_node() and not ended else 0


def exit_code(error: Exception) -> int:
    """75 to try again later, 70 for what would fail again, 1 for what may have lost the others."""
    if isinstance(error, TransientError):
        return EXIT_TRANSIENT
    repeats = isinstance(error, CorpusmillError | torch.OutOfMemoryError)
    lost = isinstance(error, RuntimeError | OSError)
    return EXIT_PERMANENT if repeats or not lost else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
