"""Judges documents again under changed keep rules, from stored columns alone.

A document's verdict says how far it came: every rule before the one that dropped it held, and
every step up to there is computed. So only changed rules are read again, and those of the same step
that a document now reaches. Where it would go on into a step that was never computed for it, what
becomes of it is unknown.

A group step (duplicates) is judged by its stored result, which is only right if the same
documents enter it; `GroupCount` says by how many that is not so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.gateway.stored import Int64Array, Mask, Outcomes, Stored, side_by_side
from shared.recipe import BoundStep
from shared.rules import KeepRule
from shared.shards import Shard
from shared.stages import Pipeline

Columns = Mapping[tuple[int, str], pa.ChunkedArray]


class Plan:
    """Two recipes that differ in keep rules alone: what to read, and how to judge with it."""

    def __init__(self, old: Pipeline, new: Pipeline) -> None:
        self.pipeline = old
        self.old, self.new = Outcomes(old), Outcomes(new)
        numbers = {(n, _condition(r)): i for i, (n, r) in enumerate(_events(self.old))}
        #: For each event of the new recipe its number in the old one; -1 where it is changed.
        self.same = [numbers.get((n, _condition(r)), -1) for n, r in _events(self.new)]
        self.steps = {b.position: b for b in new.recipe.steps}

    @property
    def unknown(self) -> int:
        """The number of the outcome that would have to be computed."""
        return self.new.kept + 1

    @cached_property
    def read_again(self) -> list[bool]:
        """For each event of the new recipe whether its rule is to be read."""
        gone = set(range(self.old.kept)) - set(self.same)
        first = {}
        for number in sorted(gone, reverse=True):
            first[self.old.positions[number]] = number
        return [
            same < 0 or same > first.get(position, self.old.kept)
            for same, position in zip(self.same, self.new.positions, strict=True)
        ]

    def columns(self, last: int) -> dict[int, set[str]]:
        """What to read of a shard whose steps are committed up to a position."""
        needed: dict[int, set[str]] = {}
        for rule, position, again in zip(
            self.new.rules, self.new.positions, self.read_again, strict=True
        ):
            if rule is not None and again and position <= last:
                for name in rule.columns:
                    at = self.steps[position].inputs[name]
                    needed.setdefault(at, set()).add(name.rpartition(".")[2])
        measure = self.pipeline.characters
        if measure is not None and measure.position <= last:
            needed.setdefault(measure.position, set()).add("characters")
        return needed

    def holds(self, event: int, columns: Columns) -> Mask:
        """For each row whether the event's rule holds."""
        rule, bound = self.new.rules[event], self.steps[self.new.positions[event]]
        assert rule is not None
        values = {
            name: columns[bound.inputs[name], name.rpartition(".")[2]] for name in rule.columns
        }
        return np.asarray(rule.holds(values))


def _events(outcomes: Outcomes) -> list[tuple[str, KeepRule | None]]:
    return list(zip(outcomes.names, outcomes.rules, strict=True))


def _condition(rule: KeepRule | None) -> str | None:
    return None if rule is None else rule.condition


@dataclass
class GroupCount:
    """How far the documents that enter a group step are others than before."""

    left: int = 0
    joined_at_most: int = 0
    assumed: int = 0


