"""Runs a phase of a group step: one partition of it, over the kept rows of all shards."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from shared.chunk import Chunk
from shared.columns import ColumnWriter, commit_receipt, open_columns, read_columns, read_receipt
from shared.progress import Funnel
from shared.schema import VERDICT_SCHEMA
from shared.shards import Shard
from shared.stages import Pipeline, Stage, partition_unit
from shared.store import Store


class GroupScope:
    """`shared.scope.Scope` over a store."""

    def __init__(self, store: Store, pipeline: Pipeline, stage: Stage) -> None:
        self._store, self._pipeline, self._stage = store, pipeline, stage
        self.batch = pipeline.batch
        self.recipe = pipeline.recipe
        self.output_id = pipeline.sink_id(stage.steps[0])

    def rows(self, columns: tuple[str, ...]) -> Iterator[tuple[int, pa.Table]]:
        """Kept rows of every shard; see `Scope.rows`."""
        for shard in self.batch.shards:
            yield shard.index, kept_rows(self._store, self._pipeline, self._stage, shard, columns)

    def table(self, phase: str, partition: int = 0) -> pa.Table:
        """The committed table of an earlier phase."""
        stage = self._pipeline.phase_stage(self._stage.steps[0], phase)
        return read_columns(self._store, stage.folder, partition_unit(partition))

    def tables(self, phase: str) -> Iterator[pa.Table]:
        """All partitions of an earlier phase, in order."""
        stage = self._pipeline.phase_stage(self._stage.steps[0], phase)
        for unit in self._pipeline.units(stage):
            yield read_columns(self._store, stage.folder, unit)

    def file(self, phase: str, name: str, partition: int = 0) -> bytes:
        """A file that an earlier phase left."""
        stage = self._pipeline.phase_stage(self._stage.steps[0], phase)
        receipt = read_receipt(self._store, stage.folder, partition_unit(partition))
        assert receipt is not None
        return self._store.get(receipt["files"][name])

    def describe(self) -> dict[str, Any]:
        """The batch's funnel up to this step."""
        funnel = Funnel.read(self._store, self._pipeline, before=self._stage.index)
        return funnel.to_dict(self._pipeline)


def kept_rows(
    store: Store, pipeline: Pipeline, stage: Stage, shard: Shard, columns: tuple[str, ...]
) -> pa.Table:
    """`row` and the named columns of the rows of a shard that are kept before `stage`."""
    before = pipeline.rows_before(stage)
    assert before is not None
    verdicts = read_columns(store, before.folder, shard.id, VERDICT_SCHEMA.names)
    chunk = Chunk(0, verdicts.num_rows)
    chunk.load_verdicts(verdicts)
    kept = np.flatnonzero(chunk.alive)
    bound = stage.steps[0]
    for name in columns:
        positions = {bound.inputs[name]: name.rpartition(".")[2]}
        if name == "text":
            positions |= dict.fromkeys(bound.edits, "edits")
        for position, column in positions.items():
            folder = pipeline.column_folder(pipeline.recipe.steps[position])
            file = open_columns(store, folder, shard.id)
            chunk.add(position, file.read(columns=[column], use_threads=False))
    arrays = [
        chunk.text(bound.inputs[name], bound.edits).take(kept)
        if name == "text"
        else chunk.columns[bound.inputs[name], name.rpartition(".")[2]].take(kept)
        for name in columns
    ]
    return pa.table([pa.array(kept, pa.int64()), *arrays], names=["row", *columns])


def run_phase(
    store: Store, pipeline: Pipeline, stage: Stage, unit: str
) -> tuple[ColumnWriter, dict[str, str]]:
    """Compute one partition; its files are written, its table waits for the commit."""
    assert stage.phase is not None
    bound = stage.steps[0]
    partition = int(unit.removeprefix("p"))
    output = stage.phase.run(GroupScope(store, pipeline, stage), partition, bound.params)
    folder = stage.folder + unit + "-"
    if bound.step.sink:
        folder = f"{bound.step.sink}/{pipeline.sink_id(bound)}/"
    files = {name: folder + name for name in output.files}
    for name, data in output.files.items():
        store.put(files[name], data)
    writer = ColumnWriter(output.table.schema)
    writer.write(output.table)
    return writer, files


def commit_phase(
    store: Store, stage: Stage, unit: str, writer: ColumnWriter, receipt: dict[str, Any]
) -> bool:
    """Write the partition's receipt: the task is done. A phase may leave files and no table."""
    if not writer.schema.names:
        writer.discard()
        return commit_receipt(store, stage.folder, unit, receipt)
    return writer.commit(store, stage.folder, unit, receipt)
