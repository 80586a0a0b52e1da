"""What the comparisons share: datatrove's environment, the data, reading, the machine.

`scripts/parity` compares decisions, `scripts/bench` time. They run from the project's root as
`python -m scripts.parity.run`, as all scripts do; the other side too, with its own interpreter.
"""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from shared.shards import ShardReader
from shared.step import load_registry

ROOT = Path(__file__).resolve().parents[1]
#: datatrove's environment, from requirements/bench.txt.
THEIR_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
MODEL = ROOT / "services" / "langid" / "models" / "lid.176.ftz"
DATA = Path(os.environ.get("CORPUSMILL_TEST_DATA", ROOT.parent / "shared" / "data"))


def their_python() -> Path:
    """Datatrove's interpreter; exits where its environment was not made."""
    if not THEIR_PYTHON.is_file():
        raise SystemExit("datatrove's environment is absent: make .venv-bench/installed")
    return THEIR_PYTHON


def their_environment(work: Path) -> dict[str, str]:
    """Environment variables of datatrove's processes: these scripts, no network, own assets."""
    offline = {"HF_ASSETS_CACHE": str(work / "assets"), "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **offline, "PYTHONPATH": str(ROOT)}


def open_archives() -> list[Path]:
    """The archives of real pages. `open-mini` holds pages of the others."""
    return sorted((DATA / "warc" / "open").glob("open-*-*.warc.gz"))


def sample_archives() -> list[Path]:
    """The archives that ship with the project."""
    return sorted((ROOT / "sample").glob("*.warc.gz"))


def read_archive(archive: Path, params: Any = None) -> Iterator[pa.Table]:
    """All documents of an archive, in the reader's tables."""
    step = load_registry()["extraction.records_v1"]
    assert step.source is not None
    size = archive.stat().st_size
    with archive.open("rb") as file:

        def fetch(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        reader = ShardReader(archive.name, size, 0, size, fetch)
        yield from step.source(reader, params or step.params())


def versions(found: dict[str, str]) -> str:
    """`name version, ...`."""
    return ", ".join(f"{name} {version}" for name, version in found.items())


def machine() -> str:
    """Processor, cores, memory, system; no names of hosts or paths."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"
