"""Phases of the distributed engine up to candidates: grams whose fingerprint occurs again.

    select      one task a group of shards: winnowed fingerprints of its documents, sorted runs
    merge       only where there are many select tasks (`services.dedup.index.grouping`)
    candidates  one task a range of fingerprints: those that occur again

A run has one entry of each fingerprint: what repeats within it is a candidate at once. So a
fingerprint that a million equal documents share costs a million positions, and one entry a run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.dedup.index.grouping import run_name, shards_of, sorted_pieces
from services.dedup.index.run import (
    Entries,
    Run,
    partition_range,
    same_as_before,
    windows,
    write_run,
)
from services.dedup.substrings.ordering import PositionSorter, sorted_once
from services.dedup.substrings.params import (
    POSITIONS,
    SubstringParams,
    positions_table,
    shard_tasks,
    stream,
)
from services.dedup.substrings.units import Documents, Units, documents, units_of
from shared.scope import Scope
from shared.step import GroupOutput

if TYPE_CHECKING:
    from services.dedup.kernels.substrings import Selected

BoolArray = npt.NDArray[np.bool_]

#: Bytes that a byte of text may take while it is read and its grams or windows are hashed.
TEXT_BYTES = 64


def text_at_once(scope: Scope) -> int:
    """Bytes of text that are hashed at once: a quarter of the memory."""
    return max(4096, scope.memory // (4 * TEXT_BYTES))


def selected(units: Units, salt: np.uint64, params: SubstringParams) -> "Selected":
    """The selected grams of documents in order."""
    from services.dedup.kernels.substrings import Selected, select_all

    room = int(np.maximum(units.ends - units.begins - params.length + 1, 0).sum())
    out = Selected(
        np.empty(room, np.int64),
        np.empty(room, np.uint32),
        np.empty(room, np.uint32),
        np.empty(room, np.uint32),
        np.empty(room, np.uint64),
    )
    count = select_all(units.values, units.begins, units.ends, params.gram, params.grams, salt, out)
    return Selected._make(column[:count] for column in out)


def select(scope: Scope, partition: int, params: SubstringParams) -> GroupOutput:
    """Runs of the fingerprints of a group of shards; the table has what repeats within a run."""
    shards = shards_of_task(scope, partition, params)
    files: dict[str, bytes | Path] = {}

    def repeats() -> Iterator[pa.Table]:
        parts = documents(scope, params, shards, text_at_once(scope))
        entries = (_fingerprints(part, params) for part in parts)
        for piece in sorted_pieces(entries, scope.memory // 2):
            later = same_as_before(piece.keys)
            again = in_groups(later)
            files[run_name(len(files))] = write_run(piece.take(~later))
            yield positions_table(sorted_once(piece.places[again], piece.columns["at"][again]))

    return GroupOutput(stream(POSITIONS, repeats()), files)


def shards_of_task(scope: Scope, partition: int, params: SubstringParams) -> range:
    """The shards that a task of `select` or `windows` reads."""
    shards = len(scope.batch.shards)
    return shards_of(partition, shard_tasks(params, shards), shards)


def _fingerprints(part: Documents, params: SubstringParams) -> Entries:
    """The fingerprints of some documents, in the order of their places."""
    found = selected(units_of(part.texts, params), part.salt, params)
    return Entries(found.fingerprint, part.places[found.row], {"at": found.at})


def candidates(scope: Scope, partition: int, params: SubstringParams) -> GroupOutput:
    """The positions of fingerprints of a range that several runs hold."""
    sorter = PositionSorter(scope.memory // 2)
    low, high = partition_range(partition, params.partitions)
    for window in windows(own_runs(scope, "select", "merge"), low, high, scope.memory // 2):
        again = in_groups(same_as_before(window.keys))
        sorter.add(window.places[again], window.columns["at"][again])
    parts = (positions_table(part) for part in sorter.sorted_parts())
    return GroupOutput(stream(POSITIONS, parts))


def in_groups(later: BoolArray) -> BoolArray:
    """Which of sorted entries equal the one before or after them, from which equal the former."""
    again = later.copy()
    again[:-1] |= later[1:]
    return again


def own_runs(scope: Scope, phase: str, merged: str) -> list[Run]:
    """The runs of a phase, or of those that merged them, in the order of their places."""
    last = merged if scope.units(merged) else phase
    return [
        Run(scope.opened(last, name, task))
        for task in range(scope.units(last))
        for name in scope.files(last, task)
    ]
