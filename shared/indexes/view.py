"""What a batch sees of an index, read from the store (`shared.index.IndexView`)."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from shared.columns import read_receipt
from shared.errors import PermanentError, TransientError
from shared.index import ROW_BITS, Int64Array, StoredRun
from shared.indexes.compactions import cover, piece_runs, read_compactions
from shared.indexes.log import Member
from shared.indexes.members import CLUSTER_PHASE, earlier_members, member_pipeline, phase_stages
from shared.ranges import open_table, rows_of_shards
from shared.recipe import find_column
from shared.shards import Batch
from shared.store import Store

_ROW_MASK = (1 << ROW_BITS) - 1
#: Names the documents of a spine.
_DOCUMENT = "document"


class StoredIndex:
    """The part of an index before a batch."""

    def __init__(self, store: Store, batch: Batch, index: str) -> None:
        self._store, self._index = store, index
        self._members = earlier_members(store, batch, index)
        self._bases = np.array([m.numbers.start for m in self._members], np.int64)
        self._ends = np.array([m.numbers.stop for m in self._members], np.int64)
        self.base = batch.indexes[index].base

    def runs(self) -> list[StoredRun]:
        """The runs of all earlier members: compacted ones where there are."""
        pieces = cover(read_compactions(self._store, self._index), self._members)
        return piece_runs(self._store, self._index, pieces, self._members)

    def documents(self, places: Int64Array) -> pa.Array:
        """Ids of earlier documents, from the spines of their batches."""
        parts = []
        for member, part in self._by_member(places):
            pipeline = member_pipeline(self._store, member.batch)
            spine = next(b for b in pipeline.recipe.steps if find_column(_DOCUMENT, b.step))
            folder = pipeline.column_folder(spine)
            mine = places[part]
            shards = (mine >> ROW_BITS) - member.base
            for shard in np.unique(shards).tolist():
                file = open_table(self._store, folder, pipeline.batch.shards[shard].id)
                ids = file.read(columns=[_DOCUMENT], use_threads=False).column(_DOCUMENT)
                parts.append(ids.take(pa.array(mine[shards == shard] & _ROW_MASK)))
        if sum(map(len, parts)) != len(places):
            raise PermanentError(f"documents are asked for that no member of {self._index} has")
        chunks = [chunk for part in parts for chunk in part.chunks]
        return pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())

    def keepers(self, places: Int64Array) -> Int64Array:
        """Where each earlier document's keeper is; itself where that one's batch was dropped."""
        asked, back = np.unique(places, return_inverse=True)
        found = asked.copy()
        for member, part in self._by_member(asked):
            found[part] = self._keepers_in(member, asked[part])
        shards = found >> ROW_BITS
        at = np.searchsorted(self._bases, shards, side="right") - 1
        there = (at >= 0) & (shards < self._ends[at])
        kept: Int64Array = np.where(there, found, asked)[back]
        return kept

    def _keepers_in(self, member: Member, places: Int64Array) -> Int64Array:
        """Keepers of documents of one batch, as its clusters tell; others keep themselves."""
        found = places.copy()
        pipeline = member_pipeline(self._store, member.batch)
        shards = (places >> ROW_BITS) - member.base
        wanted = range(int(shards[0]), int(shards[-1]) + 1)
        (stage,) = phase_stages(pipeline, self._index, (CLUSTER_PHASE,))
        for unit in pipeline.units(stage):
            if read_receipt(self._store, stage.folder, unit) is None:
                raise TransientError(f"batch {member.batch} has not decided its clusters yet")
            for table in rows_of_shards(open_table(self._store, stage.folder, unit), wanted):
                here = table.column("shard").to_numpy().astype(np.int64) + member.base
                there = (here << ROW_BITS) | table.column("row").to_numpy()
                at = np.minimum(np.searchsorted(places, there), len(places) - 1)
                hit = places[at] == there
                found[at[hit]] = table.column("keeper_place").to_numpy()[hit]
        return found

    def _by_member(self, places: Int64Array) -> Iterator[tuple[Member, slice]]:
        """Where in ascending places those of each batch are."""
        for member in self._members:
            ends = [member.numbers.start << ROW_BITS, member.numbers.stop << ROW_BITS]
            low, high = np.searchsorted(places, ends).tolist()
            if high > low:
                yield member, slice(low, high)
