"""What an installed Corpusmill holds is what the repository has."""

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_file_beside_the_code_is_packed():
    listed = subprocess.run(
        ["git", "ls-files", "shared", "services"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:  # an unpacked archive of the sources: all files are ours
        files = [p for top in ("shared", "services") for p in (ROOT / top).rglob("*")]
        paths = [p for p in files if p.is_file() and "__pycache__" not in p.parts]
    else:
        paths = [Path(line) for line in listed.stdout.splitlines()]
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = packed["tool"]["setuptools"]["package-data"]["*"]
    beside = [p for p in paths if p.suffix != ".py"]
    assert len(beside) > 50
    assert not [str(p) for p in beside if not any(fnmatch(p.name, q) for q in patterns)]
