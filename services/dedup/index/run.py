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
#: Bytes that an entry takes while a window is made and used: keys and places (16), their sorted
#: copies (16); then those, the first of its key (8) and an edge, as two places, packed and sorted.
WINDOW_ENTRY_BYTES = 64
_OWN_COLUMNS = ("key", "shard", "row")
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

    def take(self, index: AnyArray | slice) -> "Entries":
        """The entries at some positions, or where a mask is true; a slice is not copied."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return Entries(self.keys[index], self.places[index], columns)


def sort_entries(entries: Entries) -> Entries:
    """Sorted by key, then by place; entries equal in both keep their order.

    Quickest where the places of equal keys come in order, as those of documents and of runs do.
    """
    from services.dedup.kernels.sorting import order_of_places, places_ascend, sort_pairs

    if entries.columns:
        keys, order = sort_pairs(entries.keys, np.arange(len(entries)))
        columns = {name: values[order] for name, values in entries.columns.items()}
        done = Entries(keys, entries.places[order], columns)
    else:
        done = Entries(*sort_pairs(entries.keys, entries.places), {})
    if places_ascend(done.keys, done.places):
        return done
    return done.take(order_of_places(done.keys, done.places))


def concatenate(parts: Sequence[Entries]) -> Entries:
    """Entries one after the other; at least one part."""
    return Entries(
        np.concatenate([p.keys for p in parts]),
        np.concatenate([p.places for p in parts]),
        {name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns},
    )


def same_as_before(keys: UInt64Array) -> npt.NDArray[np.bool_]:
    """For each of sorted keys whether it equals the one before it."""
    same = np.zeros(len(keys), np.bool_)
    same[1:] = keys[1:] == keys[:-1]
    return same


class RunWriter:
    """Writes a run from entries that come in the order of their keys, some at a time.

    What is appended lies in temporary files, a column each (16 bytes an entry without further
    columns), until `finish` puts them together.
    """

    def __init__(self) -> None:
        self._files: dict[str, IO[bytes]] = {}
        self._types: dict[str, str] = {}
        self._counts = np.zeros(2**MOST_BITS, np.int64)
        self._entries = 0
        self._shards = (0, 0)

    def append(self, entries: Entries) -> None:
        """Add sorted entries, none below those that came before."""
        from services.dedup.kernels.sorting import count_leading

        shards = (entries.places >> ROW_BITS).astype(np.uint32)
        if len(entries):
            least, most = int(shards.min()), int(shards.max())
            first, last = self._shards if self._entries else (least, most)
            self._shards = min(first, least), max(last, most)
        rows = (entries.places & _ROW_MASK).astype(np.uint32)
        columns: dict[str, AnyArray] = {"key": entries.keys, "shard": shards, "row": rows}
        for name, values in (columns | entries.columns).items():
            if name not in self._files:
                self._files[name] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by finish)
                self._types[name] = values.dtype.newbyteorder("<").str
            self._files[name].write(np.ascontiguousarray(values).data)
        count_leading(entries.keys, MOST_BITS, self._counts)
        self._entries += len(entries)

    @property
    def entries(self) -> int:
        """Entries so far."""
        return self._entries

    def finish(self) -> Path:
        """The run as a temporary file, the caller's to remove."""
        first, last = self._shards
        shard_type = _shard_type(first, last)
        types = {**self._types, "shard": shard_type.str} if self._files else {}
        bits = _directory_bits(self._entries)
        counts = self._counts.reshape(2**bits, -1).sum(axis=1)
        with tempfile.NamedTemporaryFile(suffix=".run", delete=False) as out:
            out.write(_head(self._entries, first, types, counts))
            for name, file in self._files.items():
                file.seek(0)
                while chunk := file.read(2**23):
                    if name == "shard":
                        shards = np.frombuffer(chunk, "<u4") - np.uint32(first)
                        chunk = shards.astype(shard_type).tobytes()
                    out.write(chunk)
                file.close()
        return Path(out.name)


def write_run(entries: Entries) -> Path:
    """A run of sorted entries that are all in memory, as a temporary file."""
    shards = entries.places >> ROW_BITS
    first, last = (int(shards.min()), int(shards.max())) if len(entries) else (0, 0)
    columns: dict[str, AnyArray] = {
        "key": entries.keys,
        "shard": (shards - first).astype(_shard_type(first, last)),
        "row": (entries.places & _ROW_MASK).astype("<u4"),
        **entries.columns,
    }
    types = {name: values.dtype.newbyteorder("<").str for name, values in columns.items()}
    bits = _directory_bits(len(entries))
    starts = np.arange(2**bits, dtype=np.uint64) << np.uint64(64 - bits if bits else 0)
    below = np.searchsorted(entries.keys, starts)
    with tempfile.NamedTemporaryFile(suffix=".run", delete=False) as out:
        out.write(_head(len(entries), first, types, np.diff(below, append=len(entries))))
        for values in columns.values():
            out.write(np.ascontiguousarray(values).data)
    return Path(out.name)


