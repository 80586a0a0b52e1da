"""Which blocks are kept: those that together have the highest expected F1.

The text that is most like a reader's choice is not all blocks above one half. With the chance of
each block known, the best choice is the likeliest blocks down to some chance, which is lower where
the page is doubtful (Ye et al. 2012, "Optimizing F-measure"): F1 of a choice is about twice its
expected main text over its text and all expected main text.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.extraction.engines.blocks.counts import BYTES, LINK, STOPS
from services.extraction.engines.blocks.forest import UNIT
from services.extraction.engines.blocks.layout import Int32s

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
#: A page has no main text if no block has this chance; of 1,445 pages with main text six are so,
#: out of fold, four of them pages of scripts without text.
_LEAST: Final = UNIT * 3 // 10
#: Nor if what would be kept is a menu: more than this share of its bytes in links, and no sentence
#: ends. Two of the 1,445 pages are so.
_MENU: Final = 0.9
PAGE_NAMES: Final = (
    "expected_f1", "kept_share", "kept_blocks", "kept_bytes", "bytes", "blocks", "best", "lowest",
    "kept_mean", "left_mean", "left_share", "doubt",
)  # fmt: skip


class Choice(NamedTuple):
    """The kept blocks, and what the page's confidence is computed from."""

    kept: npt.NDArray[np.bool_]
    #: (1, PAGE_NAMES)
    features: Floats


def choose(chances: Int64s, counts: Int32s) -> Choice:
    """Keep the best choice; chances in 1 / UNIT, `counts` of each block. Exact on every machine."""
    sizes, count = counts[:, BYTES], len(counts)
    kept = np.zeros(count, np.bool_)
    nothing = Choice(kept, np.zeros((1, len(PAGE_NAMES)), np.float32))
    if not count or chances.max() < _LEAST:
        return nothing
    order = np.argsort(-chances, kind="stable")
    mass = np.cumsum((chances * sizes)[order])
    size = np.cumsum(sizes.astype(np.int64)[order])
    expected = 2.0 * mass / (size * UNIT + mass[-1])
    last = int(np.argmax(expected))
    chosen = order[: last + 1]
    if not counts[chosen, STOPS].any() and counts[chosen, LINK].sum() > _MENU * size[last]:
        return nothing
    kept[chosen] = True
    doubt = int(sizes[(chances > UNIT // 5) & (chances < UNIT - UNIT // 5)].sum())
    left = int(size[-1] - size[last])
    values = (
        expected[last], size[last] / size[-1], last + 1, size[last], size[-1], count,
        chances[order[0]] / UNIT, chances[order[last]] / UNIT, mass[last] / (size[last] * UNIT),
        (mass[-1] - mass[last]) / (max(left, 1) * UNIT), (mass[-1] - mass[last]) / max(mass[-1], 1),
        doubt / size[-1],
    )  # fmt: skip
    return Choice(kept, np.array([values], np.float32))
