"""Learning the engine's model, and what models of other sites say of each page.

The second stage learns from what the first says of pages that it was not trained on, and so does
the confidence from the second; these same out-of-fold predictions are the cross-validation. Folds
are by site. What is shared between folds: the first stage's scores of the pages that a second-stage
model learns from come from models that saw the fold it is tested on, and the scores of words leave
out only the page's own site.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from scripts.extractor import lexicon as votes
from scripts.extractor.convert import from_lightgbm
from scripts.extractor.gold import Page, folds, groups
from scripts.extractor.labels import label_page
from scripts.extractor.scoring import PageScorer
from services.extraction.engines.blocks.context import context_features, probabilities
from services.extraction.engines.blocks.decide import choose
from services.extraction.engines.blocks.features import Measures, block_features, measure
from services.extraction.engines.blocks.forest import UNIT, Forest, predict
from services.extraction.engines.blocks.layout import Scan
from services.extraction.engines.blocks.lexicon import lexicon_features
from services.extraction.engines.blocks.model import BOTH, FIRST, PLAIN, Model
from services.extraction.engines.blocks.scan import scan_page

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Int32s = npt.NDArray[np.int32]
Say = Callable[[str], None]

SEED: Final = 1
FOLDS: Final = 5
#: Blocks of a page that are learned from; of a longer page so many are drawn, long ones rather.
_MOST_BLOCKS: Final = 200
#: What a page counts, by how its gold was made.
_WEIGHTS: Final = {
    "full": 1.0,
    "regression": 0.3,
    "segments": 0.3,
    "partial": 0.3,
    "first_words": 0.15,
}
_TREES: Final = {
    "objective": "cross_entropy",
    "learning_rate": 0.07,
    "num_leaves": 31,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "seed": SEED,
    "verbose": -1,
}
_FIRST_TREES: Final = 230
_SECOND_TREES: Final = 200
_CONFIDENCE: Final = _TREES | {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.7,
}
_CONFIDENCE_TREES: Final = 80


@dataclass(frozen=True, eq=False)
class Sample:
    """A page as the engine sees it, and what its blocks should be."""

    page: Page
    scan: Scan
    measures: Measures
    texts: list[str]
    label: Floats
    known: npt.NDArray[np.bool_]
    #: Of pages with a gold text.
    scorer: PageScorer | None


@dataclass(frozen=True, eq=False)
class Learned:
    """The model, and what models that had not seen a page's site say of it."""

    model: Model
    #: By page: chances of its blocks, F1 of the choice, confidence in it.
    chances: list[npt.NDArray[np.int64]]
    f1s: dict[str, float]
    confidence: dict[str, float]


def sample(page: Page) -> Sample:
    """Scan and label a page."""
    scan = scan_page(page.html)
    text, b = scan.text.tobytes(), scan.blocks
    spans = zip(b.start.tolist(), b.stop.tolist(), strict=True)
    texts = [text[start:stop].decode(errors="replace") for start, stop in spans]
    label, known = np.zeros(len(texts), np.float32), np.zeros(len(texts), np.bool_)
    if page.kind is not None:
        label, known = label_page(texts, page)
    scorer = None
    if page.gold_text is not None and page.kind in ("full", "regression"):
        scorer = PageScorer(texts, page.gold_text, page.language)
    return Sample(page, scan, measure(scan), texts, label, known, scorer)


