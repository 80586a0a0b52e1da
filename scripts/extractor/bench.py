"""Extractors on the same pages in the same run: cost, quality, growth, memory.

    make bench-extraction BLOCKS_PREDICTIONS=FILE         (about twenty minutes on one core)
    python -m scripts.extractor.bench --pages 20 --rounds 1 --engines resiliparse jusText

Times on the first archive, in `--rounds` rounds; quality on all pages with gold. The shipped model
of `blocks` was trained on these very pages: its quality is that of the models of a site-wise
cross-validation, each on sites that it has not seen, whose texts `--blocks-predictions` names
(JSONL of {record_id, text}). Without it the row says so.

Writes its part of `docs/extraction.md`, and with `--json` all it has measured.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, median

from scripts.check_trafilatura import bar
from scripts.extractor.bench_clock import WARM_UP, Clocked, clock, quiet, timed
from scripts.extractor.bench_engines import BLOCKS, ENGINES, REFERENCE, Engine, engine_versions
from scripts.extractor.bench_growth import grow
from scripts.extractor.bench_memory import NONE, measure_memory
from scripts.extractor.bench_pages import WebPage, evenly, read_gold, read_languages, read_pages
from scripts.extractor.bench_quality import counts, read_predictions, score, summary
from scripts.extractor.bench_report import write_report
from scripts.extractor.bench_results import HELD_OUT, SEEN, Results
from scripts.parts import write_part
from scripts.reference import DATA, ROOT, machine, open_archives

#: Over the first archive, by default.
ROUNDS = 3


def measure(options: argparse.Namespace, results: Results) -> None:
    """Times and texts, then what follows from them."""
    engines = [ENGINES[name] for name in options.engines]
    languages = read_languages()
    pages = {
        archive.name: evenly(list(read_pages(archive, languages)), options.pages)
        for archive in options.archives
    }
    first = next(iter(pages.values()))
    for engine in engines:  # imports, compiled loops
        for page in (*first[:8], WebPage("", "", WARM_UP, 0, "en")):
            timed(engine, page.html, page.language)
    found: dict[str, Clocked] = defaultdict(Clocked)
    for name, some in pages.items():
        clock(engines, some, name, found, turn=0)
    for name, one in found.items():
        results.times_all[name] = mean_ms(one)
    for turn in range(1, options.rounds):
        clock(engines, first, f"round {turn + 1}", found, turn)
    results.pages_all = sum(map(len, pages.values()))
    results.timed = {
        "archive": options.archives[0].name,
        "pages": len(first),
        "bytes": sum(page.size for page in first) / len(first),
        "rounds": options.rounds,
    }
    for name, one in found.items():
        results.times[name] = [1000 * median(one.seconds[page.record_id]) for page in first]
        results.errors[name] = one.errors
    judge(options, found, pages, results)
    results.growth = grow(engines, first)
    results.memory = memory(engines, options.archives[0], options.pages)


def mean_ms(found: Clocked) -> float:
    """CPU milliseconds a page in the first round."""
    return 1000 * mean(rounds[0] for rounds in found.seconds.values())


def judge(
    options: argparse.Namespace,
    found: dict[str, Clocked],
    pages: dict[str, list[WebPage]],
    results: Results,
) -> None:
    """Quality of every engine on all pages with gold."""
    gold = read_gold({page.record_id for some in pages.values() for page in some})
    texts = {SEEN if name == BLOCKS else name: one.texts for name, one in found.items()}
    if options.blocks_predictions is not None:
        texts = {HELD_OUT: read_predictions(options.blocks_predictions), **texts}
    scored = {}
    for number, (name, by_page) in enumerate(texts.items()):
        scored[name] = score(gold, by_page)
        bar("quality", number + 1, len(texts))
    reference = scored.get(REFERENCE, next(iter(scored.values())))
    results.counts = counts(reference)
    results.quality = {name: summary(of, reference) for name, of in scored.items()}


def memory(engines: list[Engine], archive: Path, limit: int | None) -> dict[str, dict[str, int]]:
    """Peak memory of each engine, and of reading and decoding without one."""
    found = {}
    names = [NONE, *(engine.name for engine in engines)]
    for number, name in enumerate(names):
        found[name] = measure_memory(name, archive, limit)
        bar("memory", number + 1, len(names))
    return found


def command_of(options: argparse.Namespace) -> str:
    """As it was called, without places of files."""
    limits = {
        "--pages": options.pages,
        "--rounds": options.rounds if options.rounds != ROUNDS else None,
    }
    given = [f"{name} {value}" for name, value in limits.items() if value]
    if options.engines != list(ENGINES):
        given.append("--engines " + " ".join(f"'{name}'" for name in options.engines))
    if options.blocks_predictions is not None:
        given.append("--blocks-predictions FILE")
    return " ".join(["python -m scripts.extractor.bench", *given])


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--archives", type=Path, nargs="+", default=open_archives(), help="the first is timed"
    )
    parser.add_argument("--pages", type=int, help="at most so many pages of each archive")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="over the first archive")
    parser.add_argument("--engines", nargs="+", choices=[*ENGINES], default=[*ENGINES])
    parser.add_argument("--blocks-predictions", type=Path, help="texts of held-out models, JSONL")
    parser.add_argument("--json", type=Path, help="write all results here")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "extraction.md")
    options = parser.parse_args()
    if not options.archives:
        sys.exit(f"no archives in {DATA}: name them with --archives")
    quiet()
    engines = [ENGINES[name] for name in options.engines]
    names = [archive.name for archive in options.archives]
    results = Results(command_of(options), machine(), engine_versions(engines), names)
    measure(options, results)
    if options.json:
        options.json.write_text(json.dumps(vars(results), indent=1))
    text = write_report(results, engines)
    write_part(options.output, "make bench-extraction", text)
    print(text)


if __name__ == "__main__":
    main()
