"""The shuffle from shards to token shards: the same bytes however it is cut, in bounded memory."""

import tempfile
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.export import encoding, writing
from services.export.encoding import Encoding, encode_tasks, shards_of
from services.export.packing import ENTRIES
from services.export.sections import SectionWriter, frames, local_file, merge, read_section
from shared.dataset import DatasetManifest
from shared.step import load_registry
from shared.table_scope import TableScope

ROWS = [
    (f"crawl.jsonl:{i % 70}", f"https://e.org/{i}", f"text {i} 空格 " * (i % 9) or None)
    for i in range(90)  # some ids occur twice
]
SHARDS = [ROWS[i : i + 7] for i in range(0, 90, 7)]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("memory", "tasks"), [(2**26, 1), (2**26, 3), (2**12, 1), (2**12, 3), (2**17, 256), (8, 2)]
)
def test_neither_memory_nor_tasks_change_a_byte(
    scope_of, export, monkeypatch, temporary, memory, tasks
):
    expected = export(scope_of(SHARDS), partitions=3, vocab_size=300)
    pieces = []
    put_aside = Encoding._put_aside
    monkeypatch.setattr(Encoding, "_put_aside", lambda self: pieces.append(1) or put_aside(self))
    monkeypatch.setattr(encoding, "MOST_ENCODE_TASKS", tasks)
    scope = scope_of(SHARDS)
    scope.memory = memory
    found = export(scope, partitions=3, vocab_size=300)
    assert found == expected
    assert scope.units("encode") == min(tasks, len(SHARDS))
    assert (len(pieces) > scope.units("encode")) == (memory < 2**13)
    assert list(temporary.iterdir()) == []


def test_each_text_is_read_once_and_only_to_be_encoded(scope_of, export):
    scope = scope_of(SHARDS)
    read = {"tokenizer": [], "encode": []}
    rows = scope.rows

    def counting(columns, shards=None):
        for shard, table in rows(columns, shards):
            phase = "encode" if "url" in columns else "tokenizer"
            read[phase] += [(shard, row) for row in table["row"].to_pylist()]
            yield shard, table

    scope.rows = counting
    export(scope, partitions=5, vocab_size=300)
    everything = [(n, 3 * i) for n, rows in enumerate(SHARDS) for i in range(len(rows))]
    assert read == {"tokenizer": everything, "encode": everything}


def test_rows_may_come_in_any_number_of_tables(scope_of, export):
    expected = export(scope_of(SHARDS), partitions=2, vocab_size=300)
    for size in (1, 3, 1000):
        scope = scope_of(SHARDS)
        rows = scope.rows

        def cut(columns, shards=None, rows=rows, size=size):
            for shard, tables in groupby(rows(columns, shards), itemgetter(0)):
                table = pa.concat_tables([t for _, t in tables])
                for start in range(0, max(1, table.num_rows), size):
                    yield shard, table.slice(start, size)

        scope.rows = cut
        assert export(scope, partitions=2, vocab_size=300) == expected


@given(shards=st.integers(0, 2000))
def test_tasks_share_the_shards(shards):
    tasks = encode_tasks(shards)
    assert tasks == min(shards, 256)
    parts = [shards_of(task, tasks, shards) for task in range(tasks)]
    assert [shard for part in parts for shard in part] == list(range(shards))
    assert len({len(part) for part in parts}) <= 2


def entries_of(keys, source=0):
    count = len(keys)
    return pa.table(
        {
            "key": pa.array(keys, pa.uint64()),
            "document": pa.array([f"{source}:{i}" for i in range(count)], pa.string()),
            "shard": np.full(count, source, np.int32),
            "row": np.arange(count),
            "characters": np.zeros(count, np.int64),
            "tokens": pa.array([b"ab" * (i % 5) for i in range(count)], pa.large_binary()),
            "mask": pa.nulls(count, pa.large_binary()),
        },
        schema=ENTRIES,
    )


KEYS = st.lists(st.integers(0, 12) | st.just(2**64 - 1), max_size=20).map(sorted)


