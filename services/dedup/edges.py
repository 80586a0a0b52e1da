"""Edges between documents: what matching finds, verification tests and clusters are made of.

A place is shard and row in one integer (`shared.index`), so `left < right` says that the document
at `left` comes first in the order of the batch, or of the index.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]

EDGES: Final = pa.schema(
    [
        ("left", pa.int64()),  # place of the earlier document
        ("right", pa.int64()),  # place of the later one
        ("shared", pa.int32()),  # keys that they are known to share; a pair may have several edges
    ]
)
#: Edges that were measured; null where a measure was not asked for or not needed.
VERIFIED_EDGES: Final = pa.schema(
    [
        *EDGES,
        ("jaccard", pa.float32()),  # similarity of the sets of shingles
        (
            "edit",
            pa.float32(),
        ),  # edit similarity of the sequences of tokens (Lee et al., specs 9.2)
    ]
)


def edge_table(left: Int64Array, right: Int64Array, shared: Int32Array) -> pa.Table:
    """Edges as a table of `EDGES`."""
    return pa.table([left, right, shared], schema=EDGES)
