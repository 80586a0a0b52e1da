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
from measure import STAGES, WARM_UP, Measured, Outcome, peak_rss_bytes, timed

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
    multiprocessing.active_children()  # collects the sandbox, so that its CPU time counts
    return passed


def copies(texts: list[str]) -> list[Any]:
    """Fresh documents: blocks write into them."""
    return [Document(text=text, id=str(i)) for i, text in enumerate(texts)]


def run_stages(work: Path, archive: Path) -> list[Measured]:
    """Every block on the same pages: the archive's, then the texts of `texts.json`."""
    pages = len(json.loads((work / "pages.json").read_text()))
    texts = json.loads((work / "texts.json").read_text())
    names = [stage for stage, _, _ in STAGES]
    reading, documents = timed(names[0], pages, lambda: list(reader(archive).run()))
    assert len(documents) == pages
    extractor = Trafilatura(timeout=TIMEOUT_SECONDS)
    for document in documents[:WARM_UP]:
        extractor.extract(document.text)
    extraction, passed = timed(names[1], pages, lambda: through(extractor, documents))
    extraction.results = {"with text": len(passed)}
    measured = [reading, extraction]
    for name, block in zip(names[2:], text_blocks(work), strict=True):
        through(block, copies(texts[:WARM_UP]))
        fresh = copies(texts)
        stage, passed = timed(name, len(fresh), partial(through, block, fresh))
        stage.results = {"kept": len(passed)}
        measured.append(stage)
    return measured


def run_pipeline(work: Path, archive: Path) -> Measured:
    """The blocks as one stream: what one drops, the next never sees."""
    pages = len(json.loads((work / "pages.json").read_text()))
    *filters, signature = text_blocks(work)
    writer = JsonlWriter(str(work / "kept"))
    extractor = Trafilatura(timeout=TIMEOUT_SECONDS)
    blocks = [reader(archive), extractor, *filters, writer, signature]
    executor = LocalPipelineExecutor(blocks, logging_dir=str(work / "logs"), skip_completed=False)
    measured, stats = timed("pipeline", pages, executor.run)
    multiprocessing.active_children()
    measured.results = {"kept": int(stats.stats[-2].stats["total"].total)}
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