@dataclass
class Accounts:
    """What judging adds up to. Arrays are by number of the outcome; characters of the main text."""

    plan: Plan
    documents: int = 0
    shards: int = 0
    final_shards: int = 0
    before: Int64Array = field(init=False)
    before_characters: Int64Array = field(init=False)
    after: Int64Array = field(init=False)
    after_characters: Int64Array = field(init=False)
    newly: dict[str, list[int]] = field(default_factory=lambda: {"dropped": [0, 0], "kept": [0, 0]})
    without_characters: int = 0
    #: By step: documents for which it would have to run, at most.
    to_run: dict[int, int] = field(default_factory=dict)
    groups: dict[int, GroupCount] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = (self.plan.old.kept + 1, self.plan.unknown + 1)
        self.before, self.after = (np.zeros(n, np.int64) for n in sizes)
        self.before_characters, self.after_characters = (np.zeros(n, np.int64) for n in sizes)

    def add(self, outcome: Int64Array, columns: Columns, last: int) -> None:
        """Judge a chunk of a shard whose steps are committed up to position `last`."""
        after = self._judge(outcome, columns, last)
        measured = np.ones(len(outcome), np.bool_)
        characters = np.zeros(len(outcome), np.int64)
        bound = self.plan.pipeline.characters
        if bound is not None and bound.position <= last:
            column = columns[bound.position, "characters"]
            measured = np.asarray(pc.is_valid(column))
            characters = np.asarray(pc.fill_null(column, 0)).astype(np.int64)
        self.documents += len(outcome)
        _tally(self.before, self.before_characters, outcome, characters)
        _tally(self.after, self.after_characters, after, characters)
        was, is_kept = outcome == self.plan.old.kept, after == self.plan.new.kept
        unknown = after == self.plan.unknown
        for name, rows in (("dropped", was & ~is_kept & ~unknown), ("kept", ~was & is_kept)):
            self.newly[name][0] += int(rows.sum())
            self.newly[name][1] += int(characters[rows].sum())
        self.without_characters += int((unknown & ~measured).sum())

    def _judge(self, outcome: Int64Array, columns: Columns, last: int) -> Int64Array:
        """The outcome of each row under the new recipe."""
        plan = self.plan
        alive = np.ones(len(outcome), np.bool_)
        after = np.full(len(outcome), plan.new.kept, np.int64)
        # The last step that is computed for the row.
        reached = np.array([*plan.old.positions, last])[outcome]
        for event, (position, same) in enumerate(zip(plan.new.positions, plan.same, strict=True)):
            if position > last:
                break
            if plan.new.rules[event] is None:
                alive &= self._enter(plan.steps[position], alive, reached, after)
            out = alive & (outcome == same) if same >= 0 else np.zeros_like(alive)
            # Rows that a changed rule dropped, or let pass, get to the following rules now.
            undecided = alive if same < 0 else alive & (outcome < same)
            if plan.read_again[event] and undecided.any():
                out |= undecided & ~plan.holds(event, columns)
            after[out] = event
            alive &= ~out
        return after

    def _enter(self, bound: BoundStep, alive: Mask, reached: Int64Array, after: Int64Array) -> Mask:
        """The rows for which the step is computed; the others' outcome becomes unknown."""
        computed = np.asarray(reached >= bound.position)
        after[alive & ~computed] = self.plan.unknown
        waiting = int((after == self.plan.unknown).sum())
        self.to_run[bound.position] = self.to_run.get(bound.position, 0) + waiting
        if bound.step.phases:
            group = self.groups.setdefault(bound.position, GroupCount())
            group.left += int((computed & ~alive).sum())
            group.joined_at_most += waiting
            group.assumed += int((computed & alive).sum())
        return computed


def _tally(
    counts: Int64Array, sums: Int64Array, outcome: Int64Array, characters: Int64Array
) -> None:
    counts += np.bincount(outcome, minlength=len(counts))
    # float64 is exact up to 2**53 characters a chunk.
    sums += np.bincount(outcome, characters, minlength=len(sums)).astype(np.int64)


def judge(stored: Stored, plan: Plan) -> Accounts:
    """Judge all documents committed so far, each as far as its shard has come."""
    accounts = Accounts(plan)
    begun = [s for s in plan.pipeline.batch.shards if stored.latest(s) is not None]
    for last, chunks in side_by_side(begun, lambda s: _read_shard(stored, plan, s)):
        accounts.shards += 1
        accounts.final_shards += last == plan.pipeline.last_rows.steps[-1].position
        for outcome, columns in chunks:
            accounts.add(outcome, columns, last)
    return accounts


def _read_shard(
    stored: Stored, plan: Plan, shard: Shard
) -> tuple[int, list[tuple[Int64Array, dict[tuple[int, str], Any]]]]:
    """How far the shard has come, its documents' outcomes, and the columns to judge them by."""
    stage = stored.latest(shard)
    assert stage is not None
    last = stage.steps[-1].position
    chunks = stored.chunks(shard, plan.columns(last), stage)
    return last, [(plan.old.read(verdicts), columns) for verdicts, columns in chunks]
