"""Pictures of pages on which the engine fails: `python -m scripts.extractor.pictures`.

A page's text is its publisher's, so a picture has none: each block is a bar in page order, as wide
as the square root of its characters, indented by depth, coloured by what should have become of it.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import yaml

from scripts.extractor.calibration import svg_head
from scripts.extractor.gold import Page, load_pages
from scripts.extractor.labels import label_page
from scripts.extractor.predictions import PREDICTIONS, Prediction, read_predictions
from scripts.extractor.summary import evaluate
from scripts.reference import DATA, ROOT
from services.extraction.engines.blocks.decide import choose
from services.extraction.engines.blocks.features import measure
from services.extraction.engines.blocks.layout import Kind
from services.extraction.engines.blocks.scan import scan_page

FAILURES: Final = Path(__file__).with_name("failures.yaml")
FOLDER: Final = ROOT / "docs" / "images"
#: What became of a block: its name in the legend, its colour, and that of a heading.
STATES: Final = {
    "kept": ("main text, kept", "#4daf6e", "#1b7837"),
    "wrong": ("not main text, kept", "#e05a5a", "#a50f15"),
    "missed": ("main text, missed", "#f5a742", "#c05a00"),
    "left": ("not main text, left", "#c4c4c4", "#8a8a8a"),
}
#: A block of which this share of the tokens is main text is drawn as main text.
_MAIN: Final = 0.5
#: Lines of bars in a picture and in a column; a longer page has several blocks in a line.
MOST_LINES: Final = 240
_LINES: Final = 80
#: Pixels of a line, a bar, a column; of the head, the foot and the margin.
_LINE, _BAR, _COLUMN, _HEAD, _FOOT, _MARGIN = 6, 5, 260, 48, 56, 16
_LONGEST: Final = 190
_INDENT: Final = 40
_STYLE: Final = "text{font:13px sans-serif;fill:#222}.small{font-size:12px;fill:#555}"


class Bar(NamedTuple):
    """A block, as it is drawn."""

    #: A key of STATES.
    state: str
    heading: bool
    #: Characters that are no white space.
    size: int
    depth: int


@dataclass(frozen=True)
class Failure:
    """A page that failed, and why."""

    page: Page
    why: str
    f1: float
    #: Its place among the pages of its type by F1, from the lowest, and how many there are.
    place: int
    among: int
    bars: list[Bar]

    def share(self, *states: str) -> int:
        """Characters of the blocks in these states."""
        return sum(bar.size for bar in self.bars if bar.state in states)

    @property
    def title(self) -> str:
        """Id, type, site and F1."""
        site = f"{self.page.page_type}, {self.page.language}, {self.page.site}"
        return f"{self.page.id} ({site}): F1 {self.f1:.3f}"


def failures(
    pages: Sequence[Page], predictions: Mapping[str, Prediction], f1s: Mapping[str, float]
) -> list[Failure]:
    """The listed pages, with their blocks as the models of other sites chose them."""
    of_id = {page.id: page for page in pages}
    found = []
    for row in yaml.safe_load(FAILURES.read_text(encoding="utf-8")):
        page = of_id[row["page"]]
        f1 = f1s[page.record_id]
        alike = [
            f1s[other.record_id]
            for other in pages
            if other.kind == "full" and other.page_type == page.page_type
        ]
        place = 1 + sum(other < f1 for other in alike)
        bars = page_bars(page, predictions[page.record_id].chances)
        found.append(Failure(page, row["why"], f1, place, len(alike), bars))
    return found


def page_bars(page: Page, chances: Sequence[int]) -> list[Bar]:
    """A bar for each block of a page."""
    scan = scan_page(page.html)
    text, b = scan.text.tobytes(), scan.blocks
    if len(chances) != len(b.start):
        raise SystemExit(f"{page.id} has other blocks than in the training: make train-extractor")
    spans = zip(b.start.tolist(), b.stop.tolist(), strict=True)
    texts = [text[start:stop].decode(errors="replace") for start, stop in spans]
    label, _ = label_page(texts, page)
    kept = choose(np.array(chances, np.int64), measure(scan).counts).kept
    depth = scan.elements.depth[b.element].tolist()
    return [
        Bar(
            state(kept=is_kept, main=main >= _MAIN),
            kind == Kind.HEADING,
            len("".join(one.split())),
            deep,
        )
        for one, is_kept, main, kind, deep in zip(
            texts, kept.tolist(), label.tolist(), b.kind.tolist(), depth, strict=True
        )
    ]


def state(*, kept: bool, main: bool) -> str:
    """The key of STATES."""
    if main:
        return "kept" if kept else "missed"
    return "wrong" if kept else "left"


def lines_of(bars: Sequence[Bar], most: int = MOST_LINES) -> list[list[Bar]]:
    """Blocks line by line; where there are several in a line, those of one state are one bar."""
    if len(bars) <= most:
        return [[bar] for bar in bars]
    return [
        [
            Bar(
                name,
                False,
                sum(bar.size for bar in part if bar.state == name),
                min(bar.depth for bar in part),
            )
            for name in STATES
            if any(bar.state == name for bar in part)
        ]
        for part in ([bars[i] for i in rows] for rows in np.array_split(np.arange(len(bars)), most))
    ]


def draw(title: str, bars: Sequence[Bar]) -> str:
    """The picture as SVG: title, bars in columns, legend."""
    lines = lines_of(bars)
    columns = max(3, -(-len(lines) // _LINES))
    width = 2 * _MARGIN + columns * _COLUMN
    height = _HEAD + min(max(len(lines), 1), _LINES) * _LINE + _FOOT
    paths: dict[str, list[str]] = {}
    for i, line in enumerate(lines):
        x, y = _MARGIN + i // _LINES * _COLUMN, _HEAD + i % _LINES * _LINE
        x += min(2 * min(bar.depth for bar in line), _INDENT)
        for bar in line:
            long = round(min(max(4 * bar.size**0.5, 3), _LONGEST / len(line)))
            colour = STATES[bar.state][2 if bar.heading else 1]
            paths.setdefault(colour, []).append(f"M{x} {y}h{long}v{_BAR}h-{long}z")
            x += long
    blocks = f"{len(bars):,} blocks"
    if len(lines) < len(bars):
        blocks += f", {-(-len(bars) // len(lines))} at most in a line"
    how = "column by column; width: square root of the characters; indented by depth"
    return "\n".join(
        [
            svg_head(width, height, _STYLE),
            f'<text x="{_MARGIN}" y="22" font-weight="bold">{escape(title)}</text>',
            f'<text class="small" x="{_MARGIN}" y="38">{blocks}, in page order, {how}</text>',
            *(f'<path fill="{colour}" d="{"".join(d)}"/>' for colour, d in sorted(paths.items())),
            *_legend(height - 24),
            "</svg>\n",
        ]
    )


def _legend(y: int) -> Iterable[str]:
    x = _MARGIN
    for name, colour, dark in STATES.values():
        yield f'<rect fill="{colour}" x="{x}" y="{y - 10}" width="14" height="12"/>'
        yield f'<rect fill="{dark}" x="{x + 14}" y="{y - 10}" width="8" height="12"/>'
        yield f'<text class="small" x="{x + 28}" y="{y}">{escape(name)}</text>'
        x += 28 + 6 * len(name) + 16
    yield f'<text class="small" x="{x}" y="{y}">(darker: heading)</text>'


def picture_path(number: int) -> Path:
    """Where a picture is, from 1."""
    return FOLDER / f"extraction-failure-{number}.svg"


def write_pictures(found: Sequence[Failure]) -> None:
    """All of them."""
    for number, failure in enumerate(found, 1):
        picture_path(number).write_text(draw(failure.title, failure.bars), encoding="utf-8")


def main() -> None:
    """Draw the listed pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the test data")
    parser.add_argument("--predictions", type=Path, default=PREDICTIONS, help="of the training")
    options = parser.parse_args()
    pages = load_pages(options.data)
    predictions = read_predictions(options.predictions, pages)
    texts = {key: one.text for key, one in predictions.items()}
    write_pictures(failures(pages, predictions, evaluate(pages, texts).f1s))


if __name__ == "__main__":
    main()
