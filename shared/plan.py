"""What can run now: a pure function of the pipeline and of what is committed.

Planning is level-triggered: nobody remembers what was sent. A task that was lost, in a queue that
was emptied or a worker that died, is simply planned again at the next look.
"""

from collections.abc import Iterator, Mapping, Set

from shared.ref import TaskRef
from shared.stages import Pipeline, Stage


def runnable(
    pipeline: Pipeline,
    committed: Mapping[int, Set[str]],
    blocked: Set[int] = frozenset(),
    full: Set[str] = frozenset(),
) -> Iterator[TaskRef]:
    """The tasks whose inputs are committed and that are not committed themselves.

    `committed` maps a stage's index to the units that have a receipt. A stage of rows after a
    stage of rows waits for its own shard only; everything else waits for the whole stage before.
    Stages in `blocked` wait for other batches (`shared.indexes`). Later stages come first, so that
    documents leave the line before new ones enter it. Services in `full` are left out; the set may
    grow meanwhile, so that nobody goes through a hundred thousand tasks that nobody can send.
    """
    for stage in reversed(pipeline.stages):
        if stage.index in blocked or stage.service in full:
            continue
        done = committed.get(stage.index, frozenset())
        previous = stage_before(pipeline, stage)
        ready: Set[str] | None = None  # all of them
        if previous is not None and previous.phase is None and stage.phase is None:
            ready = committed.get(previous.index, frozenset())
        elif previous is not None and not _complete(pipeline, previous, committed):
            continue
        for unit in pipeline.units(stage):
            if unit not in done and (ready is None or unit in ready):
                if stage.service in full:
                    break
                yield TaskRef(batch=pipeline.batch.id, stage=stage.index, unit=unit)


def stage_before(pipeline: Pipeline, stage: Stage) -> Stage | None:
    """The stage that this one waits for: the last before it that has tasks."""
    return next((s for s in reversed(pipeline.stages[: stage.index]) if pipeline.tasks(s)), None)


def _complete(pipeline: Pipeline, stage: Stage, committed: Mapping[int, Set[str]]) -> bool:
    done = committed.get(stage.index, frozenset())
    # The number says it for most stages without a look at each unit.
    return len(done) >= pipeline.tasks(stage) and done >= pipeline.unit_set(stage)


def finished(pipeline: Pipeline, committed: Mapping[int, Set[str]]) -> bool:
    """Whether every task of every stage is committed."""
    return all(_complete(pipeline, stage, committed) for stage in pipeline.stages)


def runnable_after(pipeline: Pipeline, ref: TaskRef) -> list[TaskRef]:
    """What a commit makes runnable without looking at anything else: the shard's next stage."""
    following = ref.stage + 1
    if following == len(pipeline.stages):
        return []
    if pipeline.stages[ref.stage].phase or pipeline.stages[following].phase:
        return []
    return [TaskRef(batch=ref.batch, stage=following, unit=ref.unit)]
