"""URLs across parts, as RefinedWeb has it: kept in an earlier part, gone from later ones.

The archives are cut into parts by a hash of their names, and the parts are taken in order: a part's
documents go where their URL is on the list of those that earlier parts kept. Documents of one part
stay beside each other, whatever their URLs. That is: of each URL the documents of the first part
that has it stay (specs 1.9).

The phases see the batch with its shards in the order of their parts (`InPartOrder`), so that an
earlier place is one that counts first, as it is everywhere else.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from services.dedup.clusters import CLUSTERED
from services.dedup.duplicates import UrlDuplicateParams
from services.dedup.edges import Int64Array
from services.dedup.index.run import Entries
from services.dedup.keys import KeyColumn
from services.dedup.matching import first_of, match_windows, sort_and_settle
from services.dedup.within import parts_of
from shared.index import ROW_BITS, IndexView
from shared.ranges import ObjectReader
from shared.scope import Scope
from shared.step import GroupOutput


class InPartOrder:
    """A scope whose shards come in the order of their parts; shard i is `order[i]` of the batch.

    `parts` holds the part of shard i, ascending. What is not of shards is that of `scope`.
    """

    def __init__(self, scope: Scope, count: int) -> None:
        self.scope = scope
        self.batch = scope.batch
        self.recipe = scope.recipe
        self.output_id = scope.output_id
        self.memory = scope.memory
        parts = parts_of(scope.batch, count)
        self.order = np.argsort(parts, kind="stable")
        self.parts = parts[self.order]

    def rows(
        self, columns: tuple[str, ...], shards: range | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """Kept rows of some shards, in this order and numbered by it."""
        for i in range(len(self.order)) if shards is None else shards:
            shard = int(self.order[i])
            for _, table in self.scope.rows(columns, range(shard, shard + 1)):
                yield i, table

    def units(self, phase: str) -> int:
        """How many partitions an earlier phase has."""
        return self.scope.units(phase)

    def table(self, phase: str, partition: int = 0) -> pa.Table:
        """The table of an earlier phase."""
        return self.scope.table(phase, partition)

    def tables(self, phase: str) -> Iterator[pa.Table]:
        """The tables of all partitions of an earlier phase."""
        return self.scope.tables(phase)

    def keyed(self, phase: str, shards: range) -> Iterator[pa.Table]:
        """Rows of some shards, numbered as in the tables."""
        return self.scope.keyed(phase, shards)

    def files(self, phase: str, partition: int = 0) -> list[str]:
        """Names of the files that an earlier phase left."""
        return self.scope.files(phase, partition)

    def file(self, phase: str, name: str, partition: int = 0) -> bytes:
        """A file that an earlier phase left."""
        return self.scope.file(phase, name, partition)

    def opened(self, phase: str, name: str, partition: int = 0) -> ObjectReader:
        """The same, to be read by ranges."""
        return self.scope.opened(phase, name, partition)

    def index(self, name: str) -> IndexView:
        """What earlier batches left under an index."""
        return self.scope.index(name)

    def describe(self) -> dict[str, Any]:
        """The batch's funnel up to this step."""
        return self.scope.describe()


def sort(
    scope: InPartOrder, partition: int, params: UrlDuplicateParams, column: KeyColumn
) -> GroupOutput:
    """Runs of a group of shards; what has its URL in an earlier part of a run is settled."""

    def settle(piece: Entries) -> tuple[Entries, Int64Array, Int64Array]:
        first = first_of(piece)
        kept = scope.parts[piece.places >> ROW_BITS] == scope.parts[piece.places[first] >> ROW_BITS]
        return piece.take(kept), *_ends(piece, first, scope.parts)

    return sort_and_settle(scope, partition, params, column, settle)


def match(scope: InPartOrder, partition: int, params: UrlDuplicateParams) -> GroupOutput:
    """Edges from the first document of each URL to those of later parts."""

    def ends(window: Entries) -> tuple[Int64Array, Int64Array]:
        return _ends(window, first_of(window), scope.parts)

    return match_windows(scope, partition, params, ends, scope.memory)


def _ends(entries: Entries, first: Int64Array, parts: Int64Array) -> tuple[Int64Array, Int64Array]:
    from services.dedup.kernels.edges import edge_ends_across

    return edge_ends_across(first, entries.places, parts, ROW_BITS)


def in_batch_order(scope: InPartOrder, clustered: GroupOutput) -> GroupOutput:
    """Clusters with the batch's own numbers of shards, each shard's rows together and in order."""
    assert isinstance(clustered.table, pa.RecordBatchReader)
    reader = clustered.table

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            shards = scope.order[np.asarray(batch.column("shard"))]
            at = CLUSTERED.get_field_index("shard")
            yield batch.set_column(at, CLUSTERED.field(at), pa.array(shards, pa.int32()))

    return GroupOutput(
        pa.RecordBatchReader.from_batches(CLUSTERED, batches()), clustered.files, clustered.counts
    )
