"""Our side: the registered steps, as the tasks of a batch call them.

    python -m scripts.bench.ours cut|stages|pipeline-ENGINE WORK FOLDER

`cut` copies pages into archives of their own; `stages` runs step after step on them, in the tables
that the archive reader yields; `pipeline-ENGINE` runs the whole line.

The whole line is the shipped recipe `fineweb` up to its deduplication, on an empty store, run
to its end, receipts and Parquet included.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from scripts.bench.measure import (
    DROPPING,
    ENGINES,
    STAGES,
    WARM_UP,
    Measured,
    Outcome,
    Pages,
    peak_rss_bytes,
    timed,
    timed_in_turn,
)
from scripts.bench.workers import worker_memory
from scripts.reference import read_archive
from services.extraction.memory import forget
from services.extraction.page import read_page
from shared.columns import ColumnWriter
from shared.processes import give_memory_back
from shared.progress import Funnel
from shared.recipe import BoundStep, load_recipe, resolve
from shared.stages import Pipeline
from shared.store import Store
from shared.testing import drive, make_batch
from shared.text.edits import apply_edits

PACKAGES = ("trafilatura", "resiliparse", "lxml", "fasttext-community", "numba", "pyarrow", "numpy")
RECIPE = "fineweb"
#: Steps that are measured and are not in the recipe.
EXTRA: tuple[dict[str, Any], ...] = (
    {"step": "quality.line_corrections_v1"},
    {
        "step": "dedup.minhash_v1",
        "params": {"bands": 14, "rows": 8, "ngram": 5, "scheme": "datatrove"},
    },
)


def line(pages: Pages, engine: str = "trafilatura") -> dict[str, Any]:
    """The recipe up to its deduplication, with the engine and the lists of the URL filter.

    Without the pre-check where it takes longer than the extraction that it spares.
    """
    steps = [s.model_dump() for s in load_recipe(RECIPE).steps]
    steps = list(takewhile(lambda s: not s["step"].startswith("dedup."), steps))
    if engine in ("blocks", "resiliparse"):
        steps = [s for s in steps if s["step"] != "extraction.precheck_v1"]
    by_name = {s["step"]: s["params"] for s in steps}
    by_name["extraction.main_text_v1"]["engine"] = engine
    by_name["extraction.url_filter_v1"].update(pages.lists("our"))
    return {"name": "benchmark", "steps": steps}


def bound_steps(pages: Pages) -> dict[str, BoundStep]:
    """The steps that are measured by themselves."""
    raw = line(pages)
    return {
        b.step.name: b
        for b in resolve(load_recipe({**raw, "steps": [*raw["steps"], *EXTRA]})).steps
    }


def cut(work: Path) -> None:
    """Write the pages of every set of `sets.json`, and nothing else, to archives of their own."""
    sets: dict[str, dict[str, list[str]]] = json.loads((work / "sets.json").read_text())
    for name, archives in sets.items():
        folder = work / name
        folder.mkdir()
        for archive, ids in archives.items():
            copy_records(Path(archive), folder, set(ids))
        (folder / "count").write_text(str(sum(map(len, archives.values()))))


def copy_records(archive: Path, folder: Path, wanted: set[str]) -> None:
    """The wanted records of an archive, byte by byte, to an archive of the same name."""
    data = archive.read_bytes()
    ranges = [
        (row["offset"], row["offset"] + row["length"])
        for table in read_archive(archive)
        for row in table.select(["record_id", "offset", "length"]).to_pylist()
        if row["record_id"] in wanted
    ]
    assert len(ranges) == len(wanted)
    (folder / archive.name).write_bytes(b"".join(data[start:end] for start, end in ranges))


def run_step(bound: BoundStep, table: pa.Table) -> pa.Table:
    """A row step over a table with the columns that it reads."""
    row = bound.step.row
    assert row is not None
    return row(table.select(list(bound.step.reads)), bound.params)


def read(bound: BoundStep, pages: Pages) -> Iterator[pa.Table]:
    """All pages, in the reader's tables."""
    for archive in pages.archives:
        yield from read_archive(archive, bound.params)


def decode(table: pa.Table) -> None:
    """What the main text step does first, and datatrove's reader last."""
    for payload, content_type in zip(table["payload"], table["content_type"], strict=True):
        read_page(payload.as_py(), content_type.as_py())


def run_stages(work: Path, pages: Pages) -> list[Measured]:
    """Every step on the same pages; leaves the texts that both sides go on with."""
    steps = bound_steps(pages)
    reader = steps["extraction.records_v1"]
    assert sum(map(len, read(reader, pages.warm))) == pages.warm.count
    reading, found = timed("reading", pages.count, lambda: sum(map(len, read(reader, pages))))
    assert found == pages.count
    tables = list(read(reader, pages))
    measured = [reading, page_stage("decoding", decode, tables)[0]]
    for stage, name in (
        ("URL rules", "extraction.url_filter_v1"),
        ("language pre-check", "extraction.precheck_v1"),
    ):
        measured.append(page_stage(stage, partial(run_step, steps[name]), tables)[0])
    extracted = {}
    for engine in ENGINES:
        extract = partial(run_step, with_engine(steps["extraction.main_text_v1"], engine))
        done, extracted[engine] = page_stage(f"main text, {engine}", extract, tables)
        done.results = {
            "with text": sum(
                pc.sum(pc.greater(t["characters"], 0)).as_py() for t in extracted[engine]
            )
        }
        measured.append(done)
    rows = joined(tables, extracted["trafilatura"])
    columns = ["record_id", "url", "text"]
    (work / "texts.json").write_text(
        json.dumps([r for t in rows for r in t.select(columns).to_pylist()])
    )
    measured += text_stages(work, steps, rows)
    for one in measured:
        one.pages = one.pages or sum(map(len, rows))
    return measured


