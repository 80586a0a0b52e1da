"""Process 1 of a container: `python -m shared.container PROGRAM ARGUMENTS...`.

The kernel treats process 1 apart: signals that it does not handle do nothing, and it inherits
every process whose parent died. So this passes signals on to the program, collects what died, and
ends as the program ends. Before that it links what the image has prepared (compiled loops, a
dictionary) into the cache: that lies on the only writable folder, the image itself is read-only.

    python -m shared.container --check URL      exit code 0 where the URL answers 200
"""

import os
import signal
import sys
import urllib.request
from pathlib import Path

_PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_CHECK_SECONDS = 4.0


def main(arguments: list[str]) -> int:
    """Run a program until it ends; returns its exit code, as a shell would."""
    if arguments[:1] == ["--check"]:
        return check(arguments[1])
    prepared = os.environ.get("CORPUSMILL_PREPARED")
    if prepared:
        link(Path(prepared), Path(os.environ["CORPUSMILL_CACHE"]))
    return supervise(arguments)


def check(url: str) -> int:
    """Whether an HTTP server answers."""
    try:
        with urllib.request.urlopen(url, timeout=_CHECK_SECONDS) as answer:  # noqa: S310
            return 0 if answer.status == 200 else 1
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


def link(prepared: Path, cache: Path) -> None:
    """Give the cache the prepared files as links: what is written anew replaces a link."""
    for folder, _, files in os.walk(prepared):
        place = cache / Path(folder).relative_to(prepared)
        place.mkdir(parents=True, exist_ok=True)
        for name in files:
            target = place / name
            if not target.is_symlink() and not target.exists():
                target.symlink_to(Path(folder) / name)


def supervise(command: list[str]) -> int:
    """Start a program, pass signals on, collect the dead."""
    # No signal may get lost between the start and the moment when it can be passed on.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    program = os.posix_spawnp(command[0], command, os.environ, setsigmask=())
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _frame: _pass_on(program, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    while True:
        pid, status = os.wait()
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _pass_on(program: int, number: int) -> None:
    """A program that has just ended gets no signal any more."""
    try:
        os.kill(program, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
