"""The benchmark: Corpusmill and datatrove on the same archive, stage by stage and as a whole.

    make bench                                   (about seven minutes)
    python scripts/bench/run.py [ARCHIVE] [--output FILE]

It makes `.venv-bench` with datatrove 0.10.1 and what it needs, runs each side in processes of its
own, one after the other, refuses to compare unequal numbers of pages, and writes
`docs/benchmarks.md`. Without an archive it takes `open-en-00000.warc.gz` of the test data, and
where that is absent the sample.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from pathlib import Path

from measure import Outcome
from report import write_report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REQUIREMENTS = ROOT / "requirements" / "bench.txt"
MODEL = ROOT / "services" / "langid" / "models" / "lid.176.ftz"
DATA = Path(os.environ.get("CORPUSMILL_TEST_DATA", ROOT.parent / "shared" / "data"))
#: Each side runs this often, in turn with the other; the page shows medians and ranges.
ROUNDS = 3
#: One thread each: the numbers are CPU time on one core.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
)


def default_archive() -> Path:
    """The benchmark's archive, or a part of the sample."""
    real = DATA / "warc" / "open" / "open-en-00000.warc.gz"
    return real if real.is_file() else ROOT / "sample" / "sample-0.warc.gz"


def their_python() -> Path:
    """The interpreter of datatrove's environment; made, or made again when its pins changed."""
    folder = ROOT / ".venv-bench"
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    if not stamp.is_file() or stamp.read_text() != REQUIREMENTS.read_text():
        print("installing datatrove into .venv-bench", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        # Every package is pinned, so nothing is left to resolve.
        options = ("--quiet", "--no-deps", "-r", str(REQUIREMENTS))
        subprocess.run([str(python), "-m", "pip", "install", *options], check=True)
        stamp.write_text(REQUIREMENTS.read_text())
    return python


def run_side(python: Path | str, side: str, mode: str, work: Path, archive: Path) -> None:
    """One side in one mode, in a process of its own."""
    print(f"{side} {mode}", flush=True)
    command: list[Path | str] = [python, HERE / f"{side}.py", mode, work, archive]
    if side == "theirs":
        command.append(MODEL)
    assets = {"HF_ASSETS_CACHE": str(work / "assets"), "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, env={**os.environ, **ONE_THREAD, **assets}, cwd=work)


def measure(archive: Path, work: Path) -> dict[str, list[Outcome]]:
    """All runs by name, on the records that datatrove's reader takes for pages."""
    python = their_python()
    run_side(python, "theirs", "pages", work, archive)
    pages = Outcome.load(work / "theirs-pages.json").page_ids
    (work / "pages.json").write_text(json.dumps(pages))
    run_side(sys.executable, "ours", "cut", work, archive)
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    for round_ in range(ROUNDS):
        folder = work / str(round_)
        folder.mkdir()
        shutil.copy(work / "pages.json", folder)
        for mode in ("stages", "pipeline"):
            for side, interpreter in (("ours", sys.executable), ("theirs", python)):
                run_side(interpreter, side, mode, folder, work / "pages.warc.gz")
                outcomes[f"{side}-{mode}"].append(Outcome.load(folder / f"{side}-{mode}.json"))
    return outcomes


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", nargs="?", type=Path, default=default_archive())
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = measure(options.archive.resolve(), Path(folder))
    text = write_report(options.archive.name, outcomes)
    options.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
