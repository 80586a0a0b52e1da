"""Sorted runs: immutable files of (key, place, ...) entries, and their merge in bounded memory.

A run is what the index is made of. Its keys are 64-bit digests, so they lie evenly over their
range: a directory of counts by the keys' leading bits says where any range of keys lies, and any
number of runs is merged range by range, each range as large as memory allows, by reading just
those bytes of each run. No server holds the index, and no task holds more than a window of it.

    8 bytes        magic
    4 bytes        length of the header
    header         JSON: entries, bits, first shard, columns
    directory      uint64 (2**bits + 1,): entries whose key is below bucket i
    key            uint64 (entries,), ascending; equal keys in the order of their places
    shard          unsigned (entries,): shard of the place, less the first shard
    row            uint32 (entries,)
    ...            further columns, fixed width, (entries,)

All numbers are little-endian. 14 bytes an entry without further columns.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shared.errors import PermanentError
from shared.index import ROW_BITS, StoredRun
from shared.ranges import ObjectReader

Int64Array: TypeAlias = npt.NDArray[np.int64]
UInt64Array: TypeAlias = npt.NDArray[np.uint64]
AnyArray: TypeAlias = npt.NDArray[Any]

MAGIC = b"CMRUN001"
#: Entries a bucket of the directory: reading a range takes at most this many too many at each end.
BUCKET_ENTRIES = 2048
MOST_BITS = 20
#: Read at once with the header: most directories.
HEAD_BYTES = 64 * 2**10
#: Bytes that an entry takes while windows are sorted: itself, its copy, the order.
WINDOW_ENTRY_BYTES = 64
_ROW_MASK = (1 << ROW_BITS) - 1


@dataclass(frozen=True)
class Entries:
    """Keys (uint64), places (int64) and further columns, all of one length.

    Sorted by key, then by place.
    """

    keys: UInt64Array
    places: Int64Array
    columns: dict[str, AnyArray]

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, index: AnyArray) -> "Entries":
        """The entries at some positions, or where a mask is true."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return Entries(self.keys[index], self.places[index], columns)


def sort_entries(entries: Entries) -> Entries:
    """Sorted by key, then by place; entries equal in both keep their order."""
    if np.all(entries.places[1:] >= entries.places[:-1]):
        return entries.take(np.argsort(entries.keys, kind="stable"))
    return entries.take(np.lexsort((entries.places, entries.keys)))


def same_as_before(keys: UInt64Array) -> npt.NDArray[np.bool_]:
    """For each of sorted keys whether it equals the one before it."""
    same = np.zeros(len(keys), np.bool_)
    same[1:] = keys[1:] == keys[:-1]
    return same


