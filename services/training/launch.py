"""The processes of a run: who each one is, how they meet, and that none outlives its parent.

Several processes are started by torchrun and meet through a file: its usual TCP rendezvous listens
on every interface of the machine, a file on none. What they then send each other stays on the
loopback interface. Across machines use torchrun's own command, `torchrun ... -m
services.training.train RUN ...`, or `services.training.node`, which calls it; the processes then
meet where it says.
"""

import os
import sys
import tempfile
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from shared.errors import UsageError
from shared.processes import die_with_parent

#: Names the file through which the processes meet; absent under torchrun's own command.
_RENDEZVOUS = "CORPUSMILL_RENDEZVOUS"
#: After SIGTERM the processes have this long to end their step and commit a checkpoint.
SHUTDOWN_SECONDS = 300


def end_with(parent: int | None) -> None:
    """End when the parent ends, however that ends.

    `parent` is the parent's process id as the parent says; where it is gone already, exit.
    """
    die_with_parent()
    if parent is not None and os.getppid() != parent:
        sys.exit(f"the parent {parent} has ended")


def is_worker() -> bool:
    """Whether torchrun has started this process."""
    return "RANK" in os.environ


def is_node() -> bool:
    """Whether this process was started by torchrun's own command, one of perhaps many machines."""
    return is_worker() and _RENDEZVOUS not in os.environ


def check_world(nodes: int, processes: int) -> None:
    """UsageError where this process is not one of `nodes` x `processes`."""
    if not is_worker() and nodes > 1:
        raise UsageError(
            f"the run wants {nodes} nodes, and this is one machine: use the backend kubernetes, or "
            "torchrun on each of them",
            field="nodes",
        )
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if is_worker() and found != nodes * processes:
        raise UsageError(f"{found} processes for {nodes} nodes of {processes}", field="processes")


def call_torchrun(options: list[str], arguments: list[str]) -> int | None:
    """Run the training program under torchrun; None where a signal ended it.

    Else the exit code of the first process that failed, negative where a signal killed that one; 0
    where none did.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the program sets its own number of threads
    try:
        torchrun([*options, "--module", "services.training.train", *arguments])
    except ChildFailedError as error:
        return error.get_first_failure()[1].exitcode
    except SignalException:
        return None
    return 0


def start_processes(count: int, arguments: list[str]) -> int:
    """Run this program in `count` processes by torchrun.

    The exit code of the first that failed; 0 where none did, or where SIGTERM made them pause.
    """
    with tempfile.TemporaryDirectory(prefix="corpusmill-rendezvous-") as folder:
        os.environ[_RENDEZVOUS] = f"{folder}/workers"
        # No TCP store of the agent, no sockets but on loopback.
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"
        meet = ["--rdzv-backend=c10d", "--rdzv-conf=store_type=file"]
        meet += [f"--rdzv-endpoint={folder}/agent", "--rdzv-id=run"]
        end = f"--shutdown-timeout={SHUTDOWN_SECONDS}"
        return (
            call_torchrun([*meet, end, "--nnodes=1", f"--nproc-per-node={count}"], arguments) or 0
        )


@dataclass(frozen=True)
class Process:
    """One of the processes of a run, and its device."""

    rank: int
    local_rank: int
    world: int
    device: torch.device

    @classmethod
    def join(cls) -> "Process":
        """Meet the others, if there are any: by NCCL on GPUs, by Gloo on CPUs."""
        rank, local_rank, world = (
            int(os.environ.get(name, default))
            for name, default in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1"))
        )
        gpu = torch.cuda.is_available()
        device = torch.device("cuda", local_rank) if gpu else torch.device("cpu")
        if gpu:
            torch.cuda.set_device(device)
        if is_worker():
            file = os.environ.get(_RENDEZVOUS)
            distributed.init_process_group(
                "nccl" if gpu else "gloo",
                init_method=f"file://{file}" if file else "env://",
                rank=rank,
                world_size=world,
            )
        return cls(rank, local_rank, world, device)

    def sum(self, values: list[float]) -> list[float]:
        """Sums over all processes."""
        if self.world == 1:
            return values
        tensor: Tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor)
        return tensor.tolist()

    def leave(self) -> None:
        """Part from the others."""
        if distributed.is_initialized():
            distributed.destroy_process_group()
