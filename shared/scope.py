"""What a phase of a group step sees: the kept rows of all shards, and earlier phases' outputs."""

from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa

from shared.index import IndexView
from shared.ranges import ObjectReader
from shared.recipe import ResolvedRecipe
from shared.shards import Batch


class Scope(Protocol):
    """All shards of a batch up to a group step."""

    batch: Batch
    recipe: ResolvedRecipe
    #: For a sink: the id of the dataset, the folder of its files.
    output_id: str
    #: Bytes that a task's arrays may take together (the setting `dedup_memory`).
    memory: int

    def rows(
        self, columns: tuple[str, ...], shards: range | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """For each shard in order (of a range, or all): its position, and the rows still kept.

        A shard comes as one table or several, of following rows, one of them empty where it has no
        row.
        The tables have `row` (int64, position in the shard's spine), then the named columns.
        "text" is the text after all edits before this step; spans that are read beside it are
        spans of that text.
        """

    def units(self, phase: str) -> int:
        """How many partitions an earlier phase of the same step has."""

    def table(self, phase: str, partition: int = 0) -> pa.Table:
        """The committed table of an earlier phase of the same step."""

    def tables(self, phase: str) -> Iterator[pa.Table]:
        """The tables of all partitions of an earlier phase in order, some rows at a time."""

    def keyed(self, phase: str, shards: range) -> Iterator[pa.Table]:
        """Of every partition of an earlier phase the rows of some shards.

        The phase's tables have `shard` (int32) and are sorted by it.
        """

    def files(self, phase: str, partition: int = 0) -> list[str]:
        """Names of the files that an earlier phase left, sorted."""

    def file(self, phase: str, name: str, partition: int = 0) -> bytes:
        """A file that an earlier phase left."""

    def opened(self, phase: str, name: str, partition: int = 0) -> ObjectReader:
        """The same, to be read by ranges."""

    def index(self, name: str) -> IndexView:
        """What earlier batches left under an index that this batch has joined."""

    def describe(self) -> dict[str, Any]:
        """The batch's funnel up to this step."""
