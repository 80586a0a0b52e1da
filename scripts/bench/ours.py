"""Our side: the registered steps, as the tasks of a batch call them.

    python ours.py cut|stages|pipeline WORK ARCHIVE

`cut` copies the records that both readers take for pages into an archive of their own.
`stages` calls step after step, each on all pages, in the tables that the archive reader yields.
`pipeline` submits the archive with a recipe of the same steps and thresholds to an empty store and
runs its tasks to the end, receipts and Parquet included.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from measure import (
    ALPHABETIC,
    STAGES,
    WARM_UP,
    Measured,
    Outcome,
    peak_rss_bytes,
    timed,
    timed_in_turn,
)

from shared.recipe import BoundStep, load_recipe, parse_yaml, resolve
from shared.shards import ShardReader
from shared.store import Store
from shared.testing import drive, make_batch

RECIPE = Path(__file__).with_name("recipe.yaml")
PACKAGES = ("trafilatura", "lxml", "fasttext-community", "numba", "pyarrow", "numpy")


def bound_steps() -> list[BoundStep]:
    """The steps of the benchmark's recipe, in the order of `STAGES`."""
    raw = parse_yaml(RECIPE.read_text(), RECIPE.name)
    steps = resolve(load_recipe(raw)).steps
    assert [b.step.name for b in steps] == [ours for _, ours, _ in STAGES]
    return list(steps)


def read(bound: BoundStep, archive: Path) -> Iterator[pa.Table]:
    """All documents of the archive, in the reader's tables."""
    assert bound.step.source is not None
    size = archive.stat().st_size
    with archive.open("rb") as file:

        def fetch(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        reader = ShardReader(archive.name, size, 0, size, fetch)
        yield from bound.step.source(reader, bound.params)


def cut(work: Path, archive: Path) -> None:
    """Write the archive's pages, and no other record, to an archive that both sides read."""
    wanted = set(json.loads((work / "pages.json").read_text()))
    data = archive.read_bytes()
    rows = [row for table in read(bound_steps()[0], archive) for row in table.to_pylist()]
    chosen = [row for row in rows if row["record_id"] in wanted]
    assert len(chosen) == len(wanted)
    ranges = [(row["offset"], row["offset"] + row["length"]) for row in chosen]
    (work / "pages.warc.gz").write_bytes(b"".join(data[start:end] for start, end in ranges))


def run_step(bound: BoundStep, table: pa.Table) -> pa.Table:
    """A row step over a table with the columns that it reads."""
    row = bound.step.row
    assert row is not None
    return row(table.select(list(bound.step.reads)), bound.params)


def faults(tables: list[pa.Table]) -> int:
    """Rows with an error."""
    return sum(len(t) - t["error"].null_count for t in tables if "error" in t.column_names)


def run_stages(work: Path, archive: Path) -> list[Measured]:
    """Every step on the same pages; leaves the texts that both sides go on with."""
    pages = len(json.loads((work / "pages.json").read_text()))
    names = [stage for stage, _, _ in STAGES]
    records, main_text, *others = bound_steps()
    reading, found = timed(names[0], pages, lambda: sum(map(len, read(records, archive))))
    assert found == pages
    tables = list(read(records, archive))
    run_step(main_text, tables[0][:WARM_UP])
    extraction, extracted = timed(
        names[1], pages, lambda: [run_step(main_text, table) for table in tables]
    )
    texts = [t.select(["text"]).filter(pc.greater(t["characters"], 0)) for t in extracted]
    kept = [text for t in texts for text in t["text"].to_pylist()]
    (work / "texts.json").write_text(json.dumps(kept))
    extraction.results = {"with text": len(kept), "errors": faults(extracted)}
    measured = [reading, extraction]
    for bound in others:
        run_step(bound, texts[0][:WARM_UP])
    works = [partial(run_step, bound) for bound in others]
    for stage, done in zip(*timed_in_turn(names[2:], texts, works), strict=True):
        stage.pages, stage.results = len(kept), {"errors": faults(done)}
        measured.append(stage)
    return measured


def run_pipeline(work: Path, archive: Path) -> Measured:
    """The archive through the recipe, as a worker would run it."""
    pages = len(json.loads((work / "pages.json").read_text()))
    store = Store(str(work / "store"))
    batch = make_batch([archive], parse_yaml(RECIPE.read_text(), RECIPE.name))
    measured, (_, funnel) = timed("pipeline", pages, lambda: drive(store, batch))
    tallies = [funnel.stages[index].tally for index in sorted(funnel.stages)]
    dropped = sum((tally.dropped for tally in tallies), Counter[str]())
    assert not any(tally.failed for tally in tallies)
    left = tallies[0].entered
    for name, ours, _ in STAGES[:-1]:
        short = ours.partition(".")[2]
        left -= sum(n for rule, n in dropped.items() if rule.startswith(f"{short}."))
        measured.results[name] = left
    assert left == tallies[-1].kept
    measured.results[ALPHABETIC] = dropped["gopher_quality_v1.alpha_words"]
    return measured


def main() -> None:
    """Measure and write `ours-<mode>.json` into the work folder."""
    mode, work, archive = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    if mode == "cut":
        cut(work, archive)
        return
    measured = run_stages(work, archive) if mode == "stages" else [run_pipeline(work, archive)]
    outcome = Outcome({p: version(p) for p in ("corpusmill", *PACKAGES)}, measured)
    outcome.peak_rss_bytes = peak_rss_bytes()
    outcome.save(work / f"ours-{mode}.json")


if __name__ == "__main__":
    main()
