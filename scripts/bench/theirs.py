"""datatrove's side: its own blocks, unchanged, in its own environment (`requirements/bench.txt`).

    python theirs.py pages|stages|pipeline WORK ARCHIVE MODEL

`pages` says which records its reader takes for pages. `stages` runs block after block, each on all
pages. `pipeline` runs the blocks as one stream with its own executor, as one would in production.
"""
# mypy: disable-error-code="import-not-found"

import json
import multiprocessing
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.lid import FT176LID
from loguru import logger
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

#: Wall-clock seconds a page may take. datatrove's default of 1 drops long pages on a busy machine;
#: the benchmark wants every page done.
TIMEOUT_SECONDS = 60.0
PACKAGES = ("datatrove", "trafilatura", "lxml", "fasttext-numpy2-wheel", "spacy", "numpy", "warcio")


def reader(archive: Path) -> Any:
    """All pages of one archive."""
    return WarcReader(str(archive.parent), glob_pattern=archive.name)


def text_blocks(work: Path) -> list[Any]:
    """A block for each stage after the extraction, datatrove's defaults."""
    return [
        LanguageFilter("en"),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        MinhashDedupSignature(str(work / "signatures")),
    ]


def through(block: Any, documents: list[Any]) -> list[Any]:
    """All that a block lets pass; a block that only writes yields nothing."""
    passed = list(block.run(iter(documents)) or ())
    collect_children()
    return passed


def collect_children() -> None:
    """Wait for datatrove's sandbox: the CPU time of a child counts once it has been waited for."""
    for child in multiprocessing.active_children():
        child.join()


def copies(texts: list[str]) -> list[Any]:
    """Fresh documents: blocks write into them."""
    return [Document(text=text, id=str(i)) for i, text in enumerate(texts)]


def run_stages(work: Path, archive: Path) -> list[Measured]:
    """Every block on the same pages: the archive's, then the texts of `texts.json`."""
    pages = len(json.loads((work / "pages.json").read_text()))
    texts = json.loads((work / "texts.json").read_text())
    names = [stage for stage, _, _ in STAGES]
    reading, found = timed(names[0], pages, lambda: sum(1 for _ in reader(archive).run()))
    assert found == pages
    documents = list(reader(archive).run())
    extractor = Trafilatura(timeout=TIMEOUT_SECONDS)
    for document in documents[:WARM_UP]:
        extractor.extract(document.text)
    extraction, passed = timed(names[1], pages, lambda: through(extractor, documents))
    extraction.results = {"with text": len(passed)}
    measured = [reading, extraction]
    *filters, signature = text_blocks(work)
    for block in (*filters, signature):
        through(block, copies(texts[:WARM_UP]))
    inspect = [partial(inspected, block) for block in filters]
    measured += timed_in_turn(names[2:-1], copies(texts), inspect)[0]
    # Its files take all documents at once, and it splits a text of its own into words.
    fresh = copies(texts)
    measured.append(timed(names[-1], 0, partial(through, signature, fresh))[0])
    for stage in measured[2:]:
        stage.pages = len(texts)
    return measured


def inspected(block: Any, document: Any) -> int:
    """One document through a filter; whether it passes."""
    return len(list(block.run(iter((document,)))))


def run_pipeline(work: Path, archive: Path) -> Measured:
    """The blocks as one stream: what one drops, the next never sees."""
    pages = len(json.loads((work / "pages.json").read_text()))
    *filters, signature = text_blocks(work)
    writer = JsonlWriter(str(work / "kept"))
    extractor = Trafilatura(timeout=TIMEOUT_SECONDS)
    blocks = [reader(archive), extractor, *filters, writer, signature]
    executor = LocalPipelineExecutor(blocks, logging_dir=str(work / "logs"), skip_completed=False)

    def run() -> Any:
        stats = executor.run()
        collect_children()
        return stats

    measured, stats = timed("pipeline", pages, run)
    passing = blocks[1 : 2 + len(filters)]
    for (name, _, _), block in zip(STAGES[1:], stats.stats[1 : 1 + len(passing)], strict=False):
        measured.results[name] = int(block.stats["forwarded"].total)
    quality = stats.stats[len(passing)].stats
    measured.results[ALPHABETIC] = int(quality["dropped_gopher_below_alpha_threshold"].total)
    return measured


def main() -> None:
    """Measure and write `theirs-<mode>.json` into the work folder."""
    mode, work, archive, model = sys.argv[1], *(Path(a).resolve() for a in sys.argv[2:])
    logger.remove()
    # Where datatrove would download the model from; a path is copied into its asset folder.
    FT176LID.MODEL_URL = str(model)
    outcome = Outcome({p: version(p) for p in PACKAGES}, [])
    if mode == "pages":
        outcome.page_ids = [d.id for d in reader(archive).run()]
    elif mode == "stages":
        outcome.stages = run_stages(work, archive)
    else:
        outcome.stages = [run_pipeline(work, archive)]
    outcome.peak_rss_bytes = peak_rss_bytes()
    outcome.save(work / f"theirs-{mode}.json")


if __name__ == "__main__":
    main()
