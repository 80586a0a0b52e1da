"""Train the model of the engine `blocks`: `python -m scripts.extractor.train`.

Writes the model beside the engine, the texts that models of other sites choose of each page (for
`make bench-extraction`), and prints the cross-validation. Same data, same bytes.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.extractor.gold import load_pages
from scripts.extractor.learn import Learned, Learner, Sample, sample
from scripts.extractor.summary import evaluate, summary
from scripts.reference import DATA
from services.extraction.engines.blocks.decide import choose
from services.extraction.engines.blocks.model import PATH, to_file
from services.extraction.engines.blocks.write import write


def main() -> None:
    """Train, write, print."""
    options = _parse()
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {what}", file=sys.stderr, flush=True)

    pages = load_pages(options.data)
    samples = [sample(page) for page in pages]
    say(f"{len(samples)} pages scanned and labelled")
    learned = Learner(samples, say).learn()
    data = to_file(learned.model)
    options.model.write_bytes(data)
    say(f"{options.model.name}: {len(data) / 2**10:.0f} KiB")
    texts = {}
    with options.predictions.open("w", encoding="utf-8") as out:
        for row in _rows(samples, learned):
            texts[row["record_id"]] = row["text"]
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    found = evaluate(pages, texts)
    for name, estimate in summary(pages, found.f1s).items():
        print(f"{name:28} {estimate}")
    print(json.dumps(found.overall, indent=1))


def _rows(samples: list[Sample], learned: Learned) -> Iterator[dict[str, Any]]:
    """What the out-of-fold models say of each page: text, chances of its blocks, confidence."""
    for s, chances in zip(samples, learned.chances, strict=True):
        key = s.page.record_id
        yield {
            "record_id": key,
            "text": write(s.scan, choose(chances, s.measures.counts).kept),
            "chances": chances.tolist(),
            "confidence": learned.confidence.get(key),
        }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the test data")
    parser.add_argument("--model", type=Path, default=PATH, help="where the model is written")
    parser.add_argument(
        "--predictions", type=Path, default=Path("blocks-cv.jsonl"), help="texts, out of fold"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
