"""Runs a phase of a group step: one partition of it, over the kept rows of all shards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from blake3 import blake3

from shared.chunk import Chunk
from shared.columns import ColumnWriter, RowCursor, commit_receipt, read_columns, read_receipt
from shared.index import IndexView
from shared.indexes.view import StoredIndex
from shared.progress import Funnel
from shared.ranges import ObjectReader, open_object, open_table, row_groups, rows_of_shards
from shared.schema import VERDICT_SCHEMA
from shared.settings import settings
from shared.shards import Shard
from shared.stages import Pipeline, Stage, partition_unit
from shared.store import Store

#: Rows handed on at a time: texts of most pages take 20 MB then, and 450 bands 7 MB.
ROWS_AT_ONCE = 2048


class GroupScope:
    """`shared.scope.Scope` over a store."""

    def __init__(self, store: Store, pipeline: Pipeline, stage: Stage) -> None:
        self._store, self._pipeline, self._stage = store, pipeline, stage
        self.batch = pipeline.batch
        self.recipe = pipeline.recipe
        self.output_id = pipeline.sink_id(stage.steps[0])
        self.memory = settings().dedup_memory
        self._indexes: dict[str, IndexView] = {}

    def rows(
        self, columns: tuple[str, ...], shards: range | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """Kept rows of some shards; see `Scope.rows`."""
        chosen = (
            self.batch.shards if shards is None else self.batch.shards[shards.start : shards.stop]
        )
        for shard in chosen:
            for rows in kept_rows(self._store, self._pipeline, self._stage, shard, columns):
                yield shard.index, rows

    def units(self, phase: str) -> int:
        """How many partitions an earlier phase has."""
        return self._phase(phase).partitions

    def table(self, phase: str, partition: int = 0) -> pa.Table:
        """The committed table of an earlier phase."""
        return read_columns(self._store, self._phase(phase).folder, partition_unit(partition))

    def tables(self, phase: str) -> Iterator[pa.Table]:
        """All partitions of an earlier phase in order, a row group at a time."""
        stage = self._phase(phase)
        for unit in self._pipeline.units(stage):
            yield from row_groups(open_table(self._store, stage.folder, unit))

    def keyed(self, phase: str, shards: range) -> Iterator[pa.Table]:
        """Of every partition of an earlier phase the rows of some shards."""
        stage = self._phase(phase)
        for unit in self._pipeline.units(stage):
            yield from rows_of_shards(open_table(self._store, stage.folder, unit), shards)

    def files(self, phase: str, partition: int = 0) -> list[str]:
        """Names of the files that an earlier phase left, sorted."""
        return sorted(self._files(phase, partition))

    def file(self, phase: str, name: str, partition: int = 0) -> bytes:
        """A file that an earlier phase left."""
        return self._store.get(self._files(phase, partition)[name])

    def opened(self, phase: str, name: str, partition: int = 0) -> ObjectReader:
        """The same, to be read by ranges."""
        return open_object(self._store, self._files(phase, partition)[name])

    def index(self, name: str) -> IndexView:
        """What earlier batches left under an index."""
        key = f"{name}/{self._stage.steps[0].step.short}"
        if key not in self._indexes:
            self._indexes[key] = StoredIndex(self._store, self.batch, key)
        return self._indexes[key]

    def _phase(self, phase: str) -> Stage:
        return self._pipeline.phase_stage(self._stage.steps[0], phase)

    def _files(self, phase: str, partition: int) -> dict[str, str]:
        receipt = read_receipt(self._store, self._phase(phase).folder, partition_unit(partition))
        assert receipt is not None
        files: dict[str, str] = receipt["files"]
        return files

    def describe(self) -> dict[str, Any]:
        """The batch's funnel up to this step."""
        funnel = Funnel.read(self._store, self._pipeline, before=self._stage.index)
        return funnel.to_dict(self._pipeline)


def kept_rows(
    store: Store, pipeline: Pipeline, stage: Stage, shard: Shard, columns: tuple[str, ...]
) -> Iterator[pa.Table]:
    """`row` and the named columns of the rows of a shard that are kept before `stage`.

    Some rows at a time; one empty table where the shard has none.
    """
    before = pipeline.rows_before(stage)
    assert before is not None
    bound = stage.steps[0]
    needed: dict[int, set[str]] = {}
    for name in columns:
        needed.setdefault(bound.inputs[name], set()).add(name.rpartition(".")[2])
    for edit in bound.edits if "text" in columns else ():
        needed.setdefault(edit, set()).add("edits")
    cursors = {
        position: RowCursor(
            open_table(store, pipeline.column_folder(pipeline.recipe.steps[position]), shard.id),
            sorted(stored),
        )
        for position, stored in needed.items()
    }
    verdicts = RowCursor(open_table(store, before.folder, shard.id), VERDICT_SCHEMA.names)
    for first in range(0, max(1, verdicts.rows), ROWS_AT_ONCE):
        chunk = Chunk(first, min(ROWS_AT_ONCE, verdicts.rows - first))
        chunk.load_verdicts(verdicts.take(chunk.rows))
        for position, cursor in cursors.items():
            chunk.add(position, cursor.take(chunk.rows))
        kept = np.flatnonzero(chunk.alive)
        arrays = [chunk.input(bound, name).take(kept) for name in columns]
        yield pa.table([pa.array(first + kept, pa.int64()), *arrays], names=["row", *columns])


def run_phase(
    store: Store, pipeline: Pipeline, stage: Stage, unit: str
) -> tuple[ColumnWriter, dict[str, Any]]:
    """Compute one partition; its files are written, its table waits for the commit.

    Returns what its receipt says of it: the files' keys, and counts.

    Files of a sink have the names that its manifest gives them; any other's hold their content's
    hash, so that a retry never changes an object.
    """
    assert stage.phase is not None
    bound = stage.steps[0]
    partition = int(unit.removeprefix("p"))
    output = stage.phase.run(GroupScope(store, pipeline, stage), partition, bound.params)
    writer = ColumnWriter(output.table.schema)
    for table in _parts(output.table):
        writer.write(table)
    files = {}
    for name, data in output.files.items():
        files[name] = f"{stage.folder}{unit}-{_content(data)}-{name}"
        if bound.step.sink and not stage.phase.scratch:
            files[name] = f"{bound.step.sink}/{pipeline.sink_id(bound)}/{name}"
        if isinstance(data, bytes):
            store.put(files[name], data)
        else:
            store.upload(data, files[name])
            data.unlink()
    return writer, {"files": files, "counts": dict(output.counts)}


def _content(data: bytes | Path) -> str:
    """Hash of a file's bytes, 128 bits."""
    content = blake3(max_threads=1)
    if isinstance(data, bytes):
        content.update(data)
    else:
        content.update_mmap(data)
    return content.hexdigest(16)


def _parts(table: pa.Table | pa.RecordBatchReader) -> Iterator[pa.Table]:
    """What a phase leaves, some rows at a time."""
    if isinstance(table, pa.Table):
        yield table
    else:
        yield from (pa.Table.from_batches([batch]) for batch in table)


def commit_phase(
    store: Store, stage: Stage, unit: str, writer: ColumnWriter, receipt: dict[str, Any]
) -> bool:
    """Write the partition's receipt: the task is done. A phase may leave files and no table."""
    if not writer.schema.names:
        writer.discard()
        return commit_receipt(store, stage.folder, unit, receipt)
    return writer.commit(store, stage.folder, unit, receipt)
