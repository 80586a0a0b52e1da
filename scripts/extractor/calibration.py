"""Whether the confidence is what it says: pages by expected F1 beside the F1 that they have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

BINS: Final = 10
#: Confidences that a recipe may ask for.
THRESHOLDS: Final = tuple(t / 100 for t in range(30, 100, 5))
#: Sides of a panel of the chart, and the space around it, in pixels.
_SIDE, _LEFT, _TOP, _GAP = 260, 56, 44, 84
_STYLE: Final = (
    "text{font:12px sans-serif;fill:#333}.axis{stroke:#333;fill:none}.grid{stroke:#ddd;fill:none}"
    ".even{stroke:#999;stroke-dasharray:4 4}.line{fill:none;stroke-width:2}"
)


@dataclass(frozen=True)
class Bin:
    """Pages of like confidence: from where to where, and the means of both."""

    low: float
    high: float
    confidence: float
    f1: float
    pages: int


@dataclass(frozen=True)
class Kept:
    """The pages with at least a confidence, their mean F1 and that of the others (None: none)."""

    threshold: float
    pages: int
    share: float
    f1: float | None
    left_f1: float | None


def bins(confidence: Sequence[float], f1s: Sequence[float], count: int = BINS) -> list[Bin]:
    """As many pages in each, by confidence; fewer bins where there are fewer pages."""
    order = np.argsort(np.array(confidence), kind="stable")
    sure, found = np.array(confidence)[order], np.array(f1s)[order]
    parts = [part for part in np.array_split(np.arange(len(order)), count) if len(part)]
    return [
        Bin(
            float(sure[part[0]]),
            float(sure[part[-1]]),
            float(sure[part].mean()),
            float(found[part].mean()),
            len(part),
        )
        for part in parts
    ]


def curve(
    confidence: Sequence[float], f1s: Sequence[float], thresholds: Sequence[float] = THRESHOLDS
) -> list[Kept]:
    """What a recipe keeps that asks for a confidence of at least each threshold."""
    sure, found = np.array(confidence), np.array(f1s)
    rows = []
    for threshold in thresholds:
        kept = sure >= threshold
        n = int(kept.sum())
        rows.append(
            Kept(
                threshold,
                n,
                n / len(sure),
                float(found[kept].mean()) if n else None,
                float(found[~kept].mean()) if n < len(sure) else None,
            )
        )
    return rows


def calibration_error(found: Sequence[Bin]) -> float:
    """Mean distance of F1 from confidence over the bins, by pages."""
    total = sum(one.pages for one in found)
    return sum(abs(one.f1 - one.confidence) * one.pages for one in found) / total


def correlation(confidence: Sequence[float], f1s: Sequence[float]) -> float:
    """Spearman's, with the mean rank for equals."""
    a, b = _ranks(confidence), _ranks(f1s)
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: Sequence[float]) -> "np.typing.NDArray[np.float64]":
    _, place, count = np.unique(np.array(values), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place]


def chart(found: Sequence[Bin], kept: Sequence[Kept]) -> str:
    """Two panels as SVG: F1 by confidence, and what a threshold keeps."""
    right = _LEFT + _SIDE + _GAP
    width, height = right + _SIDE + 24, _TOP + _SIDE + 96
    some = [row for row in kept if row.f1 is not None]
    parts = [
        svg_head(width, height, _STYLE),
        _panel(_LEFT, "Ten bins of pages: F1 by confidence", "mean confidence", 0.0),
        f'<path class="even" d="M{_LEFT} {_TOP + _SIDE}L{_LEFT + _SIDE} {_TOP}"/>',
        _line(_LEFT, [(one.confidence, one.f1) for one in found], "#2166ac", 0.0),
        _panel(right, "Pages with at least a confidence", "least confidence", 0.3),
        _line(right, [(row.threshold, row.f1 or 0.0) for row in some], "#2166ac", 0.3),
        _line(right, [(row.threshold, row.share) for row in kept], "#b2182b", 0.3),
        _key(_LEFT, 58, "#2166ac", "mean F1 of a bin; dashed: as expected"),
        _key(right, 58, "#2166ac", "mean F1 of the pages kept"),
        _key(right, 76, "#b2182b", "share of the pages that is kept"),
        "</svg>\n",
    ]
    return "\n".join(parts)


def svg_head(width: int, height: int, style: str) -> str:
    """How a picture begins: on white, whatever the page around it."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
    )


def _panel(left: int, title: str, below: str, first: float) -> str:
    """Frame, grid and labels; the horizontal axis is from `first` to 1, the vertical 0 to 1."""
    parts = [f'<text x="{left}" y="{_TOP - 18}" font-weight="bold">{escape(title)}</text>']
    for step in range(6):
        y = _TOP + _SIDE - step * _SIDE // 5
        parts.append(f'<path class="grid" d="M{left} {y}h{_SIDE}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{step / 5:.1f}</text>')
    for tick in (t / 10 for t in range(round(first * 10), 11)):
        x = left + (tick - first) / (1 - first) * _SIDE
        at = f'x="{x:.1f}" y="{_TOP + _SIDE + 18}"'
        parts.append(f'<text {at} text-anchor="middle">{tick:.1f}</text>')
    parts.append(f'<path class="axis" d="M{left} {_TOP}v{_SIDE}h{_SIDE}"/>')
    middle = f'x="{left + _SIDE // 2}" y="{_TOP + _SIDE + 36}"'
    parts.append(f'<text {middle} text-anchor="middle">{escape(below)}</text>')
    return "\n".join(parts)


def _line(left: int, points: Sequence[tuple[float, float]], colour: str, first: float) -> str:
    places = [
        (left + (x - first) / (1 - first) * _SIDE, _TOP + _SIDE - y * _SIDE) for x, y in points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)
    return (
        f'<polyline class="line" stroke="{colour}" points="{path}"/><g fill="{colour}">{dots}</g>'
    )


def _key(left: int, below: int, colour: str, what: str) -> str:
    y = _TOP + _SIDE + below
    return (
        f'<path stroke="{colour}" stroke-width="3" d="M{left} {y - 4}h20"/>'
        f'<text x="{left + 28}" y="{y}">{escape(what)}</text>'
    )
