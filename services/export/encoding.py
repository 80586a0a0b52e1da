"""The phase `encode`: some shards' kept documents, tokenised once, a section for each token shard.

What has been encoded is held until it takes a part of the memory, then sorted and put aside as a
file of its own; at the end these pieces are merged into one.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.export.bpe import Encoder
from services.export.packing import ENTRIES, encode_rows, groups_of, order_keys
from services.export.sections import (
    SectionWriter,
    entry_sizes,
    frames,
    local_file,
    merge,
    read_section,
)
from shared.ranges import ObjectReader
from shared.scope import Scope

Int64Array: TypeAlias = npt.NDArray[np.int64]

TEXT_SCHEMA = pa.schema(
    [
        ("document", pa.string()),
        ("url", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int64()),
        ("text", pa.large_string()),
    ]
)
#: Tasks at most. A task that writes opens the files of all.
MOST_ENCODE_TASKS = 256
#: Of the memory, what is held before it is put aside: it is there twice while it is sorted.
HELD_PART = 4
#: Of the memory, a frame: of each encoding task's file two or three are held while they are merged.
FRAME_PART = 8 * MOST_ENCODE_TASKS


def encode_tasks(shards: int) -> int:
    """How many tasks encode a batch's shards."""
    return min(shards, MOST_ENCODE_TASKS)


def shards_of(task: int, tasks: int, shards: int) -> range:
    """The neighbouring shards of one of the tasks."""
    return range(task * shards // tasks, (task + 1) * shards // tasks)


def entries_section(source: ObjectReader, partition: int, frame: int) -> Iterator[pa.Table]:
    """The entries of a token shard, sorted by key, in a file of `Encoding`."""
    return read_section(source, 2 * partition, ENTRIES, frame)


def text_section(source: ObjectReader, partition: int, frame: int) -> Iterator[pa.Table]:
    """The text of a token shard in a file of `Encoding`, a table for each of the file's shards."""
    return read_section(source, 2 * partition + 1, TEXT_SCHEMA, frame)


class Encoding:
    """Collects encoded shards; memory: a shard's rows, and `memory`."""

    def __init__(self, partitions: int, memory: int) -> None:
        self._partitions = partitions
        self._room = memory // HELD_PART
        self._frame = max(1, memory // FRAME_PART)
        self._entries = [ENTRIES.empty_table()]
        self._texts: list[tuple[pa.Table, Int64Array]] = []
        self._held = 0
        self._pieces: list[SectionWriter] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for piece in self._pieces:
            piece.remove()

    def add(self, entries: pa.Table, texts: pa.Table | None) -> None:
        """A shard's ENTRIES and, where text is kept, its TEXT_SCHEMA in the same order."""
        self._entries.append(entries)
        self._held += entries.nbytes
        if texts is not None:
            order, bounds = self._deal(entries["key"].to_numpy(), in_order=False)
            self._texts.append((texts.take(order), bounds))
            self._held += texts.nbytes + bounds.nbytes
        if self._held > self._room:
            self._put_aside()

    def finish(self) -> Path:
        """All sections in one temporary file, the caller's to remove."""
        if self._held or not self._pieces:
            self._put_aside()
        if len(self._pieces) > 1:
            self._merge()
        return self._pieces.pop().path

    def _deal(
        self, keys: npt.NDArray[np.uint64], *, in_order: bool
    ) -> tuple[Int64Array, Int64Array]:
        """The rows token shard by token shard, of each in the order of the keys or as they come.

        With it where in that order each token shard begins, and where the last one ends.
        """
        parts = (keys % np.uint64(self._partitions)).astype(np.int64)
        order = np.lexsort((keys, parts)) if in_order else np.argsort(parts, kind="stable")
        return order, np.searchsorted(parts[order], np.arange(self._partitions + 1))

    def _put_aside(self) -> None:
        """Write what is held as a piece."""
        entries = pa.concat_tables(self._entries).combine_chunks()
        order, bounds = self._deal(entries["key"].to_numpy(), in_order=True)
        sizes = entry_sizes(entries)[order]
        writer = self._piece()
        for low, high in pairwise(bounds.tolist()):
            groups = groups_of(sizes[low:high], self._frame)
            writer.write(entries.take(order[low + s : low + e]) for s, e in groups)
            partition = writer.sections // 2
            writer.write(_part(table, at, partition) for table, at in self._texts)
        writer.finish()
        self._entries, self._texts, self._held = [ENTRIES.empty_table()], [], 0

    def _merge(self) -> None:
        """Make one of all pieces; texts follow each other in the order of the shards."""
        parts = list(self._pieces)
        writer = self._piece()
        with ExitStack() as opened:
            pieces = [local_file(opened.enter_context(p.path.open("rb"))) for p in parts]
            for partition in range(self._partitions):
                merged = merge([entries_section(p, partition, self._frame) for p in pieces])
                writer.write(frames(merged, self._frame))
                writer.write(chain(*(text_section(p, partition, self._frame) for p in pieces)))
        writer.finish()
        for part in parts:
            part.remove()
        self._pieces = [writer]

    def _piece(self) -> SectionWriter:
        writer = SectionWriter(2 * self._partitions)
        self._pieces.append(writer)
        return writer


def _part(texts: pa.Table, bounds: Int64Array, partition: int) -> pa.Table:
    """The rows of a token shard."""
    low, high = bounds[partition : partition + 2].tolist()
    return texts.slice(low, high - low)


def _whole(tables: list[pa.Table]) -> pa.Table:
    """Tables as one, each column in one piece: a text file's bytes depend on it."""
    return pa.concat_tables(tables).combine_chunks()


def encode_shards(
    scope: Scope,
    reads: tuple[str, ...],
    task: int,
    *,
    encoder: Encoder,
    dtype: str,
    seed: int,
    partitions: int,
    text: bool,
) -> Path:
    """Encode one task's shards; with `text`, their text goes along."""
    shards = len(scope.batch.shards)
    mine = shards_of(task, encode_tasks(shards), shards)
    with Encoding(partitions, scope.memory) as encoding:
        for shard, tables in groupby(scope.rows(reads, mine), itemgetter(0)):
            entries, texts = [], []
            for _, rows in tables:
                keys = order_keys(rows["document"], seed, "order")
                entries.append(encode_rows(shard, rows, keys, encoder, dtype))
                if text:
                    place = pa.array(np.full(rows.num_rows, shard, np.int32))
                    placed = rows.append_column("shard", place).select(TEXT_SCHEMA.names)
                    texts.append(placed.cast(TEXT_SCHEMA))
            encoding.add(_whole(entries), _whole(texts) if text else None)
        return encoding.finish()
