"""Temporary files of processes that end, or are killed."""

import subprocess
import sys
from pathlib import Path

OWN = """
import os, signal, sys, tempfile
from shared.processes import own_temporary_folder
own_temporary_folder()
tempfile.NamedTemporaryFile(delete=False).write(b"left")
print(os.getpid(), flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run(how: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", OWN, how],
        stdout=subprocess.PIPE,
        env={"TMPDIR": str(folder), "PYTHONPATH": str(Path.cwd())},
        check=False,
        text=True,
    )
    return f"corpusmill-{done.stdout.strip()}"


def test_a_folder_of_temporary_files_ends_with_its_process(tmp_path):
    run("ends", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next(tmp_path):
    (tmp_path / "corpusmill-else").mkdir()  # no process of ours
    left = run("killed", tmp_path)
    assert len(list((tmp_path / left).iterdir())) == 1
    run("ends", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["corpusmill-else"]
