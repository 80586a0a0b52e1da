"""The parity check: datatrove's filters and our steps, rule by rule, on the same texts and URLs.

    make parity                                   (minutes the first time: it extracts all texts)
    python scripts/parity/run.py [--engine resiliparse] [--json FILE] [--output FILE]
    python scripts/parity/run.py --small          (the shipped sample and hand-made texts)

Prints a row a rule, writes `docs/parity.md` (not with `--small`), and exits with 1 where a rule
agrees less than its floor or a difference has no cause in `causes.yaml`. datatrove runs in its own
environment, `.venv-bench` (`make .venv-bench/installed`).
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compare
import documents
import ours
import report
import urls
from sides import RULES, URL, WHOLE, Document, Inputs, Side

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
THEIR_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
MODEL = ROOT / "services" / "langid" / "models" / "lid.176.ftz"
DATA = Path(os.environ.get("CORPUSMILL_TEST_DATA", ROOT.parent / "shared" / "data"))
#: Pages of each archive of the sample that the small check takes.
SMALL_PAGES = 25
#: `open-mini` holds pages of the others.
ARCHIVES = "open-*-*.warc.gz"


@dataclass(frozen=True)
class Work:
    """What one check compares, and the URL filter's parameters, rule by rule."""

    inputs: Inputs
    lists: dict[str, dict[str, Any]]
    what: str


def prepare(work: Path, engine: documents.Engine, *, small: bool) -> Work:
    """Extract, read the lists, and write the files that both sides read."""
    if small:
        archives = sorted((ROOT / "sample").glob("*.warc.gz"))
        lists, bad_words, tar = urls.SMALL, None, None
    else:
        archives = sorted((DATA / "warc" / "open").glob(ARCHIVES))
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
    return Work(inputs, _list_params(work, lists, tar), names)


def _bad_words(work: Path) -> Path:
    """LDNOOBW's English words, one a line."""
    words = json.loads((DATA / "lists" / "badwords" / "ldnoobw_en.json").read_text())
    path = work / "bad_words.txt"
    path.write_text("".join(f"{word}\n" for word in words))
    return path


def _list_params(
    work: Path, lists: dict[str, list[str]], tar: Path | None
) -> dict[str, dict[str, Any]]:
    """Our parameters for each list by itself and for all; `tar` is UT1's own file."""
    params: dict[str, dict[str, Any]] = {}
    for rule, entries in lists.items():
        path = work / "lists" / rule
        if rule in ("domain", "url"):
            path.mkdir(parents=True, exist_ok=True)
            (path / f"{rule}s").write_text("".join(f"{entry}\n" for entry in entries))
            params[rule] = {"blocklists": [str(path)]}
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{entry}\n" for entry in entries))
            params[rule] = {rule: str(path)}
    whole = {name: value for p in params.values() for name, value in p.items()}
    if tar is None:
        whole["blocklists"] = [*params["domain"]["blocklists"], *params["url"]["blocklists"]]
    else:
        whole |= {"blocklists": [str(tar)], "categories": list(urls.CATEGORIES)}
    assert [*params, WHOLE] == list(RULES[URL])
    return {**params, WHOLE: whole}


def run_theirs(work: Path, inputs: Inputs) -> Side:
    """The side of datatrove, or what it said of the same inputs before."""
    if not THEIR_PYTHON.is_file():
        raise SystemExit("no .venv-bench: run `make .venv-bench/installed`")
    given = work / "inputs.json"
    inputs.save(given)
    key = hashlib.sha256(given.read_bytes())
    for source in ("theirs.py", "their_values.py", "sides.py"):
        key.update((HERE / source).read_bytes())
    found = work / f"theirs.{key.hexdigest()[:16]}.json"
    if not found.is_file():
        print("datatrove", flush=True)
        offline = {"HF_ASSETS_CACHE": str(work / "assets"), "HF_HUB_OFFLINE": "1"}
        command = [THEIR_PYTHON, HERE / "theirs.py", given, found]
        subprocess.run(command, check=True, env={**os.environ, **offline})
    return Side.load(found)


def check(work: Path, engine: documents.Engine, *, small: bool) -> tuple[Work, Side, Side]:
    """Both sides on the same documents."""
    work.mkdir(parents=True, exist_ok=True)
    prepared = prepare(work, engine, small=small)
    theirs = run_theirs(work, prepared.inputs)
    return prepared, ours.judge(prepared.inputs, prepared.lists), theirs


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
