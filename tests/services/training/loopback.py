"""A network of its own that consists of a loopback interface: torch's stores listen everywhere."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SETUP = 'ip link set lo up && mount --bind "$0" /etc/hosts && echo up && exec cat'


@contextmanager
def loopback_only(hosts: Path) -> Iterator[list[str]]:
    """Words to put before a command, so that it runs in the network; skips where there is none.

    `hosts`, a file that may be written to later, is the network's /etc/hosts.
    """
    holder = subprocess.Popen(
        ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", SETUP, str(hosts)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    enter = ["nsenter", f"--target={holder.pid}", "--user", "--net", "--mount"]
    try:
        if holder.stdout.readline() != b"up\n":
            pytest.skip("this machine gives no network namespace (unshare --net)")
        yield [*enter, "--preserve-credentials"]
    finally:
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()
