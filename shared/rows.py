"""Runs the row steps of a stage over one shard: gating, edits, verdicts, accounts.

The shard goes through in chunks of rows. In each chunk every step is computed for the rows that
are still kept (null elsewhere), then its keep rules are read. Columns that some earlier batch has
committed are read, not computed; the archive is read again only where a step needs its payload.
"""

import time
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.chunk import Chunk, Mask, Tally
from shared.columns import READ_ROWS, ColumnWriter, RowCursor, open_columns, read_receipt
from shared.compute import Compute, error_rows
from shared.errors import PermanentError, UsageError
from shared.ranges import open_table, rows_between, rows_of_shards
from shared.recipe import BoundStep
from shared.schema import DROPPED, ERROR, VERDICT_SCHEMA, conform
from shared.shards import Shard, ShardReader
from shared.stages import Pipeline, Stage
from shared.step import Step
from shared.store import Store


class RowStage:
    """One task: a stage of rows over one shard."""

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        stage: Stage,
        shard: Shard,
        compute: Compute,
        reader: ShardReader,
    ) -> None:
        self.store, self.pipeline, self.stage, self.shard = store, pipeline, stage, shard
        self.compute, self.reader = compute, reader
        self.tally = Tally()
        self.missing = [
            b
            for b in stage.steps
            if read_receipt(store, pipeline.column_folder(b), shard.id) is None
        ]
        self.tally.computed = [b.step.name for b in self.missing]

    def run(self) -> Tally:
        """Compute what is missing and commit it, the verdicts last."""
        writers = {b.position: ColumnWriter(b.step.schema) for b in self.missing}
        verdicts = ColumnWriter(VERDICT_SCHEMA)
        for chunk in self._chunks():
            entered = chunk.alive
            for bound in self.stage.steps:
                if bound.position in writers:
                    self._compute_into(chunk, bound)
                    stored = {n: chunk.columns[bound.position, n] for n in bound.step.schema.names}
                    writers[bound.position].write(pa.table(stored, schema=bound.step.schema))
                self._judge(chunk, bound)
            verdicts.write(chunk.verdicts())
            self._count(chunk, entered)
        self._read_records()
        for bound in self.missing:
            folder = self.pipeline.column_folder(bound)
            receipt = {
                "step": bound.step.name,
                "params": bound.params.model_dump(mode="json"),
                "fingerprint": bound.fingerprint,
                "seconds": round(self.tally.seconds[bound.step.short], 3),
                "records": dict(self.tally.records) if bound.step.source else {},
            }
            writers[bound.position].commit(self.store, folder, self.shard.id, receipt)
        self._verdicts = verdicts
        return self.tally

    def commit(self, receipt: dict[str, Any]) -> bool:
        """Write the stage's receipt: the task is done."""
        return self._verdicts.commit(self.store, self.stage.folder, self.shard.id, receipt)

    def _chunks(self) -> Iterator[Chunk]:
        """The shard's rows, with stored columns that the stage needs and the verdicts so far."""
        cursors = self._cursors()
        before = self.pipeline.rows_before(self.stage)
        verdicts = None
        if before is not None:
            file = open_columns(self.store, before.folder, self.shard.id)
            verdicts = RowCursor(file, VERDICT_SCHEMA.names)
        first = 0
        for rows, source in self._sizes(cursors, verdicts):
            chunk = Chunk(first, rows)
            if verdicts:
                chunk.load_verdicts(verdicts.take(rows))
            for position, cursor in cursors.items():
                chunk.add(position, cursor.take(rows))
            if source is not None:
                chunk.add(0, source)
            first += rows
            self.tally.rows += rows
            yield chunk
        stored = {c.rows for c in cursors.values()} | ({verdicts.rows} if verdicts else set())
        if stored - {first}:
            raise PermanentError(
                f"{self.shard.id}: {first} rows read, stored columns have {stored}"
            )

    def _sizes(
        self, cursors: dict[int, RowCursor], verdicts: RowCursor | None
    ) -> Iterator[tuple[int, pa.Table | None]]:
        """How many rows each chunk has; with the archive's rows where it is read."""
        if self._reads_archive:
            for table in self._archive():
                yield table.num_rows, table
            return
        total = verdicts.rows if verdicts else next(iter(cursors.values())).rows
        for start in range(0, total, READ_ROWS):
            yield min(READ_ROWS, total - start), None

    @cached_property
    def _reads_archive(self) -> bool:
        """Whether a missing step is the source or needs one of its transient columns."""
        source = self.pipeline.recipe.steps[0]
        transient = {c.name for c in source.step.columns if c.transient}
        return any(b is source or transient & set(b.step.reads) for b in self.missing)

    def _archive(self) -> Iterator[pa.Table]:
        """The archive's rows, transient columns included; a refused archive is one failed row."""
        source = self.pipeline.recipe.steps[0]
        assert source.step.source is not None
        names = [c.name for c in source.step.columns]
        started = time.process_time()
        try:
            for table in source.step.source(self.reader, source.params):
                if ERROR.name not in table.column_names:
                    table = table.append_column(ERROR.name, pa.nulls(table.num_rows, ERROR.type))  # noqa: PLW2901
                self.tally.seconds[source.step.short] += time.process_time() - started
                yield table.select([*names, ERROR.name])
                started = time.process_time()
        except UsageError as error:
            if self.shard.start == 0:
                self.reader.records["refused"] += 1
                yield _refused(source.step, self.reader, str(error))

    def _cursors(self) -> dict[int, RowCursor]:
        """Cursors over the stored columns that the stage reads, by the step that has them."""
        needed: dict[int, set[str]] = {}
        computed = {b.position for b in self.missing}
        for bound in self.stage.steps:
            names = {c for r in bound.rules for c in r.columns}
            if bound.position in computed:
                names |= set(bound.step.reads)
                for edit in bound.edits:
                    needed.setdefault(edit, set()).add("edits")
            else:
                needed.setdefault(bound.position, set()).add(ERROR.name)
            for name in names:
                needed.setdefault(bound.inputs[name], set()).add(name.rpartition(".")[2])
        if self._characters is not None:
            needed.setdefault(self._characters, set()).add("characters")
        cursors = {}
        for position in sorted(set(needed) - computed):
            bound = self.pipeline.recipe.steps[position]
            stored = sorted(needed[position] & set(bound.step.schema.names))
            if stored:
                folder = self.pipeline.column_folder(bound)
                file = open_columns(self.store, folder, self.shard.id)
                cursors[position] = RowCursor(file, stored)
        return cursors

    @cached_property
    def _characters(self) -> int | None:
        """The step that measures characters, where this stage or an earlier one has it."""
        bound = self.pipeline.characters
        known = bound is not None and bound.position <= self.stage.steps[-1].position
        return bound.position if bound is not None and known else None

    def _compute_into(self, chunk: Chunk, bound: BoundStep) -> None:
        """Compute one step for the rows still kept, nulls elsewhere."""
        if bound.step.source is not None:
            stored = pa.table(
                {n: chunk.columns[bound.position, n] for n in bound.step.schema.names}
            )
            chunk.add(
                bound.position, conform(stored, bound.step.schema, chunk.rows, bound.step.name)
            )
            return
        started = time.process_time()
        alive = np.flatnonzero(chunk.alive)
        whole = len(alive) == chunk.rows
        rows = chunk.inputs(bound)
        if bound.step.join is not None:
            rows = rows.add_column(0, "row", pa.array(np.arange(chunk.rows) + chunk.first))
        if not whole:
            rows = rows.take(alive)
        if bound.step.join is not None:
            result = conform(
                bound.step.join(rows, self._keyed(bound, chunk), bound.params),
                bound.step.schema,
                rows.num_rows,
                bound.step.name,
            )
        else:
            result = self.compute(bound.step, bound.params, rows)
        chunk.add(bound.position, result if whole else _scatter(result, alive, chunk.rows))
        self.tally.seconds[bound.step.short] += time.process_time() - started

    def _keyed(self, bound: BoundStep, chunk: Chunk) -> pa.Table:
        """Of the group step's joined phases what they have of the chunk's rows."""
        if bound.position not in self._keyed_tables:
            here = range(self.shard.index, self.shard.index + 1)
            parts = []
            for phase in bound.step.phases:
                if phase.joined(bound.params):
                    stage = self.pipeline.phase_stage(bound, phase.name)
                    for unit in self.pipeline.units(stage):
                        file = open_table(self.store, stage.folder, unit)
                        parts.append(file.schema_arrow.empty_table())
                        parts.extend(rows_of_shards(file, here))
            self._keyed_tables[bound.position] = pa.concat_tables(parts).sort_by("row")
        table = self._keyed_tables[bound.position]
        return rows_between(table, chunk.first, chunk.first + chunk.rows)

    @cached_property
    def _keyed_tables(self) -> dict[int, pa.Table]:
        return {}

    def _judge(self, chunk: Chunk, bound: BoundStep) -> None:
        """Read the step's errors, then its keep rules in order."""
        errors = chunk.columns[bound.position, ERROR.name]
        bad = np.flatnonzero(chunk.alive & np.asarray(pc.is_valid(errors)))
        if len(bad):
            chunk.fail(bad, bound.step.short, errors.take(bad).to_pylist())
        for rule, rule_name in zip(bound.rules, bound.rule_names, strict=True):
            columns = {
                name: chunk.columns[bound.inputs[name], name.rpartition(".")[2]]
                for name in rule.columns
            }
            out = np.flatnonzero(chunk.alive & ~np.asarray(rule.holds(columns)))
            if len(out):
                values = columns[rule.column].take(out).to_pylist()
                chunk.drop(out, rule_name, values, rule.condition)

    def _count(self, chunk: Chunk, entered: Mask) -> None:
        """Add a chunk to the accounts."""
        tally = self.tally
        characters = np.zeros(chunk.rows, np.int64)
        if self._characters is not None:
            column = chunk.columns[self._characters, "characters"]
            characters = np.asarray(pc.fill_null(column, 0))
        tally.entered += int(entered.sum())
        tally.kept += int(chunk.alive.sum())
        tally.characters_entered += int(characters[entered].sum())
        tally.characters_kept += int(characters[chunk.alive].sum())
        for row in np.flatnonzero(entered & ~chunk.alive).tolist():
            name = chunk.rule[row]
            assert name is not None
            counter = tally.dropped if chunk.state[row] == DROPPED else tally.failed
            counter[name] += 1
            tally.characters_dropped[name] += int(characters[row])

    def _read_records(self) -> None:
        """The archive's records by type: counted now, or when the source step was committed."""
        source = self.pipeline.recipe.steps[0]
        if source not in self.stage.steps:
            return
        if source in self.missing:
            self.tally.records = self.reader.records
            return
        folder = self.pipeline.column_folder(source)
        receipt = read_receipt(self.store, folder, self.shard.id)
        self.tally.records = Counter(receipt["records"] if receipt else {})


def _scatter(table: pa.Table, positions: npt.NDArray[np.intp], rows: int) -> pa.Table:
    """`table`'s rows at `positions` of `rows` rows, nulls elsewhere."""
    source = np.zeros(rows, np.int64)
    absent = np.ones(rows, np.bool_)
    source[positions] = np.arange(len(positions))
    absent[positions] = False
    return table.take(pa.array(source, mask=absent))


def _refused(step: Step, reader: ShardReader, reason: str) -> pa.Table:
    """One failed row that stands for an archive that cannot be read."""
    table = error_rows(step, [reason])
    names = [c.name for c in step.columns]
    arrays = [
        pa.array([f"{reader.archive}:0"]) if c.name == "document" else pa.nulls(1, c.type)
        for c in step.columns
    ]
    return pa.table([*arrays, table.column(ERROR.name)], names=[*names, ERROR.name])