def with_engine(bound: BoundStep, engine: str) -> BoundStep:
    """The main text step with another engine."""
    params = bound.params.model_copy(update={"engine": engine})
    return BoundStep(**{**vars(bound), "params": params})


def page_stage(stage: str, work: Any, tables: list[pa.Table]) -> tuple[Measured, list[Any]]:
    """A stage over all pages; what an earlier stage decoded is forgotten."""
    work(tables[0][:WARM_UP])
    forget()
    return timed(stage, sum(map(len, tables)), lambda: [work(table) for table in tables])


def joined(tables: list[pa.Table], extracted: list[pa.Table]) -> list[pa.Table]:
    """Spine and main text of the pages that have one."""
    rows = []
    for spine, text in zip(tables, extracted, strict=True):
        table = spine.drop_columns(["payload"])
        for name in ("text", "charset", "characters"):
            table = table.append_column(name, text[name])
        rows.append(table.filter(pc.greater(text["characters"], 0)))
    return rows


def text_stages(work: Path, steps: dict[str, BoundStep], rows: list[pa.Table]) -> list[Measured]:
    """The steps over texts, piece by piece, then writing what they measured, then MinHash."""
    names = [s.name for s in STAGES if s.over == "texts"]
    short = {s.name: steps[s.step] for s in STAGES if s.step in steps}
    cleaned = Cleaned(short["C4"])
    works: list[Any] = [partial(run_step, short[name]) for name in names[:-2]]
    works[names.index("C4")] = cleaned.clean
    works[names.index("FineWeb")] = lambda _table: run_step(short["FineWeb"], cleaned.text)
    for one in works:
        one(rows[0][:WARM_UP])
    measured, results = timed_in_turn(names[:-2], rows, works)
    outputs = [rows, rows, *results]
    bound = [steps["extraction.records_v1"], steps["extraction.main_text_v1"]]
    bound += [short[name] for name in names[:-2]]
    writing, _ = timed("writing", 0, lambda: write(Store(str(work / "columns")), bound, outputs))
    minhash = short["MinHash signature"]
    run_step(minhash, rows[0][:WARM_UP])
    signing, _ = timed("MinHash signature", 0, lambda: [run_step(minhash, t) for t in rows])
    return [*measured, writing, signing]


class Cleaned:
    """C4's step, and what it leaves to the step after it: of a page that it drops, the page."""

    def __init__(self, bound: BoundStep) -> None:
        self.bound = bound
        self.before = self.after = pa.table({})

    def clean(self, table: pa.Table) -> pa.Table:
        """Measure."""
        self.before, self.after = table, run_step(self.bound, table)
        return self.after

    @property
    def text(self) -> pa.Table:
        """The texts after the edits."""
        columns = {name: self.after[name] for name in self.after.column_names}
        kept = pa.chunked_array([pa.array([True] * len(self.after))])
        for rule in self.bound.rules:
            kept = pc.and_(kept, rule.holds(columns))
        texts = self.before["text"]
        return pa.table({"text": pc.if_else(kept, apply_edits(texts, self.after["edits"]), texts)})


def write(store: Store, steps: list[BoundStep], outputs: list[list[pa.Table]]) -> None:
    """The columns of each step as one object of a store, as a worker commits them."""
    for bound, tables in zip(steps, outputs, strict=True):
        schema = bound.step.schema
        writer = ColumnWriter(schema)
        for table in tables:
            errors = pa.nulls(len(table), pa.string())
            whole = table if "error" in table.column_names else table.append_column("error", errors)
            writer.write(whole.select(schema.names).cast(schema))
        writer.commit(store, f"columns/{bound.step.short}/", "0", {})


def run_pipeline(work: Path, pages: Pages, engine: str) -> list[Measured]:
    """A few pages in a fresh process, then the archives, as a worker would run them."""
    found = []
    for stage, some in (("start-up", pages.warm), ("pipeline", pages)):
        store = Store(str(work / f"store-{engine}-{stage}"))
        batch = make_batch(some.archives, line(pages, engine))
        measured, funnel = timed(stage, some.count, partial(drive, store, batch))
        measured.results = left(*funnel)
        found.append(measured)
    return found


def left(pipeline: Pipeline, funnel: Funnel) -> dict[str, int]:
    """Pages after each group of rules."""
    results = {}
    tallies = [funnel.stages[index].tally for index in sorted(funnel.stages)]
    dropped = sum((tally.dropped for tally in tallies), Counter[str]())
    failed = sum(sum(tally.failed.values()) for tally in tallies)
    kept = tallies[0].entered
    names = {s.step: s.name for s in STAGES if s.name in DROPPING}
    for bound in pipeline.recipe.steps:
        kept -= sum(dropped[rule] for rule in bound.rule_names)
        if bound.step.name in names:
            results[names[bound.step.name]] = kept
    assert kept - failed == tallies[-1].kept
    return results | {"failed": failed}


def main() -> None:
    """Measure and write `ours-<mode>.json` into the work folder."""
    mode, work, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if mode == "cut":
        cut(work)
        return
    give_memory_back()  # as a worker does
    pages = Pages(folder)
    if mode == "stages":
        measured = run_stages(work, pages)
    elif mode == "workers":
        measured = worker_memory(work / "workers", pages.archives, line(pages))
    else:
        measured = run_pipeline(work, pages, mode.removeprefix("pipeline-"))
    outcome = Outcome({p: version(p) for p in ("corpusmill", *PACKAGES)}, measured)
    outcome.peak_rss_bytes = peak_rss_bytes()
    outcome.save(work / f"ours-{mode}.json")


if __name__ == "__main__":
    main()
