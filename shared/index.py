"""What a batch sees of an index: the documents of the batches that joined it before."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.ranges import ObjectReader

Int64Array = npt.NDArray[np.int64]

#: Bits of a place that hold the row; the rest hold the shard.
ROW_BITS = 32


class StoredRun(NamedTuple):
    """A sorted run of earlier batches; its places count shards from `base`.

    Entries whose shards, so counted, lie in `without` are not there: their batch was dropped.
    """

    reader: ObjectReader
    base: int
    without: tuple[range, ...] = ()


class IndexView(Protocol):
    """The part of an index before a batch.

    A place is one integer, shard and row (`shard << ROW_BITS | row`), so that places sort in the
    order of the index: batches as they joined, then shards, then rows. A batch's own shards are
    numbered from `base`.
    """

    #: Shards of all batches that joined earlier.
    base: int

    def runs(self) -> Sequence[StoredRun]:
        """The sorted runs of all earlier batches, in the order of the places that they hold."""

    def documents(self, places: Int64Array) -> pa.Array:
        """Ids of earlier batches' documents (string, one a place; places ascend)."""

    def keepers(self, places: Int64Array) -> Int64Array:
        """For documents of earlier batches, the place of the one that stayed: often itself."""
