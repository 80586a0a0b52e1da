"""The scores of words, learned: how much of what they stand for is main text, site by site.

Every site has one vote on a word, so that no site's own words decide. The features that a page is
trained with leave its own site out, as they will for a page of a site that was never seen.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from services.extraction.engines.blocks.layout import Int32s, Scan, UInt32s
from services.extraction.engines.blocks.lexicon import BUCKETS, WORDS, Scores, block_words, bucket

Floats = npt.NDArray[np.float64]
#: (buckets, share of main text in each).
Shares = tuple[npt.NDArray[np.intp], Floats]

#: A block's weight among those with a word is its bytes, up to these.
_MOST_BYTES: Final = 200
#: Sites that a word must be on, sites that the mean of all counts for, and the unit of a score.
_LEAST_SITES: Final = 3
_PRIOR_SITES: Final = 2.0
_SCALE: Final = 32


@dataclass(frozen=True)
class Votes:
    """The sums over sites, and each site's part in them."""

    total: Floats
    sites: Floats
    by_site: dict[int, Shares]
    prior: float

    def scores(self, without: int | None = None) -> Scores:
        """The table, as other sites than one have it."""
        total, sites = self.total, self.sites
        if without in self.by_site:
            at, share = self.by_site[without]
            total, sites = total.copy(), sites.copy()
            total[at] -= share
            sites[at] -= 1
        mean = np.clip((total + _PRIOR_SITES * self.prior) / (sites + _PRIOR_SITES), 0.002, 0.998)
        odds = np.log(mean / (1 - mean)) - np.log(self.prior / (1 - self.prior))
        score = np.where(sites >= _LEAST_SITES, np.round(odds * _SCALE), 0)
        table: Scores = np.clip(score, -127, 127).astype(np.int8)
        table.setflags(write=False)
        return table


def collect(shares: Sequence[Shares | None], sites: Sequence[int]) -> Votes:
    """The votes of the pages that have shares; a site's is the mean of its pages'."""
    members = defaultdict(list)
    for share, site in zip(shares, sites, strict=True):
        if share is not None:
            members[site].append(share)
    total, count = np.zeros(BUCKETS), np.zeros(BUCKETS)
    by_site = {}
    for site, pages in members.items():
        at, share = _mean(pages)
        by_site[site] = at, share
        total[at] += share
        count[at] += 1
    every = np.concatenate([share for pages in members.values() for _, share in pages])
    return Votes(total, count, by_site, float(every.mean()))


def _mean(pages: list[Shares]) -> Shares:
    total, count = np.zeros(BUCKETS), np.zeros(BUCKETS)
    for at, share in pages:
        total[at] += share
        count[at] += 1
    found = np.flatnonzero(count)
    return found, total[found] / count[found]


def token_shares(scan: Scan, label: npt.NDArray[np.float32]) -> Shares:
    """Of the text in elements with a token in class, id, role or itemprop the main share."""
    size = (scan.blocks.stop - scan.blocks.start).astype(np.float64)
    sizes, mains = (np.concatenate([[0.0], np.cumsum(s)]) for s in (size, size * label))
    elements = scan.elements
    return _shares(
        _token_sums(elements.token_bounds, elements.tokens, elements.first_block,
                    elements.last_block, sizes, mains)
    )  # fmt: skip


def word_shares(scan: Scan, label: npt.NDArray[np.float32]) -> Shares:
    """Of the blocks with a word the share that is main."""
    count = len(label)
    words, bounds = np.empty(WORDS * count + 1, np.uint32), np.empty(count + 1, np.int32)
    block_words(scan.text, scan.blocks, words, bounds)
    weight = np.minimum(scan.blocks.stop - scan.blocks.start, _MOST_BYTES).astype(np.float64)
    return _shares(_word_sums(words, bounds, weight, label.astype(np.float64)))


def _shares(sums: Floats) -> Shares:
    at = np.flatnonzero(sums[0])
    return at, sums[1, at] / sums[0, at]


@njit(cache=True, nogil=True)
def _token_sums(
    bounds: Int32s, tokens: UInt32s, first: Int32s, last: Int32s, sizes: Floats, mains: Floats
) -> Floats:
    sums = np.zeros((2, BUCKETS))
    for e in range(len(first)):
        for t in range(bounds[e], bounds[e + 1]):
            at = bucket(tokens[t])
            sums[0, at] += sizes[last[e]] - sizes[first[e]]
            sums[1, at] += mains[last[e]] - mains[first[e]]
    return sums


@njit(cache=True, nogil=True)
def _word_sums(words: UInt32s, bounds: Int32s, weight: Floats, label: Floats) -> Floats:
    sums = np.zeros((2, BUCKETS))
    for i in range(len(weight)):
        for t in range(bounds[i], bounds[i + 1]):
            sums[0, words[t]] += weight[i]
            sums[1, words[t]] += weight[i] * label[i]
    return sums
