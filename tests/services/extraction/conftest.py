"""Archives as bytes, read as the runner reads them."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from services.extraction.memory import forget
from services.extraction.steps.records_v1 import RecordsParams, records_v1
from shared.schema import SPINE, arrow_schema
from shared.shards import ShardReader

SCHEMA = arrow_schema(SPINE, transient=True)


@dataclass
class Reading:
    """What a shard gave."""

    table: pa.Table
    records: Counter[str]

    @property
    def rows(self) -> list[dict]:
        return self.table.to_pylist()

    @property
    def payloads(self) -> list[bytes | None]:
        return self.table["payload"].to_pylist()

    @property
    def errors(self) -> list[str]:
        return [e for e in self.table["error"].to_pylist() if e is not None]


@pytest.fixture(autouse=True)
def _fresh_worker():
    """No test sees what another has made the extraction remember."""
    forget()


Read = Callable[..., Reading]


@pytest.fixture(scope="session")
def read() -> Read:
    """Read bytes [start, end) of an archive; parameters of the step by name."""

    def run(data: bytes, name="a.warc.gz", start=0, end=None, **params) -> Reading:
        reader = ShardReader(
            archive=name,
            size=len(data),
            start=start,
            end=len(data) if end is None else end,
            read=lambda offset, length: data[offset : offset + length],
        )
        tables = list(records_v1(reader, RecordsParams(**params)))
        assert all(t.schema == SCHEMA for t in tables)
        reading = Reading(pa.concat_tables(tables or [SCHEMA.empty_table()]), reader.records)
        kinds = ("response", "resource", "conversion", "revisit", "line", "row")
        counted = sum(reader.records[k] for k in (*kinds, "damaged", "garbage"))
        assert reading.table.num_rows == counted
        assert len(set(reading.table["document"].to_pylist())) == counted
        return reading

    return run


@pytest.fixture(scope="session")
def open_mini(request) -> Path:
    """The small archive of real pages; skips where it is absent."""
    root = request.config.rootpath.parent / "shared" / "data"
    folder = Path(os.environ.get("CORPUSMILL_TEST_DATA", root))
    path = folder / "warc" / "open" / "open-mini.warc.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set CORPUSMILL_TEST_DATA to the folder of the test data")
    return path
