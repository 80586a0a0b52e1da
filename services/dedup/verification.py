"""Verification: candidate pairs are linked only where they are as similar as asked for.

MinHash finds candidates by chance: of pages that share half of their text, as those of one site
do, some share a band. Three phases read the texts of all candidates again:

    gather   one task a group of shards: texts of documents in components, a section a partition
    verify   one task a partition of the components: similarities of their candidate pairs
    settle   one task: clusters of the pairs that passed, and their keepers

Candidate pairs lie within a component, so partitions of components are independent. A task of
`verify` holds about 60 bytes a document and takes the components of its partition in several
passes where that is more than its memory; sets of shingles, sequences of words and pairs lie in
temporary files.

Candidates are stars: of the documents that share a band each is paired with the first only. That a
first one which is unlike the others hides nothing is seen to by `services.dedup.linking`.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from services.dedup.edges import VERIFIED_EDGES
from services.dedup.index.grouping import shards_of, sort_tasks
from services.dedup.linking import linked
from services.dedup.pairs import Candidates, Measured, Pairs, Thresholds
from services.dedup.ragged import Ragged
from services.dedup.sections import Section, SectionWriter
from services.dedup.shingles import ShingleParams, documents
from shared.errors import UsageError
from shared.index import ROW_BITS
from shared.scope import Scope
from shared.step import GroupOutput, Params

Int64Array = npt.NDArray[np.int64]

#: The file that `gather` leaves.
TEXTS: Final = "texts.sections"
#: Column of the cluster table that says which component a document is in.
COMPONENT: Final = "label"
#: Bytes that `verify` holds a document of a pass: place, component, root, where its set and its
#: sequence begin (8 each), their copies while they are put together, and a flag.
DOCUMENT_BYTES: Final = 96
#: Rows of a shard that are handed on at once.
_SLICE: Final = 1024


class Verification(Params):
    """Which candidate pairs are linked; at least one similarity is asked for.

    Lee et al. take 0.8 for both (specs 9.2).
    """

    jaccard: float | None = Field(default=0.8, gt=0, le=1)
    """Least Jaccard similarity of the sets of shingles that the signatures were made of."""

    edit: float | None = Field(default=None, gt=0, le=1)
    """Least edit similarity, 1 - distance / length of the longer, of the sequences of words (or
    whatever the shingles are made of)."""

    partitions: int = Field(default=16, ge=1, le=4096)
    """Tasks that the components are cut into."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.jaccard is None and self.edit is None:
            raise ValueError("verification asks for jaccard, edit or both")
        return self


def gather_tasks(params: Any, shards: int) -> int:
    """Tasks of `gather`; none where nothing is verified."""
    return sort_tasks(params, shards) if params.verify is not None else 0


def verify_tasks(params: Any, _shards: int) -> int:
    """Tasks of `verify`."""
    return int(params.verify.partitions) if params.verify is not None else 0


def settle_tasks(params: Any, _shards: int) -> int:
    """Tasks of `settle`."""
    return 0 if params.verify is None else 1


