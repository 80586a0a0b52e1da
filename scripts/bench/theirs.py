"""datatrove's side: its own blocks, unchanged, in its own environment (`requirements/bench.txt`).

    python -m scripts.bench.theirs pages|stages|pipeline WORK FOLDER MODEL

`pages` says which records its reader takes for pages. `stages` runs block after block, each on all
pages. `pipeline` runs the blocks as one stream with its own executor, as one would in production:
its example for FineWeb without deduplication.
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
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.lid import FT176LID
from loguru import logger
from tldextract import TLDExtract

from scripts.bench.measure import (
    DROPPING,
    WARM_UP,
    Measured,
    Outcome,
    Pages,
    peak_rss_bytes,
    timed,
    timed_in_turn,
)

#: Wall-clock seconds a page may take. datatrove's default of 1 drops long pages on a busy machine;
#: the benchmark wants every page done.
TIMEOUT_SECONDS = 60.0
PACKAGES = ("datatrove", "trafilatura", "lxml", "fasttext-numpy2-wheel", "spacy", "numpy", "warcio")


def reader(folder: Path) -> Any:
    """All pages of the folder's archives."""
    return WarcReader(str(folder), glob_pattern="*.warc.gz")


def url_filter(pages: Pages) -> Any:
    """With the lists that ours gets, and the list of suffixes that its package holds."""
    block = URLFilter(**pages.lists("their"), use_integrated_lists=False)
    block.tldextractor = TLDExtract(suffix_list_urls=())
    return block


def text_filters() -> list[Any]:
    """The blocks after the extraction: defaults, but for C4 what FineWeb takes of it."""
    return [
        LanguageFilter("en"),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
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


def copies(rows: list[dict[str, str]]) -> list[Any]:
    """Fresh documents: blocks write into them."""
    return [Document(text=r["text"], id=r["record_id"], metadata={"url": r["url"]}) for r in rows]


def inspected(block: Any, document: Any) -> int:
    """One document through a filter; whether it passes."""
    return len(list(block.run(iter((document,)))))


def run_stages(work: Path, pages: Pages) -> list[Measured]:
    """Every block on the same pages: the archives', then the texts of `texts.json`."""
    assert sum(1 for _ in reader(pages.warm.folder).run()) == pages.warm.count
    reading, found = timed(
        "reading", pages.count, lambda: sum(1 for _ in reader(pages.folder).run())
    )
    assert found == pages.count
    documents = list(reader(pages.folder).run())
    urls = url_filter(pages)
    through(urls, documents[:WARM_UP])
    filtering, _ = timed("URL rules", pages.count, lambda: through(urls, documents))
    extractor = Trafilatura(timeout=TIMEOUT_SECONDS)
    for document in documents[:WARM_UP]:
        extractor.extract(document.text)
    extraction, passed = timed("main text", pages.count, lambda: through(extractor, documents))
    extraction.results = {"with text": len(passed)}
    return [reading, filtering, extraction, *text_stages(work)]


def text_stages(work: Path) -> list[Measured]:
    """The blocks over texts, document by document, then those that only write."""
    rows = json.loads((work / "texts.json").read_text())
    filters = text_filters()
    for block in filters:
        through(block, copies(rows[:WARM_UP]))
    inspect = [partial(inspected, block) for block in filters]
    measured = timed_in_turn(DROPPING[1:], copies(rows), inspect)[0]
    for stage, block in (
        ("writing", JsonlWriter(str(work / "written"))),
        ("MinHash signature", MinhashDedupSignature(str(work / "signatures"))),
    ):
        # Its files take all documents at once, and it splits a text of its own into words.
        fresh = copies(rows)
        measured.append(timed(stage, 0, partial(through, block, fresh))[0])
    for one in measured:
        one.pages = len(rows)
    return measured


def run_pipeline(work: Path, pages: Pages) -> list[Measured]:
    """A few pages in a fresh process, then the archives; each with blocks of its own."""
    return [
        run_line(work / stage, pages, stage, some)
        for stage, some in (("start-up", pages.warm), ("pipeline", pages))
    ]


def run_line(work: Path, pages: Pages, stage: str, some: Pages) -> Measured:
    """The blocks as one stream: what one drops, the next never sees."""
    extractor = Trafilatura(timeout=TIMEOUT_SECONDS)
    dropping = [url_filter(pages), *text_filters()]
    writer = JsonlWriter(str(work / "kept"))
    blocks = [reader(some.folder), dropping[0], extractor, *dropping[1:], writer]
    executor = LocalPipelineExecutor(blocks, logging_dir=str(work / "logs"), skip_completed=False)

    def run() -> Any:
        stats = executor.run()
        collect_children()
        return stats

    measured, stats = timed(stage, some.count, run)
    of_block = dict(zip(blocks, stats.stats, strict=True))
    for name, block in zip(DROPPING, dropping, strict=True):
        measured.results[name] = int(of_block[block].stats["forwarded"].total)
    return measured


def page_ids(folder: Path) -> dict[str, list[str]]:
    """The ids of the pages of each archive that `archives.json` names."""
    archives = [Path(name) for name in json.loads((folder / "archives.json").read_text())]
    return {
        str(archive): [
            d.id for d in WarcReader(str(archive.parent), glob_pattern=archive.name).run()
        ]
        for archive in archives
    }


def main() -> None:
    """Measure and write `theirs-<mode>.json` into the work folder."""
    mode, work, folder, model = sys.argv[1], *(Path(a).resolve() for a in sys.argv[2:])
    logger.remove()
    # Where datatrove would download the model from; a path is copied into its asset folder.
    FT176LID.MODEL_URL = str(model)
    if mode == "pages":
        (folder / "ids.json").write_text(json.dumps(page_ids(folder)))
        return
    pages = Pages(folder)
    measured = run_stages(work, pages) if mode == "stages" else run_pipeline(work, pages)
    outcome = Outcome({p: version(p) for p in PACKAGES}, measured)
    outcome.peak_rss_bytes = peak_rss_bytes()
    outcome.save(work / f"theirs-{mode}.json")


if __name__ == "__main__":
    main()
