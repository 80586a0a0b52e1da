"""The benchmark: Corpusmill and datatrove on the same archives, stage by stage and as a whole.

    make bench                                            (about fourteen minutes on two cores)
    python -m scripts.bench.run --pages 20 --rounds 1     (a try: so many pages of each archive)

Runs each side in processes of its own, one after the other, refuses to compare unequal numbers of
pages, and writes `docs/benchmarks.md`. Where the archives of the test data are absent it takes the
sample. datatrove runs in its own environment, `.venv-bench` (`make .venv-bench/installed`).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.measure import WARM_UP, Outcome
from scripts.bench.report import write_report
from scripts.parity import urls
from scripts.parity.sides import URL_OPTIONS, WHOLE
from scripts.parts import write_part
from scripts.reference import (
    DATA,
    MODEL,
    ROOT,
    open_archives,
    sample_archives,
    their_environment,
    their_python,
)

#: One thread each: the numbers are CPU time on one core.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
)
#: How often the sides run, in turn; the page shows medians and ranges. All archives take minutes.
ROUNDS = {"stages": 3, "first": 2, "all": 1}
#: The stage table takes so many pages of the first archive, evenly spread: 15 blocks on each.
STAGE_PAGES = 300
#: The engines of the whole line.
LINES = ("trafilatura", "blocks", "resiliparse")


@dataclass(frozen=True)
class Plan:
    """What to measure: at most so many pages an archive, at most so many rounds."""

    pages: int | None
    rounds: int | None

    def rounds_of(self, what: str) -> int:
        """How often."""
        return min(ROUNDS[what], self.rounds or ROUNDS[what])


def run_side(side: str, mode: str, work: Path, folder: Path) -> None:
    """One side in one mode, in a process of its own."""
    print(f"{side} {mode} {folder.name}", flush=True)
    python = their_python() if side == "theirs" else Path(sys.executable)
    command: list[str | Path] = [python, "-m", f"scripts.bench.{side}", mode, work, folder]
    if side == "theirs":
        command.append(MODEL)
    environment = {**their_environment(work), **ONE_THREAD}
    subprocess.run(command, check=True, env=environment, cwd=ROOT)


def prepare(work: Path, archives: list[Path], plan: Plan) -> None:
    """Folders of pages: a few, some of the first archive, all of it, all archives."""
    (work / "archives.json").write_text(json.dumps([str(a) for a in archives]))
    run_side("theirs", "pages", work, work)
    ids: dict[str, list[str]] = json.loads((work / "ids.json").read_text())
    first = [str(archives[0])]
    wanted = {
        "warm": (first, WARM_UP),
        "stages": (first, STAGE_PAGES),
        "first": (first, None),
        "all": (list(ids), None),
    }
    sets = {}
    for name, (some, most) in wanted.items():
        limit = min(filter(None, (most, plan.pages)), default=None)
        sets[name] = {archive: evenly(ids[archive], limit) for archive in some}
    (work / "sets.json").write_text(json.dumps(sets))
    run_side("ours", "cut", work, work)


def evenly(ids: list[str], limit: int | None) -> list[str]:
    """At most `limit` of them, evenly spread."""
    if limit is None or limit >= len(ids):
        return ids
    return [ids[i * len(ids) // limit] for i in range(limit)]


def write_lists(work: Path) -> str:
    """The URL filter's lists for both sides; says which they are."""
    tar = DATA / "lists" / "ut1.tar.gz"
    real = tar.is_file()
    lists = urls.read_lists(DATA) if real else urls.SMALL
    ours = urls.our_params(work / "lists", lists, tar if real else None)[WHOLE]
    (work / "our-lists.json").write_text(json.dumps(ours))
    theirs = {option: lists[rule] for rule, option in URL_OPTIONS.items()}
    (work / "their-lists.json").write_text(json.dumps(theirs))
    return f"{sum(map(len, lists.values())):,} entries ({'UT1, datatrove' if real else 'made up'})"


def measure(archives: list[Path], work: Path, plan: Plan) -> dict[str, list[Outcome]]:
    """All outcomes by name: `<side>-<mode>-<pages>`."""
    prepare(work, archives, plan)
    runs = [("ours", f"pipeline-{engine}") for engine in LINES] + [("theirs", "pipeline")]
    modes = {"stages": [("ours", "stages"), ("theirs", "stages")], "first": runs}
    if len(archives) > 1:
        modes["all"] = runs
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    for name, sides in modes.items():
        for round_ in range(plan.rounds_of(name)):
            here = work / f"round-{round_}" / name
            here.mkdir(parents=True)
            for side, mode in sides:
                run_side(side, mode, here, work / name)
                outcomes[f"{side}-{mode}-{name}"].append(Outcome.load(here / f"{side}-{mode}.json"))
    run_side("ours", "workers", work, work / [*modes][-1])
    outcomes["workers"].append(Outcome.load(work / "ours-workers.json"))
    return outcomes


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "archives", nargs="*", type=Path, default=open_archives() or sample_archives()
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--pages", type=int, help="at most so many pages of each archive")
    parser.add_argument("--rounds", type=int, help="at most so many rounds")
    options = parser.parse_args()
    archives = [archive.resolve() for archive in options.archives]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        lists = write_lists(work)
        outcomes = measure(archives, work, Plan(options.pages, options.rounds))
    limits = {"--pages": options.pages, "--rounds": options.rounds}
    given = " ".join(f"{name} {value}" for name, value in limits.items() if value)
    command = f"python -m scripts.bench.run {given}" if given else "make bench"
    text = write_report([archive.name for archive in archives], lists, outcomes, command)
    write_part(options.output, "make bench", text)
    print(text)


if __name__ == "__main__":
    main()
