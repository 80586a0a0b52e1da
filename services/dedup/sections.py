"""Files with a section for each partition: what one phase hands to the tasks of the next.

A section is made of blocks, Arrow tables of some rows, compressed; the blocks of all sections lie
in the order in which they were written. The directory at the end says where those of a section are,
so that its reader fetches these bytes only.

    8 bytes        magic
    block ...      Arrow IPC streams, zstd
    directory      int64 (blocks, 4): section, offset, bytes, rows
    8 bytes        blocks

All numbers are little-endian.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.errors import PermanentError
from shared.ranges import ObjectReader

Int64Array = npt.NDArray[np.int64]

MAGIC = b"CMSEC001"
_ENTRY = 4
#: Read at once at the end of a file: most directories.
_TAIL_BYTES = 2**15


class SectionWriter:
    """Collects rows by section; `memory` bytes of them wait until they are written.

    A context: left by an error, it leaves no file.
    """

    def __init__(self, memory: int) -> None:
        self._memory, self._held = memory, 0
        self._waiting: dict[int, list[pa.Table]] = {}
        self._directory: list[tuple[int, int, int, int]] = []
        self._file = tempfile.NamedTemporaryFile(suffix=".sections", delete=False)  # noqa: SIM115 (finish closes it)
        self._file.write(MAGIC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._file.close()
            Path(self._file.name).unlink()

    def add(self, rows: pa.Table, sections: Int64Array) -> None:
        """Put each row into its section, after those that are there."""
        order = np.argsort(sections, kind="stable")
        ends = np.flatnonzero(np.diff(sections[order], append=-1)) + 1
        begin = 0
        for end in ends.tolist():
            part = rows.take(pa.array(order[begin:end]))
            self._waiting.setdefault(int(sections[order[begin]]), []).append(part)
            self._held += part.nbytes
            begin = end
        if self._held > self._memory:
            self._flush()

    def finish(self) -> Path:
        """The file, the caller's to remove."""
        self._flush()
        with self._file as file:
            file.write(np.array(self._directory, "<i8").tobytes())
            file.write(len(self._directory).to_bytes(8, "little"))
        return Path(self._file.name)

    def _flush(self) -> None:
        for section, tables in sorted(self._waiting.items()):
            rows = pa.concat_tables(tables).combine_chunks()
            sink = pa.BufferOutputStream()
            options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
            with pa.ipc.new_stream(sink, rows.schema, options=options) as stream:
                stream.write_table(rows)
            block = sink.getvalue()
            self._directory.append((section, self._file.tell(), block.size, rows.num_rows))
            self._file.write(block)
        self._waiting, self._held = {}, 0


class Section:
    """One section of a stored file."""

    def __init__(self, reader: ObjectReader, section: int) -> None:
        self._reader = reader
        tail = reader.read(max(0, reader.size - _TAIL_BYTES), min(reader.size, _TAIL_BYTES))
        size = int.from_bytes(tail[-8:], "little") * _ENTRY * 8 + 8
        if size > len(tail):
            tail = reader.read(reader.size - size, size)
        if len(tail) < size:
            raise PermanentError(f"not a file of sections: {reader.size} bytes")
        directory = np.frombuffer(tail, "<i8", (size - 8) // 8, len(tail) - size)
        blocks = directory.reshape(-1, _ENTRY)
        self._blocks = blocks[blocks[:, 0] == section]

    @property
    def rows(self) -> int:
        """Rows of the section."""
        return int(self._blocks[:, 3].sum())

    def tables(self) -> Iterator[pa.Table]:
        """Its rows in the order in which they were added, a block at a time."""
        for _, offset, size, _ in self._blocks.tolist():
            with pa.ipc.open_stream(pa.py_buffer(self._reader.read(offset, size))) as stream:
                yield stream.read_all()
