"""The parity check: datatrove's filters and our steps, rule by rule, on the same texts and URLs.

    make parity                                   (minutes the first time: it extracts all texts)
    python -m scripts.parity.run [--engine resiliparse] [--json FILE] [--output FILE]
    python -m scripts.parity.run --small          (the shipped sample and hand-made texts)

Prints a row a rule, writes `docs/parity.md` (not with `--small`), and exits with 1 where a rule
agrees less than its floor or a difference has no cause in `causes.yaml`. datatrove runs in its own
environment, `.venv-bench` (`make .venv-bench/installed`).
"""

import argparse
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.parity import compare, documents, ours, report, urls
from scripts.parity.sides import Document, Inputs, Side
from scripts.reference import (
    DATA,
    MODEL,
    ROOT,
    open_archives,
    sample_archives,
    their_environment,
    their_python,
)

HERE = Path(__file__).resolve().parent
#: Pages of each archive of the sample that the small check takes.
SMALL_PAGES = 25


@dataclass(frozen=True)
class Work:
    """What one check compares, and the URL filter's parameters, rule by rule."""

    inputs: Inputs
    lists: dict[str, dict[str, Any]]
    what: str


def prepare(work: Path, engine: documents.Engine, *, small: bool) -> Work:
    """Extract, read the lists, and write the files that both sides read."""
    if small:
        archives = sample_archives()
        lists, bad_words, tar = urls.SMALL, None, None
    else:
        archives = open_archives()
        lists, bad_words = urls.read_lists(DATA), str(_bad_words(work))
        tar = DATA / "lists" / "ut1.tar.gz"
    if not archives:
        raise SystemExit(f"no archives at {DATA}; set CORPUSMILL_TEST_DATA, or use --small")
    limit = SMALL_PAGES if small else None
    texts, page_urls = documents.pages(archives, engine, work / "texts", limit)
    inputs = Inputs(
        documents.hand_made() + texts, urls.made(lists) + page_urls, lists, str(MODEL), bad_words
    )
    names = ", ".join(archive.name for archive in archives)
    return Work(inputs, urls.our_params(work / "lists", lists, tar), names)


def _bad_words(work: Path) -> Path:
    """LDNOOBW's English words, one a line."""
    words = json.loads((DATA / "lists" / "badwords" / "ldnoobw_en.json").read_text())
    path = work / "bad_words.txt"
    path.write_text("".join(f"{word}\n" for word in words))
    return path


def start_theirs(work: Path, inputs: Inputs) -> tuple[Path, subprocess.Popen[bytes] | None]:
    """Where datatrove's side will lie, and its process; none where it has judged these inputs."""
    python = their_python()
    given = work / "inputs.json"
    inputs.save(given)
    key = hashlib.sha256(given.read_bytes())
    for source in ("theirs.py", "their_values.py", "sides.py"):
        key.update((HERE / source).read_bytes())
    found = work / f"theirs.{key.hexdigest()[:16]}.json"
    if found.is_file():
        return found, None
    command: list[str | Path] = [python, "-m", "scripts.parity.theirs", given, found]
    return found, subprocess.Popen(command, env=their_environment(work), cwd=ROOT)


def check(work: Path, engine: documents.Engine, *, small: bool) -> tuple[Work, Side, Side]:
    """Both sides on the same documents, at the same time."""
    work.mkdir(parents=True, exist_ok=True)
    prepared = prepare(work, engine, small=small)
    found, process = start_theirs(work, prepared.inputs)
    try:
        our_side = ours.judge(prepared.inputs, prepared.lists)
        if process is not None and process.wait() != 0:
            raise SystemExit("datatrove's side failed")
    finally:
        if process is not None:
            process.kill()
    return prepared, our_side, Side.load(found)


def _names(found: list[Document]) -> list[str]:
    return [document.id for document in found]


def main() -> int:
    """Check, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", default="trafilatura", help="of the extracted texts")
    parser.add_argument("--small", action="store_true", help="the sample and hand-made texts")
    parser.add_argument("--json", type=Path, help="write everything here, every document named")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "parity.md")
    parser.add_argument("--work", type=Path, default=ROOT / ".work" / "parity")
    options = parser.parse_args()
    work = (options.work / ("small" if options.small else "full")).resolve()
    prepared, our_side, their_side = check(work, options.engine, small=options.small)
    inputs = prepared.inputs
    ids = {"texts": _names(inputs.texts), "urls": _names(inputs.urls)}
    agreements = compare.compare(our_side, their_side, ids)
    print(report.table(agreements))
    print(report.differences(agreements))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(agreements), indent=1))
    if not options.small:
        header = {
            "archives": prepared.what,
            "engine": options.engine,
            "texts": len(inputs.texts),
            "urls": len(inputs.urls),
            "made": len(inputs.urls) - len(inputs.texts),
        }
        options.output.write_text(report.page(agreements, our_side, their_side, header))
    faults = report.faults(agreements, compare.missing(our_side, their_side))
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
