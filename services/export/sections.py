"""Files of sections: what a task that encodes hands to those that write, a part for each.

Each token shard has two sections: its entries, sorted by key, and its documents' text, in the order
of the batch. A section is a row of frames, record batches that are compressed by themselves, so
that any number of sections is merged with a frame of each in memory.

    bounds     uint64 (sections + 1,): where each section begins
    frame      uint64 bytes compressed, uint64 bytes before, an Arrow record batch in zstd
    ...
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.export.packing import ENTRIES, groups_of
from shared.ranges import ObjectReader

_HEAD = 16
_CODEC = pa.Codec("zstd")
#: What an entry takes beside its tokens, about: id and numbers.
ENTRY_BYTES = 128


class SectionWriter:
    """Writes sections one after the other to a temporary file, the caller's to remove."""

    def __init__(self, sections: int) -> None:
        with tempfile.NamedTemporaryFile(suffix=".sections", delete=False) as file:
            self.path = Path(file.name)
        self._file = self.path.open("wb")
        self._bounds = [8 * (sections + 1)]
        self._file.write(bytes(self._bounds[0]))

    def write(self, tables: Iterable[pa.Table]) -> None:
        """The next section; a frame a table."""
        for table in tables:
            (batch,) = table.combine_chunks().to_batches() or [_empty(table.schema)]
            raw = batch.serialize()
            packed = _CODEC.compress(raw, asbytes=True)
            self._file.write(np.array([len(packed), raw.size], "<u8").tobytes() + packed)
        self._bounds.append(self._file.tell())

    @property
    def sections(self) -> int:
        """How many have been written."""
        return len(self._bounds) - 1

    def finish(self) -> Path:
        """The file, complete."""
        self._file.seek(0)
        self._file.write(np.array(self._bounds, "<u8").tobytes())
        self._file.close()
        return self.path

    def remove(self) -> None:
        """Close and remove the file."""
        self._file.close()
        self.path.unlink()


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def local_file(file: BinaryIO) -> ObjectReader:
    """An open file, by ranges."""
    number = file.fileno()
    return ObjectReader(
        os.fstat(number).st_size, lambda offset, length: os.pread(number, length, offset)
    )


def read_section(
    source: ObjectReader, section: int, schema: pa.Schema, room: int
) -> Iterator[pa.Table]:
    """The tables of a section, one after the other; read by about `room` bytes at a time."""
    start, end = np.frombuffer(source.read(8 * section, 16), "<u8").tolist()
    held = memoryview(b"")

    def take(count: int) -> memoryview:
        nonlocal held, start
        if len(held) < count:
            wanted = min(max(room, count - len(held)), end - start)
            held = memoryview(bytes(held) + source.read(start, wanted))
            start += wanted
        taken, held = held[:count], held[count:]
        return taken

    while held or start < end:
        packed, size = np.frombuffer(take(_HEAD), "<u8").tolist()
        raw = _CODEC.decompress(take(packed), size)
        yield pa.Table.from_batches([pa.ipc.read_record_batch(raw, schema)])


def merge(sources: Sequence[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Sorted entries of several sources as one, by key; where keys are equal, by source.

    Memory: two tables of each source, and once more what is handed on.
    """
    queues = [_Queue(source) for source in sources]
    while True:
        for queue in queues:
            queue.fill()
        bound = min((q.last for q in queues if not q.ended), default=None)
        heads = [queue.take(bound) for queue in queues]
        table = pa.concat_tables([ENTRIES.empty_table(), *heads]).combine_chunks()
        if table.num_rows:
            order = np.argsort(table["key"].to_numpy(), kind="stable")
            yield table.take(order)
        if bound is None:
            return


class _Queue:
    """A source's entries that have been read and not yet handed on."""

    def __init__(self, source: Iterator[pa.Table]) -> None:
        self._source = source
        self._held = ENTRIES.empty_table()
        self._keys = np.empty(0, np.uint64)
        self._enough = 0
        self.ended = False

    @property
    def last(self) -> int:
        """The highest key that is held."""
        return int(self._keys[-1])

    def fill(self) -> None:
        """Read on where less than half of a table is left, or only one key."""
        while not self.ended and (
            len(self._keys) <= self._enough or self._keys[0] == self._keys[-1]
        ):
            table = next(self._source, None)
            if table is None:
                self.ended = True
                return
            self._held = pa.concat_tables([self._held, table])
            self._keys = self._held["key"].to_numpy()
            self._enough = table.num_rows // 2

    def take(self, bound: int | None) -> pa.Table:
        """What is below a bound, all where there is none; it leaves the queue."""
        count = (
            len(self._keys) if bound is None else int(np.searchsorted(self._keys, np.uint64(bound)))
        )
        head, self._held = self._held.slice(0, count), self._held.slice(count)
        self._keys = self._keys[count:]
        return head


def frames(tables: Iterable[pa.Table], room: int) -> Iterator[pa.Table]:
    """Entries cut or put together to about `room` bytes, one entry at least."""
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        sizes = entry_sizes(table)
        for start, end in groups_of(sizes, room):
            held.append(table.slice(start, end - start))
            size += int(sizes[start:end].sum())
            if size >= room:
                yield pa.concat_tables(held)
                held, size = [], 0
    if held:
        yield pa.concat_tables(held)


def entry_sizes(entries: pa.Table) -> npt.NDArray[np.int64]:
    """Bytes that each entry takes in memory, about."""
    sizes = [
        pc.fill_null(pc.binary_length(entries[name]), 0).to_numpy() for name in ("tokens", "mask")
    ]
    return np.asarray(sum(sizes) + ENTRY_BYTES, np.int64)
