"""Members of indexes: whether their runs are there, whether their batch has ended, and who waits.

A batch may match once all earlier members have sorted, and may decide clusters once all earlier
members have: who stays there is followed here.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from shared.columns import committed_units, read_receipt
from shared.errors import NotFoundError, TransientError, UsageError
from shared.indexes.joining import index_steps
from shared.indexes.log import DATA, Drop, Join, Member, history, read_log
from shared.plan import stage_before
from shared.recipe import BoundStep
from shared.shards import Batch
from shared.stages import Pipeline, Stage, compile_batch
from shared.store import Store

#: The phases whose runs are a batch's part of an index.
RUN_PHASES = ("sort", "merge")
#: The phase that says which documents stay.
CLUSTER_PHASE = "cluster"


@dataclass(frozen=True)
class Wait:
    """A stage that may not start before an earlier batch has done its own."""

    stage: int
    index: str
    batch: str


@lru_cache(maxsize=64)
def member_pipeline(store: Store, batch: str) -> Pipeline:
    """A member's batch, compiled; its record is immutable."""
    return compile_batch(Batch.model_validate(store.get_json(f"batches/{batch}/batch.json")))


def phase_stages(pipeline: Pipeline, index: str, phases: Iterable[str]) -> list[Stage]:
    """The stages of some phases of the step that joined an index."""
    bound = index_steps(pipeline.recipe)[index]
    chosen = set(phases)
    return [
        s
        for s in pipeline.stages
        if s.phase is not None and s.steps[0] is bound and s.phase.name in chosen
    ]


def run_stages(store: Store, index: str, member: Member) -> list[Stage]:
    """The stages that leave a member's runs."""
    return phase_stages(member_pipeline(store, member.batch), index, RUN_PHASES)


def committed(store: Store, pipeline: Pipeline, stages: Iterable[Stage]) -> bool:
    """Whether all tasks of some stages are committed."""
    return all(committed_units(store, s.folder) >= set(pipeline.units(s)) for s in stages)


def ready(store: Store, index: str, member: Member, phases: tuple[str, ...] = RUN_PHASES) -> bool:
    """Whether a member has committed some phases of its step."""
    if has_finished(store, member.batch) and not rebuilding(store, index):
        return True
    try:
        pipeline = member_pipeline(store, member.batch)
    except NotFoundError:  # it has joined, and its record is not written yet
        return False
    return committed(store, pipeline, phase_stages(pipeline, index, phases))


@lru_cache(maxsize=8)
def _finished(_store: Store) -> set[str]:
    """Batches that were seen finished; they stay so."""
    return set()


def end_of(store: Store, batch: str) -> str | None:
    """How a batch has ended (a deleted one as well); None while it goes on."""
    try:
        state = str(store.get_json(f"batches/{batch}/end.json")["state"])
    except NotFoundError:
        names = ("batch.json", "submitted.json")
        there = any(store.exists(f"batches/{batch}/{name}") for name in names)
        return None if there else "deleted"
    if state == "finished":
        _finished(store).add(batch)
    return state


def has_finished(store: Store, batch: str) -> bool:
    """Whether a batch has ended well."""
    return batch in _finished(store) or end_of(store, batch) == "finished"


def unfinished(store: Store, events: Mapping[int, Join | Drop], index: str) -> list[Member]:
    """Members, dropped ones too, whose batches go on: they read the index."""
    told = history(events, index)
    everybody = sorted((*told.members, *told.dropped), key=lambda m: m.ordinal)
    return [
        m for m in everybody if m.batch not in _finished(store) and end_of(store, m.batch) is None
    ]


def rebuilding(store: Store, index: str) -> bool:
    """Whether missing runs are being computed again."""
    return store.exists(f"{DATA}{index}/rebuild.json")


def earlier_members(store: Store, batch: Batch, index: str) -> tuple[Member, ...]:
    """The batches that a batch sees in an index.

    One that was dropped before it could be read is not among them. UsageError where the batch has
    not joined, or one that it may have read is gone.
    """
    if index not in batch.indexes:
        raise UsageError(f"batch {batch.id} has not joined the index {index}")
    events = read_log(store)
    now = history(events, index)
    if batch.id not in {m.batch for m in (*now.members, *now.dropped)}:
        raise UsageError(
            f"the index {index} was dropped after batch {batch.id} joined it; submit it again"
        )
    live = {m.batch for m in now.members}
    gone = {m.batch for m in now.dropped if m.readable}
    before = history(events, index, batch.indexes[index].ordinal).members
    for member in before:
        if member.batch in gone:
            raise UsageError(
                f"batch {member.batch} was dropped from the index {index} after batch {batch.id} "
                "joined it; submit it again"
            )
    return tuple(m for m in before if m.batch in live)


def waits(store: Store, pipeline: Pipeline, done: Mapping[int, Set[str]]) -> list[Wait]:
    """What the next stages of a batch wait for, in order; `done`: stages' committed units."""
    found: list[Wait] = []
    for index, bound in index_steps(pipeline.recipe).items():
        if index not in pipeline.batch.indexes:
            continue
        for stage, phases in _readers(pipeline, bound):
            before = stage_before(pipeline, stage)
            assert before is not None
            if not _all_done(pipeline, before, done) or _all_done(pipeline, stage, done):
                continue
            try:
                members = earlier_members(store, pipeline.batch, index)
            except UsageError:  # the task itself fails of it, and says why
                continue
            found += [
                Wait(stage.index, index, member.batch)
                for member in members
                if not ready(store, index, member, phases)
            ]
    return found


def _readers(pipeline: Pipeline, bound: BoundStep) -> list[tuple[Stage, tuple[str, ...]]]:
    """A step's stages that read earlier members, with the phases that those must have done."""
    names = [p.name for p in bound.step.phases]
    cluster = names.index(CLUSTER_PHASE) if CLUSTER_PHASE in names else len(names)
    return [
        (stage, RUN_PHASES if names.index(stage.phase.name) < cluster else (CLUSTER_PHASE,))
        for stage in pipeline.stages
        if stage.phase is not None
        and stage.steps[0] is bound
        and stage.phase.name not in RUN_PHASES
    ]


def _all_done(pipeline: Pipeline, stage: Stage, done: Mapping[int, Set[str]]) -> bool:
    return done.get(stage.index, frozenset()) >= set(pipeline.units(stage))


def run_files(store: Store, index: str, member: Member) -> list[str]:
    """Keys of the runs that a member leaves: those of `merge`, or of `sort` without merges."""
    pipeline = member_pipeline(store, member.batch)
    stages = [s for s in run_stages(store, index, member) if s.partitions]
    if not stages:
        return []
    files: list[str] = []
    for unit in pipeline.units(stages[-1]):
        receipt = read_receipt(store, stages[-1].folder, unit)
        if receipt is None:
            raise TransientError(f"batch {member.batch} has not sorted for the index {index} yet")
        files += [receipt["files"][name] for name in sorted(receipt["files"])]
    return files
