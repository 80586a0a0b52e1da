"""A resolved recipe and its shards, compiled into what the queue works on.

Neighbouring row steps of one service form one stage: one task a shard, over one read of the text.
Each phase of a group step is a stage of its own, one task a partition; its join, being
row-aligned, opens the next stage of rows. Stages form a chain.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache

from shared.recipe import BoundStep, Recipe, ResolvedRecipe, digest, find_column, resolve
from shared.shards import Batch, Shard
from shared.step import Phase, load_registry


@dataclass(frozen=True)
class Stage:
    """Part of a recipe that runs as one task a unit.

    `steps` are the row-aligned steps in order (a group step among them stands for its join);
    for a phase, `steps` holds the group step alone and `phase` is set. `fingerprint` covers all
    that decides the stage's result, its own keep rules included.
    """

    index: int
    service: str
    steps: tuple[BoundStep, ...]
    phase: Phase | None
    partitions: int
    fingerprint: str

    @property
    def name(self) -> str:
        """For people: the service, or the group step and its phase."""
        if self.phase is not None:
            return f"{self.steps[0].step.name}.{self.phase.name}"
        return "+".join(s.step.short for s in self.steps)

    @property
    def folder(self) -> str:
        """Where the stage's receipts lie."""
        if self.phase is not None:
            return f"columns/{self.steps[0].step.name}.{self.phase.name}-{self.fingerprint}/"
        return f"verdicts/{self.fingerprint}/"

    @property
    def rule_names(self) -> list[str]:
        """Rules that can drop a document here, in order."""
        return [] if self.phase else [name for s in self.steps for name in s.rule_names]


@dataclass(frozen=True)
class Pipeline:
    """The stages of a batch, and where each step's columns lie."""

    batch: Batch
    recipe: ResolvedRecipe
    stages: tuple[Stage, ...]

    @cached_property
    def _first_group(self) -> int:
        groups = [b.position for b in self.recipe.steps if b.step.phases]
        return min(groups, default=len(self.recipe.steps))

    def column_folder(self, bound: BoundStep) -> str:
        """Folder of a row-aligned step's columns.

        From the first group step on, what a row gets depends on the other shards of the batch.
        """
        fingerprint = bound.fingerprint
        if bound.position >= self._first_group:
            fingerprint = digest([fingerprint, self.batch.scope])
        return f"columns/{bound.step.name}-{fingerprint}/"

    def units(self, stage: Stage) -> Sequence[str]:
        """Ids of the stage's tasks: shards, or partitions."""
        if stage.phase is None:
            return self._shard_ids
        return [partition_unit(p) for p in range(stage.partitions)]

    def unit_set(self, stage: Stage) -> Set[str]:
        """The same, to look up."""
        return self.shard_by_id.keys() if stage.phase is None else set(self.units(stage))

    def tasks(self, stage: Stage) -> int:
        """How many there are."""
        return len(self._shard_ids) if stage.phase is None else stage.partitions

    @cached_property
    def _shard_ids(self) -> tuple[str, ...]:
        return tuple(self.shard_by_id)

    @cached_property
    def shard_by_id(self) -> dict[str, Shard]:
        """The batch's shards by id."""
        return {s.id: s for s in self.batch.shards}

    def rows_before(self, stage: Stage) -> Stage | None:
        """The last stage of rows before this one: its verdicts say what is still kept."""
        earlier = [s for s in self.stages[: stage.index] if s.phase is None]
        return earlier[-1] if earlier else None

    @property
    def last_rows(self) -> Stage:
        """The stage whose verdicts are final."""
        return [s for s in self.stages if s.phase is None][-1]

    def phase_stage(self, bound: BoundStep, phase: str) -> Stage:
        """The stage of a group step's phase."""
        for stage in self.stages:
            if stage.phase and stage.steps[0] is bound and stage.phase.name == phase:
                return stage
        raise KeyError(f"{bound.step.name} has no phase {phase}")

    def sink_id(self, bound: BoundStep) -> str:
        """Id of what a sink writes, the same for the same sources and recipe."""
        return f"{self.recipe.recipe.name}-{digest([bound.fingerprint, self.batch.scope])}"

    @property
    def datasets(self) -> list[str]:
        """Ids of the datasets that the batch writes."""
        return [self.sink_id(b) for b in self.recipe.steps if b.step.sink == "datasets"]

    def provider(self, column: str) -> BoundStep | None:
        """The last step that declares a column."""
        for bound in reversed(self.recipe.steps):
            if find_column(column, bound.step) is not None and not bound.step.phases:
                return bound
        return None

    @property
    def characters(self) -> BoundStep | None:
        """The step whose `characters` the accounts count: the one that gives the main text.

        Other steps may have a column of that name, of the text after edits or of some lines.
        """
        bound = self.provider("text")
        return bound if bound and find_column("characters", bound.step) else None


def partition_unit(partition: int) -> str:
    """Id of a partition as a unit of work."""
    return f"p{partition:05d}"


def compile_batch(batch: Batch) -> Pipeline:
    """The pipeline of a batch; UsageError where its recipe does not resolve."""
    resolved = _resolved(batch.recipe.model_dump_json(), len(load_registry()))
    stages: list[Stage] = []
    open_rows: list[BoundStep] = []

    def close() -> None:
        if open_rows:
            stages.append(_rows_stage(len(stages), tuple(open_rows), stages, batch))
            open_rows.clear()

    for bound in resolved.steps:
        if bound.step.phases:
            close()
            for phase in bound.step.phases:
                stages.append(_phase_stage(len(stages), bound, phase, batch))
            if bound.step.join is None:
                continue
        elif open_rows and open_rows[-1].step.service != bound.step.service:
            close()
        open_rows.append(bound)
    close()
    return Pipeline(batch, resolved, tuple(stages))


@lru_cache(maxsize=64)
def _resolved(recipe: str, _steps: int) -> ResolvedRecipe:
    """A recipe resolved: batches of one recipe share what it compiles to."""
    return resolve(Recipe.model_validate_json(recipe))


def _rows_stage(
    index: int, steps: tuple[BoundStep, ...], before: list[Stage], batch: Batch
) -> Stage:
    scope = batch.scope if any(s.phase for s in before) else ""
    parts = [[s.fingerprint, [[r.name, r.condition] for r in s.rules]] for s in steps]
    previous = [s.fingerprint for s in before if s.phase is None][-1:]
    fingerprint = digest(["rows", scope, previous, parts])
    return Stage(index, steps[0].step.service, steps, None, 0, fingerprint)


def _phase_stage(index: int, bound: BoundStep, phase: Phase, batch: Batch) -> Stage:
    fingerprint = digest([phase.name, bound.fingerprint, batch.scope])
    partitions = phase.partitions(bound.params, len(batch.shards))
    return Stage(index, bound.step.service, (bound,), phase, partitions, fingerprint)
