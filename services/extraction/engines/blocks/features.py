"""What the first stage knows of each block: float32, exact on every machine.

Only counts, comparisons and single divisions: trees ask for the order of values, so logarithms
would add nothing but last digits that differ.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.extraction.engines.blocks import around, own
from services.extraction.engines.blocks.counts import BYTES, count_blocks, prefix_sums
from services.extraction.engines.blocks.layout import Int32s, Scan

Floats = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]

NAMES: Final = (*own.NAMES, *around.NAMES)
_AROUND: Final = len(own.NAMES)


class Measures(NamedTuple):
    """What several features are computed from."""

    #: (blocks, COUNTS), and their sums before each block.
    counts: Int32s
    sums: Int64s
    #: Bytes of each block, without white space.
    sizes: Int32s
    #: For each of `around.TEMPLATES`: blocks of one template have the same number.
    groups: tuple[Int64s, ...]


def measure(scan: Scan) -> Measures:
    """Count what the blocks of a page are made of, and group them by template."""
    counts = count_blocks(scan.text, scan.blocks)
    keys = [around.template_keys(scan.blocks, scan.elements, up) for up in around.TEMPLATES]
    groups = tuple(np.unique(key, return_inverse=True)[1] for key in keys)
    return Measures(counts, prefix_sums(counts), counts[:, BYTES].copy(), groups)


def block_features(matrix: Floats, scan: Scan, measures: Measures) -> None:
    """Fill in the first columns; the matrix has a row a block and holds zeros."""
    counts, sums = measures.counts, measures.sums
    if not len(counts):
        return
    text, blocks, elements = scan.text, scan.blocks, scan.elements
    own.add_text(matrix, text, blocks, elements, counts)
    _, same, times = np.unique(own.text_keys(text, blocks), return_inverse=True, return_counts=True)
    matrix[:, own.SAME_TEXT] = times[same]
    own.add_title(matrix, text, blocks, scan.title)
    own.add_inside(matrix, blocks, elements)
    around.add_place(matrix, _AROUND, blocks, counts, sums)
    around.add_ancestors(matrix, _AROUND, blocks, elements, sums)
    for which, group in enumerate(measures.groups):
        around.add_template(matrix, _AROUND, which, group, counts)
    around.add_near(matrix, _AROUND, blocks, elements, counts)
    around.add_page(matrix, _AROUND, elements, counts, sums)
