"""One machine of a run on several: meets the others, and trains until the run has ended.

    python -m services.training.node RUN --nodes 4 --processes 8 --rendezvous HOST:PORT

calls torchrun's own command on this machine, with its c10d rendezvous. The machine with the number
0 (--index, or JOB_COMPLETION_INDEX, as Kubernetes numbers the pods of an Indexed Job) holds the
rendezvous at HOST:PORT; the others wait until it is there. A machine that is lost and replaced
joins again: torchrun starts the processes of all machines anew, from the last checkpoint.

Exit codes: 0: the run has ended. 75: try again later: SIGTERM (a checkpoint is committed then), no
rendezvous, the store out of reach. 70: failed, and would again. Else: a process failed or was
killed.
"""

import argparse
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from services.training.launch import SHUTDOWN_SECONDS, call_torchrun
from services.training.local import (
    ERROR_FILE,
    EXIT_TRANSIENT,
    PATIENT_THREADS,
    scratch_folder,
)
from shared.errors import TransientError
from shared.settings import settings
from shared.store import Store
from shared.training_run import run_end

#: How often a machine looks whether the rendezvous is there.
LOOK_SECONDS = 1.0

log = logging.getLogger("services.training.node")


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m services.training.node",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", help="id of the run")
    parser.add_argument("--nodes", type=int, required=True, help="machines of the run")
    parser.add_argument("--processes", type=int, required=True, help="processes on each machine")
    parser.add_argument("--rendezvous", required=True, metavar="HOST:PORT")
    index = int(os.environ.get("JOB_COMPLETION_INDEX", "0"))
    parser.add_argument("--index", type=int, default=index, help="this machine's number")
    parser.add_argument("--id", default="run", help="of the rendezvous; the same on all machines")
    parser.add_argument("--address", help="of this machine, for the others")
    parser.add_argument("--max-restarts", type=int, default=3, help="of its processes, in place")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds to wait for the others")
    parser.add_argument("--grace", type=int, default=SHUTDOWN_SECONDS, help="seconds after SIGTERM")
    parser.add_argument("--store", default=settings().store, help="default: %(default)s")
    parser.add_argument("--error-file", type=Path, help="where to write why it failed")
    return parser.parse_args(argv)


def wait_for(address: str, seconds: float) -> None:
    """Return as soon as something listens at HOST:PORT; TransientError where nothing does."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=LOOK_SECONDS):
                return
        except OSError as error:  # not there, or its name is not known yet
            if time.monotonic() >= deadline:
                raise TransientError(f"no rendezvous at {address}: {error}") from error
        time.sleep(LOOK_SECONDS)


def torchrun_options(arguments: argparse.Namespace) -> list[str]:
    """What torchrun is told of the machines."""
    holds = f"is_host={int(arguments.index == 0)}"
    return [
        f"--nnodes={arguments.nodes}",
        f"--nproc-per-node={arguments.processes}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={arguments.rendezvous}",
        f"--rdzv-id={arguments.id}",
        f"--rdzv-conf=join_timeout={arguments.timeout},{holds}",
        f"--max-restarts={arguments.max_restarts}",
        f"--shutdown-timeout={arguments.grace}",
        *([f"--local-addr={arguments.address}"] if arguments.address else []),
    ]


def advance(arguments: argparse.Namespace) -> int:
    """Train with the other machines; the exit code."""
    from torch.distributed.elastic.rendezvous import RendezvousError

    # Otherwise torchrun keeps the first address of the first process for later rounds, too, and the
    # machine there may be gone.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    for name, value in PATIENT_THREADS.items():
        os.environ.setdefault(name, value)
    try:
        if run_end(Store(arguments.store), arguments.run) is not None:
            return 0
        if arguments.index > 0:
            wait_for(arguments.rendezvous, arguments.timeout)
        program = [arguments.run, "--store", arguments.store]
        code = call_torchrun(torchrun_options(arguments), program)
    except (TransientError, RendezvousError) as error:
        log.warning("%s: %s", type(error).__name__, error)
        return EXIT_TRANSIENT
    if code is None:
        return EXIT_TRANSIENT
    return code if code >= 0 else 128 - code


def leave(_signal: int, _frame: object) -> None:
    """On SIGTERM, as long as torchrun has not taken it over; the first process has no default."""
    sys.exit(EXIT_TRANSIENT)


def main(argv: list[str]) -> int:
    """Train on this machine; the exit code."""
    arguments = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, leave)
    code = advance(arguments)
    reason = scratch_folder(arguments.store, arguments.run) / ERROR_FILE
    if code not in (0, EXIT_TRANSIENT) and arguments.error_file and reason.exists():
        with suppress(OSError):
            arguments.error_file.write_bytes(reason.read_bytes())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
