"""The backend `local`: advances a run on this machine, by a slice of time, in a process of its own.

The training program reads and writes the store itself; this only starts it, waits, and records how
it failed. Level-triggered: what is to be done follows from the store, so it may be called again
after any crash. A second call on the same machine, while the first is at work, does nothing; one on
another machine repeats work, and of what both commit the first is kept.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import PermanentError, TransientError
from shared.recipe import digest
from shared.shutdown import asked_to_pause
from shared.store import Store, to_json
from shared.training_run import run_end, run_key

#: Seconds after the end of its slice in which the program must have committed a checkpoint, its
#: start and first step included.
GRACE_SECONDS = 300.0
#: The program's exit codes: "try again later" (sysexits.h, EX_TEMPFAIL), and for what would fail
#: again (EX_SOFTWARE). Any other, as when it is killed or loses the other processes: who knows.
EXIT_TRANSIENT, EXIT_PERMANENT = 75, 70
#: How often it is looked whether the program has ended, or should pause.
LOOK_SECONDS = 0.2
#: Threads that wait for each other sleep: spinning, two threads on a busy machine of two cores are
#: twenty times slower. Changes no sum.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
#: In the scratch folder: why the program failed, of the process that failed first.
ERROR_FILE = "error.txt"
#: What a failed run keeps of its program's output.
LOG_LINES = 50


def advance(store: Store, run: str, slice_seconds: float) -> None:
    """Train for a slice of time, or until the run ends. Does nothing where it has ended.

    A program that fails leaves `failed.json`. Raises TransientError where the store was out of
    reach, or where the program did not pause in time and was killed.
    """
    if run_end(store, run) is not None:
        return
    scratch = scratch_folder(store.url, run)
    with _lock(scratch / "lock") as held:
        if held and run_end(store, run) is None:
            _run_slice(store, run, scratch, slice_seconds)
        if held and run_end(store, run) is not None:
            shutil.rmtree(scratch)


def scratch_folder(store_url: str, run: str) -> Path:
    """A run's own folder for what is downloaded, below the system's folder for temporary files.

    Raises PermanentError where another user has taken its place.
    """
    base = Path(tempfile.gettempdir()) / f"corpusmill-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    if base.stat().st_uid != os.getuid():
        raise PermanentError(f"{base} belongs to another user")
    folder = base / f"run-{digest([store_url, run])}"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether this process has the run on this machine; the kernel frees it when we end."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _run_slice(store: Store, run: str, scratch: Path, seconds: float) -> None:
    log = scratch / "log.txt"
    (scratch / ERROR_FILE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "services.training.train", run, "--store", store.url]
    command += ["--scratch", str(scratch), "--seconds", str(seconds), "--parent", str(os.getpid())]
    with log.open("wb") as output:
        program = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**PATIENT_THREADS, **os.environ},
        )
        try:
            code = _wait(program, seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise TransientError(f"run {run} did not pause in {GRACE_SECONDS:.0f} s") from error
        finally:
            if program.poll() is None:  # torchrun's workers die with it
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
    why = _error(scratch, code)
    if code == EXIT_TRANSIENT:
        raise TransientError(f"run {run}: {why}")
    if code != 0:
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        mark = {"error": why, "exit_code": code, "log": lines}
        store.put_if_absent(run_key(run, "failed.json"), to_json(mark))


def _wait(program: "subprocess.Popen[bytes]", seconds: float) -> int:
    """Its exit code. Where this worker is to end, the program commits a checkpoint and pauses."""
    deadline = time.monotonic() + seconds
    told = False
    while True:
        try:
            code = program.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise
        else:  # told before it could listen, it has done nothing yet
            return 0 if told and code == -signal.SIGTERM else code
        if asked_to_pause() and not told:
            program.terminate()
            told = True


def _error(scratch: Path, code: int) -> str:
    """Why the program failed, as it says itself; it cannot where it was killed or did not start."""
    file = scratch / ERROR_FILE
    if file.exists():
        return file.read_text()
    if code < 0:
        return f"the training program was killed by {signal.Signals(-code).name}"
    return f"the training program ended with code {code}"
