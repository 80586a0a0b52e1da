"""Both engines of substring duplicates beside each other: speed, memory and disk.

    python -m scripts.bench_substrings [--mb 20]

Texts are real prose with planted copies: each tenth document ends with a passage of an earlier one.
More than the prose has (21 MB of English) is made by exchanging one word in three of it. Each
engine runs in a process of its own on stored shards, after a first run on a few documents that
compiles its loops. CPU time counts everything, reading, phases and spans, the best of three runs.
Memory is the largest resident set less what was resident before; disk is all that the phases leave
for later ones.
"""

import argparse
import gzip
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.reference import DATA
from shared.ranges import ObjectReader
from shared.step import GroupOutput, Params, Step, load_registry
from shared.table_scope import TableScope

STEP = "dedup.substring_duplicates_v1"
PROSE = DATA / "text/train_small_en.jsonl.gz"
#: Shards of text, and what a task of the distributed engine may hold in memory.
SHARD_BYTES, MEMORY = 4 * 2**20, 128 * 2**20
ROW_GROUP = 8192
REPEATS = 3
SETTINGS: tuple[dict[str, Any], ...] = (
    {"unit": "tokens", "length": 50},
    {"unit": "bytes", "length": 100},
    {"unit": "bytes", "length": 50},
)
ENGINES = ("fingerprints", "suffix_array")


class Measured(NamedTuple):
    """One engine on one unit."""

    unit: str
    engine: str
    text_bytes: int
    cpu_seconds: float
    memory_bytes: int
    disk_bytes: int
    #: Of all characters.
    duplicate_share: float
    #: CPU seconds by phase.
    phases: dict[str, float]


