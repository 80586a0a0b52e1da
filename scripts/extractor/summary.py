"""Figures of an extractor on the open pages, with what chance does to them.

The evaluation's macro F1 weighs every benchmark with ten pages or more the same. Pages of a site
are alike, so standard errors and 95 % intervals are by a bootstrap over sites.
"""

import importlib.util
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from scripts.extractor.gold import Page
from scripts.reference import DATA

#: The evaluation's own measure; it is not part of the project.
METRIC: Final = DATA.parent / "eval" / "extraction_f1.py"
#: Pages of full gold from which a benchmark counts in the macro average, as in the evaluation.
_SOURCE_PAGES: Final = 10
_REPETITIONS: Final = 1000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean F1, its standard error and 95 % interval over sites, and its pages."""

    value: float
    error: float
    low: float
    high: float
    pages: int

    def __str__(self) -> str:
        return (
            f"{self.value:.4f} ± {self.error:.4f} [{self.low:.3f}, {self.high:.3f}] n={self.pages}"
        )


def summary(pages: Sequence[Page], f1s: Mapping[str, float], seed: int = 1) -> dict[str, Estimate]:
    """Estimates from the F1 by record id: `macro`, `mean`, and by source, page type and language.

    Only pages of full gold count, and of them those that have an F1.
    """
    scored = [page for page in pages if page.kind == "full" and page.record_id in f1s]
    values = np.array([f1s[page.record_id] for page in scored])
    draws = _draws([page.site for page in scored], seed)
    sources = Counter(page.source for page in scored)
    large = {source for source, n in sources.items() if n >= _SOURCE_PAGES}
    found = {
        "macro": _macro(scored, large, values, draws),
        "mean": _estimate(values, draws),
    }
    for name, key in _KEYS.items():
        members = defaultdict(list)
        for i, page in enumerate(scored):
            members[key(page)].append(i)
        for value, rows in sorted(members.items(), key=lambda item: -len(item[1])):
            found[f"{name} {value}"] = _estimate(values[rows], draws[:, rows])
    return found


_KEYS: Final[dict[str, Callable[[Page], str | None]]] = {
    "source": lambda page: page.source,
    "type": lambda page: page.page_type,
    "language": lambda page: page.language if page.language in {"en", "zh", "de"} else "other",
}


def _draws(sites: list[str], seed: int) -> Floats:
    """How often each page is drawn, by repetition: all pages of a site together."""
    names, site = np.unique(np.array(sites), return_inverse=True)
    generator = np.random.default_rng(seed)
    even = np.full(len(names), 1 / len(names))
    drawn = generator.multinomial(len(names), even, size=_REPETITIONS)
    return drawn[:, site].astype(np.float64)


def _means(values: Floats, draws: Floats) -> Floats:
    """The mean of each repetition, NaN where it drew none."""
    weight = draws.sum(axis=1)
    return np.divide(draws @ values, weight, out=np.full(len(draws), np.nan), where=weight > 0)


def _estimate(values: Floats, draws: Floats) -> Estimate:
    return _interval(float(values.mean()), _means(values, draws), len(values))


def _macro(pages: list[Page], large: set[str], values: Floats, draws: Floats) -> Estimate:
    rows = {s: [i for i, page in enumerate(pages) if page.source == s] for s in sorted(large)}
    if not rows:
        return Estimate(np.nan, np.nan, np.nan, np.nan, 0)
    value = float(np.mean([values[r].mean() for r in rows.values()]))
    means = np.mean([_means(values[r], draws[:, r]) for r in rows.values()], axis=0)
    return _interval(value, means, sum(map(len, rows.values())))


def _interval(value: float, means: Floats, pages: int) -> Estimate:
    means = means[~np.isnan(means)]
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(value, float(means.std()), float(low), float(high), pages)


def difference(
    pages: Sequence[Page], ours: Mapping[str, float], theirs: Mapping[str, float], seed: int = 1
) -> dict[str, Estimate]:
    """What `ours` gains on `theirs`, page by page, as `summary` has it."""
    both = ours.keys() & theirs.keys()
    return summary(pages, {key: ours[key] - theirs[key] for key in both}, seed)


def metric(path: Path = METRIC) -> ModuleType:
    """The evaluation's module; raises FileNotFoundError where it is absent."""
    if not path.is_file():
        raise FileNotFoundError(f"the evaluation is not at {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation itself says of texts."""

    #: Of all pages: P, R, F1 (mean over full gold), partR, with, w/o, snipF1, empty; and `macro`.
    overall: dict[str, Any]
    #: F1 by record id, where there is a gold text.
    f1s: dict[str, float]


def evaluate(pages: Sequence[Page], texts: Mapping[str, str]) -> Evaluation:
    """The evaluation of texts by record id; a page without one counts as empty, as there."""
    module = metric()
    judged = [page for page in pages if page.kind is not None]
    rows = module.score([_gold(page) for page in judged], texts, prepared={})
    # As the evaluation prints its totals: regression pages are no gold by people.
    human = [{**row, "kind": "x"} if row["kind"] == "regression" else row for row in rows]
    overall = {**module.agg(human), "macro": module.macro(human, _SOURCE_PAGES)}
    scored = zip(judged, rows, strict=True)
    return Evaluation(overall, {page.record_id: row["f"] for page, row in scored if "f" in row})


def _gold(page: Page) -> dict[str, Any]:
    """The page as a row of the gold file."""
    return {
        "record_id": page.record_id,
        "id": page.id,
        "lang": page.language,
        "gold_kind": page.kind,
        "page_type": page.page_type,
        "gold_text": page.gold_text,
        "first_words": page.first_words,
        "with": list(page.with_),
        "without": list(page.without),
    }
