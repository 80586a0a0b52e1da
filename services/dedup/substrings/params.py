"""Parameters of substring duplicates, their columns, and the tables that phases leave.

A window is `length` consecutive units of one document. It is duplicated where an equal window
stands at another position of its group: in another document, or elsewhere in the same one, even
overlapping. A marked window is a duplicated one that is not kept; a span is a maximal union of
marked windows.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from services.dedup.index.grouping import merge_tasks, sort_tasks
from services.dedup.within import Within
from shared.index import ROW_BITS
from shared.resources import Resource
from shared.schema import EDITS_TYPE, SPANS_TYPE, Column
from shared.step import Params
from shared.text.bpe import GPT2

if TYPE_CHECKING:
    from services.dedup.substrings.ordering import Positions

Int64Array = npt.NDArray[np.int64]

#: What every phase leaves for a join: `count` marked windows in a row, from unit `start`.
MARKS: Final = pa.schema(
    [("shard", pa.int32()), ("row", pa.int64()), ("start", pa.int32()), ("count", pa.int32())]
)
#: Grams whose fingerprint occurs more than once: unit `at` of a document.
POSITIONS: Final = pa.schema([("shard", pa.int32()), ("row", pa.int64()), ("at", pa.uint32())])
#: Rows handed on at once: several row groups.
BATCH_ROWS: Final = 65536

COLUMNS: Final = (
    Column("edits", EDITS_TYPE, "spans that occur elsewhere, cut; none in mode mark"),
    Column("spans", SPANS_TYPE, "spans that occur elsewhere", "bytes of the text that is read"),
    Column("spans_count", pa.int32(), "spans that occur elsewhere", "spans"),
    Column("duplicate_characters", pa.int64(), "characters within spans", "characters"),
    Column("remaining_characters", pa.int64(), "characters outside of spans", "characters"),
    Column("duplicate_frac", pa.float64(), "characters within spans", "share of the characters"),
)


class SubstringParams(Params):
    """Which spans count as duplicates, which copy stays, and how they are found.

    The variants of RefinedWeb (specs 1.8) are a mode and a keep rule: CUT is `mode: cut` with
    `remaining_characters >= 20 if spans_count > 0`, MASK is `mode: mark`, DROPPARTIAL is `mode:
    mark` with `duplicate_frac <= 0.20`, DROPANY `mode: mark` with `spans_count == 0`.
    """

    unit: Literal["tokens", "bytes"]
    """Unit of `length`; to be said, since 50 bytes are four times shorter than 50 tokens."""

    tokenizer: Resource | None = None
    """What makes tokens (`shared.text.bpe`): GPT-2's where none is named, as RefinedWeb's."""

    length: int = Field(default=50, ge=2, le=65536)
    """Units of a window (Lee et al.: 50 tokens; MAP-Neo: 50 characters)."""

    keep: Literal["none", "first"] = "none"
    """`none`: every copy is marked, as by Lee et al.'s released tool; `first`: all but the first
    in the order of the batch, as in their paper (specs 17, item 10)."""

    mode: Literal["cut", "mark"] = "cut"
    """Whether the spans leave the text, or are only told."""

    engine: Literal["fingerprints", "suffix_array"] = "fingerprints"
    """Both give the same spans. `suffix_array` holds all text of a group in memory."""

    within: Within = "all"
    """Only documents of one crawl, or of one part of all crawls, are compared."""

    parts: int = Field(default=100, ge=1, le=65536)
    """How many parts the archives are cut into, by a hash of their names (specs 1.7)."""

    partitions: int = Field(default=16, ge=1, le=4096)
    """Tasks of matching; with `suffix_array`, tasks that the groups are shared among."""

    @model_validator(mode="before")
    @classmethod
    def _tokenizer(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("tokenizer") is not None:
            return value
        return {**value, "tokenizer": GPT2} if value.get("unit") == "tokens" else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.unit == "bytes" and self.tokenizer is not None:
            raise ValueError("bytes need no tokenizer")
        return self

    @property
    def gram(self) -> int:
        """Units of a gram that is fingerprinted.

        Short grams are rarer among the selected but repeat more often without their window.
        """
        return max(1, self.length // 2)

    @property
    def grams(self) -> int:
        """Grams of a window, one of which is selected."""
        return self.length - self.gram + 1


def shard_tasks(params: SubstringParams, shards: int) -> int:
    """Tasks of the phases that read groups of shards."""
    return sort_tasks(params, shards) if params.engine == "fingerprints" else 0


def run_merge_tasks(params: SubstringParams, shards: int) -> int:
    """Tasks of the phases that merge runs."""
    return merge_tasks(params, shards) if params.engine == "fingerprints" else 0


def key_tasks(params: SubstringParams, _shards: int) -> int:
    """Tasks of the phases that match a range of keys each."""
    return params.partitions if params.engine == "fingerprints" else 0


def suffix_tasks(params: SubstringParams, shards: int) -> int:
    """Tasks of suffix arrays: one where there is one group, else the groups are shared out."""
    if params.engine != "suffix_array":
        return 0
    return 1 if params.within == "all" else max(1, min(shards, params.partitions))


def stream(schema: pa.Schema, tables: Iterable[pa.Table]) -> pa.RecordBatchReader:
    """Tables as a reader of batches of bounded size."""

    def batches() -> Iterator[pa.RecordBatch]:
        for table in tables:
            yield from table.to_batches(max_chunksize=BATCH_ROWS)

    return pa.RecordBatchReader.from_batches(schema, batches())


def positions_table(positions: "Positions") -> pa.Table:
    """Places and units as a table of POSITIONS."""
    shards, rows = _split(positions.places)
    return pa.table([shards, rows, pa.array(positions.at, pa.uint32())], schema=POSITIONS)


def marks_table(positions: "Positions") -> pa.Table:
    """Starts of marked windows, sorted and each once, as a table of MARKS."""
    if len(positions.places) == 0:
        return MARKS.empty_table()
    at = positions.at.astype(np.int64)
    begins = np.ones(len(at), np.bool_)
    begins[1:] = (positions.places[1:] != positions.places[:-1]) | (at[1:] != at[:-1] + 1)
    first = np.flatnonzero(begins)
    counts = np.diff(np.append(first, len(at)))
    return ranges_table(positions.places[first], at[first], counts)


def ranges_table(places: Int64Array, starts: Int64Array, counts: Int64Array) -> pa.Table:
    """Ranges of windows as a table of MARKS."""
    shards, rows = _split(places)
    numbers = [pa.array(values, pa.int64()).cast(pa.int32()) for values in (starts, counts)]
    return pa.table([shards, rows, *numbers], schema=MARKS)


def _split(places: Int64Array) -> tuple[pa.Array, pa.Array]:
    shards = pa.array(places >> ROW_BITS, pa.int64()).cast(pa.int32())
    return shards, pa.array(places & ((1 << ROW_BITS) - 1), pa.int64())