class Learner:
    """The matrix of all blocks of all pages, and the models that are made from it."""

    def __init__(self, samples: Sequence[Sample], say: Say) -> None:
        self.samples, self._say = samples, say
        pages = [s.page for s in samples]
        self.fold = np.array(folds(pages, FOLDS, SEED))
        counts = [len(s.label) for s in samples]
        self.bounds = np.concatenate([[0], np.cumsum(counts)])
        self.of_page = np.repeat(np.arange(len(samples)), counts)
        self.label = np.concatenate([s.label for s in samples])
        self.sizes = np.concatenate([s.measures.sizes for s in samples])
        self.tokens, self.words = self._votes(groups(pages))
        self.matrix = self._first_matrix(groups(pages))
        self.rows, self.weight = self._draw()

    def _votes(self, sites: Sequence[int]) -> tuple[votes.Votes, votes.Votes]:
        full = [s if s.page.kind == "full" else None for s in self.samples]
        token = [s and votes.token_shares(s.scan, s.label) for s in full]
        word = [s and votes.word_shares(s.scan, s.label) for s in full]
        return votes.collect(token, sites), votes.collect(word, sites)

    def _first_matrix(self, sites: Sequence[int]) -> Floats:
        matrix = np.zeros((len(self.label), BOTH), np.float32)
        for i, (s, site) in enumerate(zip(self.samples, sites, strict=True)):
            part = matrix[self.bounds[i] : self.bounds[i + 1]]
            block_features(part, s.scan, s.measures)
            tables = self.tokens.scores(site), self.words.scores(site)
            lexicon_features(part, PLAIN, s.scan, *tables)
        return matrix

    def _draw(self) -> tuple[npt.NDArray[np.intp], Doubles]:
        """The rows that are learned from, and their weights: a page's sum is by its gold."""
        random = np.random.default_rng(SEED)
        rows, weights = [], []
        for i, s in enumerate(self.samples):
            known = np.flatnonzero(s.known)
            if s.page.kind is None or not len(known):
                continue
            size = s.measures.sizes[known].astype(np.float64)
            weight = 1000 * _WEIGHTS[s.page.kind] * size / size.sum()
            chance = np.sqrt(size)
            chance = np.minimum(1, _MOST_BLOCKS * chance / chance.sum())
            if len(known) > _MOST_BLOCKS:
                drawn = random.random(len(known)) < chance
                known, weight = known[drawn], weight[drawn] / chance[drawn]
            rows.append(self.bounds[i] + known)
            weights.append(weight)
        return np.concatenate(rows), np.concatenate(weights)

    def learn(self) -> Learned:
        """Both stages out of fold and in full, then the confidence."""
        first, scores = self._stage(_FIRST_TREES, FIRST, "first")
        for i, s in enumerate(self.samples):
            part = slice(self.bounds[i], self.bounds[i + 1])
            sizes, groups_ = s.measures.sizes, s.measures.groups
            context_features(self.matrix[part], FIRST, s.scan, sizes, scores[part], groups_)
        second, scores = self._stage(_SECOND_TREES, BOTH, "second")
        chances = np.split(probabilities(scores), self.bounds[1:-1])
        confidence, f1s, sure = self._confidence(chances)
        model = Model(first, second, confidence, self.tokens.scores(), self.words.scores())
        return Learned(model, chances, f1s, sure)

    def _stage(self, trees: int, columns: int, name: str) -> tuple[Forest, Int32s]:
        """The forest of all pages, and each page's scores by one that has not seen its site."""
        fold = self.fold[self.of_page]
        scores = np.zeros(len(self.label), np.int32)
        for k in range(FOLDS):
            forest = self._fit(self.fold[self.of_page[self.rows]] != k, trees, columns)
            scores[fold == k] = predict(forest, self.matrix[fold == k])
            self._say(f"{name} stage: fold {k + 1} of {FOLDS}")
        forest = self._fit(np.ones(len(self.rows), np.bool_), trees, columns)
        self._say(f"{name} stage: all pages")
        return forest, scores

    def _fit(self, chosen: npt.NDArray[np.bool_], trees: int, columns: int) -> Forest:
        import lightgbm

        rows = self.rows[chosen]
        data = lightgbm.Dataset(
            self.matrix[rows, :columns], self.label[rows], weight=self.weight[chosen], params=_TREES
        )
        forest = from_lightgbm(lightgbm.train(_TREES, data, trees))
        return forest._replace(columns=BOTH)

    def _confidence(
        self, chances: Sequence[npt.NDArray[np.int64]]
    ) -> tuple[Forest, dict[str, float], dict[str, float]]:
        """The F1 to expect of a page's choice, learned from the F1 of the out-of-fold choices."""
        import lightgbm

        judged = [i for i, s in enumerate(self.samples) if s.page.kind == "full"]
        choices = [choose(chances[i], self.samples[i].measures.counts) for i in judged]
        found = [_f1(self.samples[i], c.kept) for i, c in zip(judged, choices, strict=True)]
        matrix = np.concatenate([c.features for c in choices])
        sure = np.zeros(len(judged))

        def fit(chosen: npt.NDArray[np.bool_]) -> Forest:
            data = lightgbm.Dataset(matrix[chosen], np.array(found)[chosen], params=_CONFIDENCE)
            return from_lightgbm(lightgbm.train(_CONFIDENCE, data, _CONFIDENCE_TREES))

        for k in range(FOLDS):
            held = self.fold[judged] == k
            sure[held] = predict(fit(~held), matrix[held]) / UNIT
        ids = [self.samples[i].page.record_id for i in judged]
        confidence = dict(zip(ids, np.clip(sure, 0, 1).tolist(), strict=True))
        return fit(np.ones(len(judged), np.bool_)), dict(zip(ids, found, strict=True)), confidence


def _f1(s: Sample, kept: npt.NDArray[np.bool_]) -> float:
    assert s.scorer is not None
    return s.scorer.f1(kept)
