"""What a phase of a group step sees: the kept rows of all shards, and earlier phases' outputs."""

from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa

from shared.recipe import ResolvedRecipe
from shared.shards import Batch


class Scope(Protocol):
    """All shards of a batch up to a group step."""

    batch: Batch
    recipe: ResolvedRecipe
    #: For a sink: the id of the dataset, the folder of its files.
    output_id: str

    def rows(self, columns: tuple[str, ...]) -> Iterator[tuple[int, pa.Table]]:
        """For each shard in order: its position in the batch, and the rows still kept.

        The tables have `row` (int64, position in the shard's spine), then the named columns.
        "text" is the text after all edits before this step.
        """

    def table(self, phase: str, partition: int = 0) -> pa.Table:
        """The committed table of an earlier phase of the same step."""

    def tables(self, phase: str) -> Iterator[pa.Table]:
        """All partitions of an earlier phase, in order."""

    def file(self, phase: str, name: str, partition: int = 0) -> bytes:
        """A file that an earlier phase left."""

    def describe(self) -> dict[str, Any]:
        """The batch's funnel up to this step, for cards and manifests."""