class DiskScope(TableScope):
    """A scope whose shards and outputs lie on disk, as they do in a cluster."""

    def __init__(self, folder: Path, shards: int, memory: int) -> None:
        super().__init__([pa.table({})] * shards, memory=memory)
        self._folder, self._tables, self._names = folder, dict[str, list[Path]](), dict[str, Any]()
        self.disk_bytes = 0
        self.cpu: dict[str, float] = {}

    def rows(
        self, columns: tuple[str, ...], shards: range | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """The named columns of some shards."""
        for shard in range(len(self.shards)) if shards is None else shards:
            path = self._folder / f"shard-{shard:05d}.parquet"
            yield shard, pq.read_table(path, columns=["row", *columns], use_threads=False)

    def units(self, phase: str) -> int:
        """Partitions that a phase has run."""
        return len(self._tables[phase])

    def keyed(self, phase: str, shards: range) -> Iterator[pa.Table]:
        """Of every partition the rows of some shards."""
        first, last = shards.start, shards.stop - 1
        for path in self._tables[phase]:
            filters = [("shard", ">=", first), ("shard", "<=", last)]
            yield pq.read_table(path, filters=filters, use_threads=False)

    def files(self, phase: str, partition: int = 0) -> list[str]:
        """Names of the files of a partition."""
        return sorted(self._names[phase][partition])

    def opened(self, phase: str, name: str, partition: int = 0) -> ObjectReader:
        """A file of a partition, by ranges."""
        path = self._names[phase][partition][name]

        def read(offset: int, length: int) -> bytes:
            with path.open("rb") as file:
                file.seek(offset)
                return bytes(file.read(length))

        return ObjectReader(path.stat().st_size, read)

    def run(self, step: Step, params: Params, *, reverse: bool = False) -> None:
        """Run all phases."""
        assert not reverse
        for phase in step.phases:
            started = time.process_time()
            self._tables[phase.name], self._names[phase.name] = [], []
            for partition in range(phase.partitions(params, len(self.shards))):
                output = phase.run(self, partition, params)
                path = self._folder / f"{phase.name}-{partition:05d}.parquet"
                self._tables[phase.name].append(_write(output, path))
                self._names[phase.name].append(output.files)
                left = (path, *output.files.values())
                self.disk_bytes += sum(p.stat().st_size for p in left if isinstance(p, Path))
            self.cpu[phase.name] = time.process_time() - started

    def duplicates(self, step: Step, params: Params) -> tuple[int, int]:
        """Duplicate and all characters, by the join."""
        assert step.join is not None
        phases = [p.name for p in step.phases if p.joined(params)]
        started, found = time.process_time(), [0, 0]
        for shard, rows in self.rows(step.reads):
            here = range(shard, shard + 1)
            keyed = pa.concat_tables([t for phase in phases for t in self.keyed(phase, here)])
            joined = step.join(rows, keyed, params)
            duplicate = sum(joined["duplicate_characters"].to_pylist())
            found[0] += duplicate
            found[1] += duplicate + sum(joined["remaining_characters"].to_pylist())
        self.cpu["join"] = time.process_time() - started
        return found[0], found[1]

    def remove(self) -> None:
        """Remove what phases left outside of the folder."""
        for files in (f for phase in self._names.values() for f in phase):
            for path in files.values():
                path.unlink()


def _write(output: GroupOutput, path: Path) -> Path:
    """A phase's table, written while it is read."""
    with pq.ParquetWriter(path, output.table.schema, compression="zstd") as writer:
        batches = output.table.to_batches() if isinstance(output.table, pa.Table) else output.table
        for batch in batches:
            writer.write_batch(batch, row_group_size=ROW_GROUP)
    return path


def texts(size: int) -> Iterator[str]:
    """Prose with planted copies, about `size` bytes."""
    draw = random.Random(5)
    with gzip.open(PROSE, "rt") as lines:
        prose = [json.loads(line)["text"] for line in lines]
    words = sorted({word for text in prose[:500] for word in text.split()})
    done, turn = 0, 0
    while True:
        for i, original in enumerate(prose):
            text = original
            if turn:
                text = " ".join(
                    draw.choice(words) if draw.random() < 1 / 3 else word
                    for word in original.split(" ")
                )
            if i and i % 10 == 0:
                source = draw.choice(prose[:i])
                begin = draw.randrange(len(source))
                text += source[begin : begin + 1000]
            yield text
            done += len(text.encode())
            if done >= size:
                return
        turn += 1


def write_shards(folder: Path, size: int) -> tuple[int, int]:
    """Shards of text in a folder; how many, and their bytes of text."""
    shards, total = 0, 0
    waiting: list[str] = []

    def write() -> None:
        table = pa.table({"row": pa.array(range(len(waiting)), pa.int64()), "text": waiting})
        pq.write_table(table, folder / f"shard-{shards:05d}.parquet", compression="zstd")

    held = 0
    for text in texts(size):
        waiting.append(text)
        held += len(text.encode())
        if held >= SHARD_BYTES:
            write()
            shards, total, held, waiting = shards + 1, total + held, 0, []
    if waiting:
        write()
        shards, total = shards + 1, total + held
    return shards, total


def _resident(field: str) -> int:
    """Bytes that this process holds (VmRSS) or has held at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def _measure(
    folder: Path, shards: int, size: int, setting: dict[str, Any], engine: str
) -> Measured:
    """Run an engine in this process."""
    step = load_registry()[STEP]
    params = step.params.model_validate({**setting, "engine": engine})
    with tempfile.TemporaryDirectory() as small:
        few = [f"{text} {text}" for text, _ in zip(texts(10**5), range(20), strict=False)]
        table = pa.table({"row": pa.array(range(len(few)), pa.int64()), "text": few})
        pq.write_table(table, Path(small) / "shard-00000.parquet")
        first = DiskScope(Path(small), 1, 2**30)
        first.run(step, params)
        first.duplicates(step, params)
        first.remove()
    Path("/proc/self/clear_refs").write_text("5")  # the largest resident set counts anew
    before = _resident("VmRSS")
    found = []
    for _ in range(REPEATS):
        scope = DiskScope(folder, shards, MEMORY if engine == "fingerprints" else 2**40)
        scope.run(step, params)
        duplicate, characters = scope.duplicates(step, params)
        scope.remove()
        found.append(scope)
    memory = _resident("VmHWM") - before
    best = min(found, key=lambda scope: sum(scope.cpu.values()))
    unit = f"{setting['length']} {setting['unit']}"
    seconds, share = sum(best.cpu.values()), duplicate / characters
    return Measured(unit, engine, size, seconds, memory, best.disk_bytes, share, best.cpu)


def measure(megabytes: int) -> list[Measured]:
    """Both engines on all units, each in a process of its own."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards, size = write_shards(folder, megabytes * 10**6)
        for setting in SETTINGS:
            for engine in ENGINES:
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found.append(pool.apply(_measure, (folder, shards, size, setting, engine)))
    return found


def rows(found: list[Measured]) -> list[dict[str, str]]:
    """The table's rows, by column."""
    return [
        {
            "unit": m.unit,
            "engine": m.engine,
            "text, MB": f"{m.text_bytes / 1e6:.0f}",
            "MB/s a core": f"{m.text_bytes / 1e6 / m.cpu_seconds:.1f}",
            "memory, MB": f"{m.memory_bytes / 1e6:.0f}",
            "memory, bytes a byte": f"{m.memory_bytes / m.text_bytes:.1f}",
            "disk, bytes a byte": f"{m.disk_bytes / m.text_bytes:.2f}",
            "duplicate": f"{m.duplicate_share:.2%}",
        }
        for m in found
    ]


def table(found: list[Measured]) -> str:
    """The same as Markdown."""
    lines = rows(found)
    head = list(lines[0])
    body = [list(line.values()) for line in lines]
    return "\n".join("| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *body])


def main() -> None:
    """Print the table, and CPU seconds by phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=20, help="text, 10^6 bytes")
    found = measure(parser.parse_args().mb)
    print(table(found))
    for m in found:
        spent = ", ".join(f"{name} {seconds:.2f}" for name, seconds in m.phases.items() if seconds)
        print(f"\n{m.unit}, {m.engine}, CPU seconds: {spent}")


if __name__ == "__main__":
    main()
