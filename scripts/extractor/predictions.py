"""What models of other sites say of each page, as `scripts.extractor.train` wrote it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.extractor.gold import Page

#: Where the training writes it, from the project's root.
PREDICTIONS = Path("blocks-cv.jsonl")


@dataclass(frozen=True, eq=False)
class Prediction:
    """A page's text, the chances of its blocks (1 / `context.UNIT`); of full gold, confidence."""

    text: str
    chances: list[int]
    confidence: float | None


def read_predictions(path: Path, pages: Sequence[Page]) -> dict[str, Prediction]:
    """By record id; exits where the file is absent, of an older training or of other pages."""
    if not path.is_file():
        raise SystemExit(f"{path} is absent: make train-extractor")
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if any("chances" not in row for row in rows):
        raise SystemExit(f"{path} has no chances of blocks: make train-extractor")
    found = {
        row["record_id"]: Prediction(row["text"], row["chances"], row["confidence"]) for row in rows
    }
    if found.keys() != {page.record_id for page in pages}:
        raise SystemExit(f"{path} is of other pages than the test data: make train-extractor")
    return found