class RunWriter:
    """Writes a run from entries that come in the order of their keys, some at a time.

    What is appended lies in temporary files, a column each, until `finish` puts them together.
    """

    def __init__(self) -> None:
        self._files: dict[str, IO[bytes]] = {}
        self._types: dict[str, str] = {}
        self._counts = np.zeros(2**MOST_BITS, np.uint64)
        self._entries = 0
        self._shards = (0, 0)

    def append(self, entries: Entries) -> None:
        """Add sorted entries, none below those that came before."""
        shards, rows = entries.places >> ROW_BITS, entries.places & _ROW_MASK
        if len(entries):
            least, most = int(shards.min()), int(shards.max())
            first, last = self._shards if self._entries else (least, most)
            self._shards = min(first, least), max(last, most)
        columns = {"key": entries.keys, "shard": shards, "row": rows.astype(np.uint32)}
        for name, values in (columns | entries.columns).items():
            if name not in self._files:
                self._files[name] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by finish)
                self._types[name] = values.dtype.newbyteorder("<").str
            self._files[name].write(np.ascontiguousarray(values).data)
        buckets = (entries.keys >> np.uint64(64 - MOST_BITS)).astype(np.int64)
        at, counts = np.unique(buckets, return_counts=True)
        self._counts[at] += counts.astype(np.uint64)
        self._entries += len(entries)

    @property
    def entries(self) -> int:
        """Entries so far."""
        return self._entries

    def finish(self) -> Path:
        """The run as a temporary file, the caller's to remove."""
        first, last = self._shards
        shard_type = np.min_scalar_type(last - first).newbyteorder("<").str
        bits = max(0, min(MOST_BITS, int(np.log2(max(1, self._entries // BUCKET_ENTRIES)))))
        counts = self._counts.reshape(2**bits, -1).sum(axis=1)
        directory = np.concatenate(([0], np.cumsum(counts))).astype("<u8")
        types = {**self._types, "shard": shard_type} if self._files else {}
        header = {
            "entries": self._entries,
            "bits": bits,
            "first": first,
            "columns": [[name, types[name]] for name in types],
        }
        encoded = json.dumps(header).encode()
        with tempfile.NamedTemporaryFile(suffix=".run", delete=False) as out:
            out.write(MAGIC + len(encoded).to_bytes(4, "little") + encoded + directory.tobytes())
            for name, file in self._files.items():
                file.seek(0)
                while chunk := file.read(2**23):
                    if name == "shard":
                        shards = np.frombuffer(chunk, "<i8") - first
                        chunk = shards.astype(shard_type).tobytes()
                    out.write(chunk)
                file.close()
        return Path(out.name)


def write_run(entries: Entries) -> Path:
    """A run of sorted entries that are all in memory, as a temporary file."""
    writer = RunWriter()
    writer.append(entries)
    return writer.finish()


class Run:
    """A stored run, read by ranges of its keys. `base` is added to its shards."""

    def __init__(self, reader: ObjectReader, base: int = 0) -> None:
        self._reader = reader
        head = reader.read(0, HEAD_BYTES)
        if head[:8] != MAGIC:
            raise PermanentError(f"not a sorted run: it begins with {head[:8]!r}")
        at = 12 + int.from_bytes(head[8:12], "little")
        header = json.loads(head[12:at])
        self.entries: int = header["entries"]
        self._bits: int = header["bits"]
        self._base = header["first"] + base
        data = at + 8 * (2**self._bits + 1)
        if data > len(head):
            head += reader.read(len(head), data - len(head))
        self._directory = np.frombuffer(head, "<u8", 2**self._bits + 1, at).astype(np.int64)
        self._columns: list[tuple[str, np.dtype[Any], int]] = []
        for name, kind in header["columns"]:
            self._columns.append((name, np.dtype(kind), data))
            data += self.entries * np.dtype(kind).itemsize

    def count(self, low: int, high: int) -> int:
        """At most how many entries have keys in [low, high)."""
        first, last = self._buckets(low, high)
        return int(self._directory[last] - self._directory[first])

    def between(self, low: int, high: int) -> Entries:
        """The entries whose keys lie in [low, high), high up to 2**64."""
        first, last = self._buckets(low, high)
        begin, end = int(self._directory[first]), int(self._directory[last])
        read = {
            name: np.frombuffer(
                self._reader.read(at + begin * kind.itemsize, (end - begin) * kind.itemsize), kind
            )
            for name, kind, at in self._columns
        }
        if not read:
            return Entries(np.empty(0, np.uint64), np.empty(0, np.int64), {})
        keys = read.pop("key")
        shards = read.pop("shard").astype(np.int64) + self._base
        places = (shards << ROW_BITS) | read.pop("row").astype(np.int64)
        cut = slice(
            int(np.searchsorted(keys, np.uint64(low))),
            len(keys) if high >= 2**64 else int(np.searchsorted(keys, np.uint64(high))),
        )
        columns = {name: values[cut] for name, values in read.items()}
        return Entries(keys[cut], places[cut], columns)

    def _buckets(self, low: int, high: int) -> tuple[int, int]:
        """The buckets [first, last) that hold a range of keys."""
        shift = 64 - self._bits
        return low >> shift, -(-high >> shift)


def partition_range(partition: int, partitions: int) -> tuple[int, int]:
    """The keys [low, high) of one of equal parts of all keys."""
    return (partition << 64) // partitions, ((partition + 1) << 64) // partitions


def open_runs(stored: Sequence[StoredRun]) -> list[Run]:
    """Runs of an index, ready to be read."""
    return [Run(run.reader, run.base) for run in stored]


def windows(runs: Sequence[Run], low: int, high: int, memory: int) -> Iterator[Entries]:
    """All entries with keys in [low, high), in the order of their keys, a window at a time.

    A window holds all entries of its keys, sorted by key and place, and takes about `memory` bytes
    while it is made; more only where a single key has more entries than that. `runs` come in the
    order of their places where these do not overlap (as batches and shards do).
    """
    total = sum(run.count(low, high) for run in runs)
    room = max(1, memory // WINDOW_ENTRY_BYTES)
    if total > room and high - low > 1:
        middle = (low + high) // 2
        # A range of one key, or one that does not shrink (few buckets), is taken as it is.
        halves = (
            sum(run.count(low, middle) for run in runs),
            sum(run.count(middle, high) for run in runs),
        )
        if max(halves) < total:
            yield from windows(runs, low, middle, memory)
            yield from windows(runs, middle, high, memory)
            return
    parts = [part for part in (run.between(low, high) for run in runs) if len(part)]
    if not parts:
        return
    names = parts[0].columns
    yield sort_entries(
        Entries(
            np.concatenate([p.keys for p in parts]),
            np.concatenate([p.places for p in parts]),
            {name: np.concatenate([p.columns[name] for p in parts]) for name in names},
        )
    )
