"""The phase `write`: one token shard from the sections that were encoded for it.

Entries are merged by key, so memory is a frame of each encoding task's file, whatever the size.
Files are written as they grow, to temporary ones.
"""

import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.export.encoding import FRAME_PART, TEXT_SCHEMA, entries_section, text_section
from services.export.masks import Mask, pack_mask
from services.export.sections import merge
from shared.dataset import INDEX_SCHEMA
from shared.scope import Scope

#: Rows of a row group of the index, held until it is full: about 100 MB of ids.
INDEX_ROWS = 2**20
#: Tables that are held by themselves: a small one takes kilobytes, whatever its rows.
MOST_SMALL = 256


@dataclass
class Counts:
    """Of a token shard. `characters` are Unicode code points."""

    documents: int = 0
    empty_documents: int = 0
    tokens: int = 0
    masked_tokens: int = 0
    characters: int = 0


def write_partition(
    scope: Scope, partition: int, dtype: str, kinds: Iterable[str]
) -> tuple[dict[str, Path], Counts]:
    """Write a token shard to temporary files, the caller's to remove; `kinds` as in a TokenShard.

    A document without text stands in the index with an empty span.
    """
    frame = max(1, scope.memory // FRAME_PART)
    sources = [
        scope.opened("encode", name, task)
        for task in range(scope.units("encode"))
        for name in scope.files("encode", task)
    ]
    files = {kind: _temporary() for kind in kinds}
    try:
        merged = merge([entries_section(source, partition, frame) for source in sources])
        counts = _write_entries(merged, np.dtype(dtype).itemsize, files)
        if "text_file" in files:
            with pq.ParquetWriter(files["text_file"], TEXT_SCHEMA, compression="zstd") as writer:
                for source in sources:
                    for texts in text_section(source, partition, frame):
                        writer.write_table(texts)
    except BaseException:
        for path in files.values():
            path.unlink()
        raise
    return files, counts


def _temporary() -> Path:
    with tempfile.NamedTemporaryFile(suffix=".export", delete=False) as file:
        return Path(file.name)


def _write_entries(merged: Iterable[pa.Table], width: int, files: dict[str, Path]) -> Counts:
    """Tokens of `width` bytes, their mask where there is one, and the index."""
    counts = Counts()
    with ExitStack() as opened:
        tokens = opened.enter_context(files["tokens_file"].open("wb"))
        index = opened.enter_context(_Index(files["index_file"]))
        mask = opened.enter_context(_Bits(files["mask_file"])) if "mask_file" in files else None
        for entries in merged:
            sizes = pc.binary_length(entries["tokens"]).to_numpy() // width
            ends = counts.tokens + np.cumsum(sizes)
            place = entries.select(["document", "shard", "row"])
            place = place.append_column("start", pa.array(ends - sizes))
            index.write(place.append_column("end", pa.array(ends)))
            tokens.write(_joined(entries["tokens"]))
            if mask is not None:
                masked = np.frombuffer(_joined(entries["mask"]), np.bool_)
                mask.write(masked)
                counts.masked_tokens += int(masked.sum())
            counts.documents += entries.num_rows
            counts.empty_documents += int((sizes == 0).sum())
            counts.tokens += int(sizes.sum())
            counts.characters += pc.sum(entries["characters"]).as_py()
    return counts


def _joined(values: pa.ChunkedArray) -> memoryview:
    """All values of a large_binary column, one after the other."""
    column = values.combine_chunks()
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset :]
    data = memoryview(column.buffers()[2] or b"")
    return data[int(offsets[0]) : int(offsets[len(column)])]


class _Index:
    """An index file, a row group at a time."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, INDEX_SCHEMA, compression="zstd")
        self._held = [INDEX_SCHEMA.empty_table()]
        self._small: list[pa.Table] = []
        self._rows = 0
        self._written = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rows or not self._written:
            self._flush()
        self._writer.close()

    def write(self, rows: pa.Table) -> None:
        """The next rows."""
        self._small.append(rows)
        self._rows += rows.num_rows
        if len(self._small) == MOST_SMALL:
            self._held.append(pa.concat_tables(self._small).combine_chunks())
            self._small.clear()
        if self._rows >= INDEX_ROWS:
            self._flush()

    def _flush(self) -> None:
        table = pa.concat_tables([*self._held, *self._small]).combine_chunks()
        self._small.clear()
        self._writer.write_table(table.slice(0, INDEX_ROWS))
        self._written = True
        rest = table.slice(INDEX_ROWS)
        self._held, self._rows = [rest], rest.num_rows


class _Bits:
    """A mask file, packed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._rest = np.empty(0, np.bool_)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.write(pack_mask(self._rest))
        self._file.close()

    def write(self, mask: Mask) -> None:
        """The next tokens'."""
        bits = np.concatenate((self._rest, mask))
        whole = len(bits) // 8 * 8
        self._file.write(pack_mask(bits[:whole]))
        self._rest = bits[whole:]