def gather(scope: Scope, unit: int, params: Any) -> GroupOutput:
    """The texts of documents in components, in a section for each partition of the components."""
    from services.dedup.kernels.jaccard import parts_of

    shards = len(scope.batch.shards)
    with SectionWriter(scope.memory // 4) as writer:
        for shard in shards_of(unit, gather_tasks(params, shards), shards):
            here = range(shard, shard + 1)
            known = [
                t.select(["row", COMPONENT]) for t in scope.keyed("cluster", here) if t.num_rows
            ]
            if not known:
                continue
            members = pa.concat_tables(known).sort_by("row")
            for _, rows in scope.rows(("text",), here):
                table = _texts_of(members, rows, shard)
                for begin in range(0, table.num_rows, _SLICE):
                    part = table.slice(begin, _SLICE)
                    components = _array(part, "component")
                    writer.add(part, parts_of(components, params.verify.partitions, 1))
        return GroupOutput(pa.table({}), {TEXTS: writer.finish()})


def _texts_of(members: pa.Table, rows: pa.Table, shard: int) -> pa.Table:
    """Those of a shard's members (ascending) that are among some of its rows, with their texts."""
    known, wanted = _array(rows, "row"), _array(members, "row")
    first, last = np.searchsorted(wanted, known[[0, -1]] + [0, 1]) if len(known) else (0, 0)
    here = members.slice(int(first), int(last - first))
    at = np.searchsorted(known, _array(here, "row"))
    return pa.table(
        {
            "place": (shard << ROW_BITS) | _array(here, "row"),
            "component": _array(here, COMPONENT),
            "text": rows.column("text").take(pa.array(at)).cast(pa.large_string()),
        }
    )


def verify(scope: Scope, partition: int, params: Any) -> GroupOutput:
    """The candidate pairs of a partition that pass, and how many do not."""
    counts: Counter[str] = Counter(pairs=0, refuted_jaccard=0, refuted_edit=0, recovered=0)
    batches = _verify(scope, partition, params, counts)
    return GroupOutput(pa.RecordBatchReader.from_batches(VERIFIED_EDGES, batches), counts=counts)


def settle(scope: Scope, _partition: int, params: Any, *, length: str) -> GroupOutput:
    """Clusters of the pairs that passed: what `cluster` makes of those that were not verified."""
    from services.dedup.clusters import clusters_of

    def measured(shared: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """No estimate: every edge has its similarity."""
        return np.full(len(shared), np.nan)

    return clusters_of(scope, scope.tables("verify"), params, length=length, estimate=measured)


def _verify(
    scope: Scope, partition: int, params: Any, counts: Counter[str]
) -> Iterator[pa.RecordBatch]:
    asked: Verification = params.verify
    sections = [
        Section(scope.opened("gather", TEXTS, unit), partition)
        for unit in range(scope.units("gather"))
    ]
    rows = sum(section.rows for section in sections)
    passes = max(1, -(-rows * DOCUMENT_BYTES // (scope.memory // 4)))
    shingles = shingle_params(scope, params)
    least = Thresholds(asked.jaccard, asked.edit)
    for number in range(passes if rows else 0):
        with ExitStack() as stack:
            texts = _texts_of_pass(sections, asked.partitions, number, passes)
            candidates = _candidates(texts, shingles, stack, edit=asked.edit is not None)
            for measured in linked(
                candidates, _edges(scope, candidates), least, scope.memory // 4, counts
            ):
                yield _batch(candidates, measured)


def _texts_of_pass(
    sections: list[Section], partitions: int, number: int, passes: int
) -> Iterator[pa.Table]:
    """The rows of the components of a pass, in the order of their places."""
    from services.dedup.kernels.jaccard import parts_of

    for section in sections:
        for table in section.tables():
            mine = parts_of(_array(table, "component"), passes, partitions) == number
            yield table.filter(pa.array(mine))


def _candidates(
    texts: Iterator[pa.Table], params: ShingleParams, stack: ExitStack, *, edit: bool
) -> Candidates:
    """Sets of shingles, and with `edit` sequences of units, in temporary files."""
    from services.dedup.kernels.shingle_sets import shingle_sets, unit_sequences

    places, components = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    sets = stack.enter_context(Ragged())
    sequences = stack.enter_context(Ragged()) if edit else None
    for table in texts:
        places.append(_array(table, "place"))
        components.append(_array(table, "component"))
        for begin in range(0, table.num_rows, _SLICE):
            units = documents(table.column("text").slice(begin, _SLICE), params)
            sets.append(*shingle_sets(units))
            if sequences is not None:
                sequences.append(*unit_sequences(units))
    sets.finish()
    if sequences is not None:
        sequences.finish()
    return Candidates(np.concatenate(places), np.concatenate(components), sets, sequences)


def _edges(scope: Scope, candidates: Candidates) -> Iterator[Pairs]:
    """The candidate pairs of these documents."""
    for phase in ("sort", "match"):
        for table in scope.tables(phase):
            left, found = _numbers(candidates, _array(table, "left"))
            right, also = _numbers(candidates, _array(table, "right"))
            both = found & also
            yield Pairs(left[both], right[both], np.asarray(table.column("shared"), np.int32)[both])


def _numbers(
    candidates: Candidates, places: Int64Array
) -> tuple[Int64Array, npt.NDArray[np.bool_]]:
    """Numbers of the documents at some places, and which of these are theirs."""
    if not len(candidates.places):
        return np.zeros(len(places), np.int64), np.zeros(len(places), np.bool_)
    at = np.minimum(np.searchsorted(candidates.places, places), len(candidates.places) - 1)
    return at, candidates.places[at] == places


def _batch(candidates: Candidates, measured: Measured) -> pa.RecordBatch:
    """The pairs that passed as rows of `VERIFIED_EDGES`."""
    passed = measured.passed
    pairs = measured.pairs.take(passed)
    edit = measured.edit[passed]
    arrays = [
        pa.array(candidates.places[pairs.left]),
        pa.array(candidates.places[pairs.right]),
        pa.array(pairs.shared),
        pa.array(measured.jaccard[passed], pa.float32()),
        pa.array(edit, pa.float32(), mask=np.isnan(edit)),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=VERIFIED_EDGES)


def shingle_params(scope: Scope, params: Any) -> ShingleParams:
    """How the step that made the signatures cuts texts into shingles."""
    steps = scope.recipe.steps
    for bound in steps:
        if bound.params == params and "bands" in bound.inputs:
            made = steps[bound.inputs["bands"]].params
            if isinstance(made, ShingleParams):
                return made
    raise UsageError("verify: the bands are not those of dedup.minhash_v1", field="verify")


def _array(table: pa.Table, name: str) -> Int64Array:
    return np.asarray(table.column(name), np.int64)