def _shard_type(first: int, last: int) -> np.dtype[Any]:
    """The narrowest type of shards from `first` to `last`, less the first."""
    return np.min_scalar_type(last - first).newbyteorder("<")


def _directory_bits(entries: int) -> int:
    """Leading bits of keys that a run's directory tells apart."""
    return max(0, min(MOST_BITS, (entries // BUCKET_ENTRIES).bit_length() - 1))


def _head(entries: int, first: int, types: dict[str, str], counts: Int64Array) -> bytes:
    """All that comes before the columns; `counts` are those of each bucket of keys."""
    header = {
        "entries": entries,
        "bits": len(counts).bit_length() - 1,
        "first": first,
        "columns": list(types.items()),
    }
    encoded = json.dumps(header).encode()
    directory = np.concatenate(([0], np.cumsum(counts))).astype("<u8").tobytes()
    return MAGIC + len(encoded).to_bytes(4, "little") + encoded + directory


class Run:
    """A stored run, read by ranges of its keys. `base` is added to its shards.

    Entries of the shards in `without` (dropped batches) are left out.
    """

    def __init__(
        self, reader: ObjectReader, base: int = 0, without: tuple[range, ...] = ()
    ) -> None:
        self._reader, self._without = reader, without
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
        #: Bytes of an entry's further columns.
        self.column_bytes = sum(
            kind.itemsize for name, kind, _ in self._columns if name not in _OWN_COLUMNS
        )

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
        found = Entries(keys[cut], places[cut], columns)
        for gone in self._without:
            of = found.places >> ROW_BITS
            found = found.take((of < gone.start) | (of >= gone.stop))
        return found

    def _buckets(self, low: int, high: int) -> tuple[int, int]:
        """The buckets [first, last) that hold a range of keys."""
        shift = 64 - self._bits
        return low >> shift, -(-high >> shift)


def partition_range(partition: int, partitions: int) -> tuple[int, int]:
    """The keys [low, high) of one of equal parts of all keys."""
    return (partition << 64) // partitions, ((partition + 1) << 64) // partitions


def open_runs(stored: Sequence[StoredRun]) -> list[Run]:
    """Runs of an index, ready to be read."""
    return [Run(run.reader, run.base, run.without) for run in stored]


def windows(runs: Sequence[Run], low: int, high: int, memory: int) -> Iterator[Entries]:
    """All entries with keys in [low, high), in the order of their keys, a window at a time.

    A window holds all entries of its keys, sorted by key and place, and takes about `memory` bytes
    while it is made and edges are read off it; more only where a single key has more entries than
    that. `runs` come in the order of their places where these do not overlap (as those of batches
    and of groups of shards do not): others are merged as well, a little slower.
    """
    wide = max((run.column_bytes for run in runs), default=0)
    room = max(1, memory // (WINDOW_ENTRY_BYTES + 3 * wide))
    for start, stop in _cuts(runs, low, high, room):
        if parts := [part for run in runs if len(part := run.between(start, stop))]:
            yield _merged(parts)


def _cuts(runs: Sequence[Run], low: int, high: int, room: int) -> Iterator[tuple[int, int]]:
    """Ranges of keys that hold at most `room` entries each, as far as directories tell."""
    total = sum(run.count(low, high) for run in runs)
    if total > room and high - low > 1:
        middle = (low + high) // 2
        # A range that does not shrink (few buckets, or one hot key in one) is taken as it is.
        lower = sum(run.count(low, middle) for run in runs)
        upper = sum(run.count(middle, high) for run in runs)
        if max(lower, upper) < total:
            yield from _cuts(runs, low, middle, room)
            yield from _cuts(runs, middle, high, room)
            return
    if total:
        yield low, high


def _merged(parts: list[Entries]) -> Entries:
    """Sorted entries together, sorted; `parts` is emptied, so that they are not held twice."""
    if len(parts) == 1:
        return parts.pop()
    joined = concatenate(parts)
    parts.clear()
    return sort_entries(joined)