@given(sources=st.lists(KEYS, max_size=4), rows=st.integers(1, 6))
def test_sources_are_merged_by_key_then_by_source(sources, rows):
    def read(number):
        whole = entries_of(sources[number], number)
        yield from (whole.slice(at, rows) for at in range(0, whole.num_rows, rows))

    tables = [entries_of([]), *merge([read(number) for number in range(len(sources))])]
    found = pa.concat_tables(tables).select(["key", "shard", "row"]).to_pylist()
    expected = sorted(
        (key, number, row) for number, keys in enumerate(sources) for row, key in enumerate(keys)
    )
    assert [(e["key"], e["shard"], e["row"]) for e in found] == expected


def test_a_merge_holds_little_of_each_source():
    rng = np.random.default_rng(1)
    read, handed_on, most = 0, 0, 0

    def source(number):
        nonlocal read
        whole = entries_of(np.sort(rng.integers(0, 2**63, 4000)), number)
        for at in range(0, 4000, 50):
            read += 50
            yield whole.slice(at, 50)

    for table in merge([source(number) for number in range(8)]):
        most = max(most, read - handed_on)
        handed_on += table.num_rows
    assert handed_on == 8 * 4000
    assert most <= 8 * 2 * 50  # two tables of each


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=5), st.integers(1, 200))
def test_sections_come_back(sections, room):
    writer = SectionWriter(len(sections))
    try:
        for sizes in sections:
            writer.write(entries_of(range(size)) for size in sizes)
        assert writer.sections == len(sections)
        with writer.finish().open("rb") as file:
            for number, sizes in enumerate(sections):
                found = list(read_section(local_file(file), number, ENTRIES, room))
                assert found == [entries_of(range(size)) for size in sizes]
    finally:
        writer.remove()


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 700))
def test_frames_hold_everything_in_order_and_are_about_as_large_as_asked(sizes, room):
    tables = [entries_of(range(size), number) for number, size in enumerate(sizes)]
    found = list(frames(iter(tables), room))
    whole = pa.concat_tables([entries_of([]), *tables])
    assert pa.concat_tables([entries_of([]), *found]) == whole
    largest = 128 + 8
    assert all(128 * table.num_rows <= 2 * room + 2 * largest for table in found)


def test_the_index_is_written_in_row_groups(scope_of, export, monkeypatch, tmp_path):
    whole = export(scope_of(SHARDS), partitions=1, vocab_size=300)["index-00000.parquet"]
    monkeypatch.setattr(writing, "INDEX_ROWS", 40)
    scope = scope_of(SHARDS)
    scope.memory = 2**12
    cut = export(scope, partitions=1, vocab_size=300)["index-00000.parquet"]
    file = pq.ParquetFile(pa.BufferReader(cut))
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [40, 40, 10]
    assert file.read() == pq.read_table(pa.BufferReader(whole))


def test_a_failure_leaves_no_temporary_file(scope_of, export, monkeypatch, temporary):
    scope = scope_of(SHARDS)
    scope.memory = 2**12
    monkeypatch.setattr(encoding, "MOST_ENCODE_TASKS", 2)
    with monkeypatch.context() as broken:
        broken.setattr(encoding, "merge", lambda _sources: iter([None]))
        with pytest.raises(TypeError):
            export(scope, partitions=2, vocab_size=300)
    assert list(temporary.iterdir()) == []
    monkeypatch.setattr(writing, "merge", lambda _sources: iter([None]))
    with pytest.raises(TypeError):
        export(scope, partitions=2, vocab_size=300)
    assert list(temporary.iterdir()) == []


def test_a_batch_without_shards_is_an_empty_dataset():
    scope = TableScope([])
    scope.funnel = {"documents": 0, "kept": 0, "dropped": 0, "failed": 0, "stages": []}
    step = load_registry()["export.dataset_v1"]
    scope.run(step, step.params.model_validate({"partitions": 2}))
    manifest = DatasetManifest.model_validate_json(scope.file("manifest", "manifest.json"))
    assert (manifest.totals.documents, manifest.totals.tokens) == (0, 0)
    index = scope.file("write", "index-00001.parquet", 1)
    assert pq.read_table(pa.BufferReader(index)).num_rows == 0
