"""Changed keep rules as a person writes them, turned into a changed recipe.

Either a mapping of rule names to conditions, null to remove one:

    {"gopher_quality_v1.words_min": "words >= 80", "gopher_quality_v1.stop_words": null}

or a list of conditions, each with or without the rule's name before an equals sign:

    ["gopher_quality_v1.words_min=words >= 80", "gopher_quality_v1.words >= 80"]

A named rule is replaced, or added to its step where it has none of that name. A condition without a
name replaces the one rule that tests the same column in the same way: from below (>, >=), from
above (<, <=) or for equality, with the same "if". Where there is none it is a new rule, last of the
step that measures its column (of the later one where it reads two); where it cannot be told which
of several rules is meant, that is an error that names them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from services.gateway.stored import aligned
from shared.errors import UsageError
from shared.recipe import BoundStep, Recipe, find_column, override_recipe, resolve
from shared.rules import Comparison, KeepRule
from shared.stages import Pipeline

_NAMED = re.compile(
    r"^\s*(?P<rule>[a-z][a-z0-9_.]*\.[A-Za-z0-9_-]+)\s*=(?!=)\s*(?P<condition>.*)$", re.DOTALL
)
_WAYS = {">": "below", ">=": "below", "<": "above", "<=": "above"}


@dataclass(frozen=True)
class Change:
    """A rule of a step that is replaced, added, or removed (no condition after)."""

    bound: BoundStep
    rule: str
    before: str | None
    after: str | None
    #: Where the request says so.
    field: str

    @property
    def name(self) -> str:
        """As verdicts name the rule."""
        return f"{self.bound.step.short}.{self.rule}"


def parse_changes(pipeline: Pipeline, keep: Any) -> list[Change]:
    """The changes that a request asks for; UsageError names its field at fault."""
    changes: list[Change] = []
    for wish in _wishes(keep):
        changes.append(_change(pipeline, changes, *wish))
    names = [c.name for c in changes]
    for change in changes:
        if names.count(change.name) > 1:
            raise UsageError(
                f"{change.field}: rule {change.name} is changed twice", field=change.field
            )
    return changes


def changed_recipe(recipe: Recipe, changes: list[Change]) -> Recipe:
    """The recipe with the changes; UsageError names the field of the first that does not fit."""
    override: dict[str, Any] = {}
    for change in changes:
        keep = override.setdefault(change.bound.step.name, {"keep": {}})["keep"]
        keep[change.rule] = change.after
    changed = override_recipe(recipe, override)
    try:
        resolve(changed)
    except UsageError as error:
        for change in changes:
            inner = f"steps.{change.bound.position}.keep.{change.rule}"
            if error.field == inner:
                told = str(error).removeprefix(f"{inner}: ")
                raise UsageError(f"{change.field}: {told}", field=change.field) from error
        raise
    return changed


def _wishes(keep: Any) -> Iterator[tuple[str, str | None, str | None]]:
    """Field, rule's name where given, condition (None: remove)."""
    if isinstance(keep, dict):
        for name, condition in keep.items():
            field = f"keep.{name}"
            if condition is not None and not isinstance(condition, str):
                raise UsageError(f"{field}: must be a condition or null", field=field)
            yield field, name, condition
    elif isinstance(keep, list):
        for i, text in enumerate(keep):
            field = f"keep.{i}"
            if not isinstance(text, str):
                raise UsageError(f"{field}: must be a condition", field=field)
            match = _NAMED.match(text)
            if match is None:
                yield field, None, text
            else:
                condition = match["condition"].strip()
                yield field, match["rule"], None if condition == "null" else condition
    else:
        raise UsageError(
            "keep: must be a list of conditions or a mapping of rules to them", field="keep"
        )


def _change(
    pipeline: Pipeline,
    before: list[Change],
    field: str,
    name: str | None,
    condition: str | None,
) -> Change:
    try:
        if name is not None:
            bound, rule = _named(pipeline, name)
            old = {r.name: r.condition for r in bound.rules}.get(rule)
            if old is None and condition is None:
                raise UsageError(f"there is no rule {name} to remove")
            return Change(bound, rule, old, condition, field)
        assert condition is not None
        change = _unnamed(pipeline, KeepRule("preview", condition), field)
    except UsageError as error:
        told = str(error).removeprefix("keep rule 'preview': ")
        raise UsageError(f"{field}: {told}", field=field) from error
    if change.before is not None:
        return change
    taken = {r.name for r in change.bound.rules} | {c.rule for c in before}
    return replace(change, rule=_free_name(change.rule, taken))


def _named(pipeline: Pipeline, name: str) -> tuple[BoundStep, str]:
    step, _, rule = name.rpartition(".")
    for bound in pipeline.recipe.steps:
        if step in (bound.step.short, bound.step.name):
            return bound, rule
    steps = ", ".join(b.step.short for b in pipeline.recipe.steps)
    raise UsageError(f"{name!r} is not <step>.<rule>; steps are {steps}")


def _unnamed(pipeline: Pipeline, rule: KeepRule, field: str) -> Change:
    owners = [_owner(pipeline, column) for column in rule.columns]
    wish = _subject(rule, dict(zip(rule.columns, (o.position for o in owners), strict=True)))
    alike, same = [], []
    for bound in pipeline.recipe.steps:
        for old in bound.rules:
            subject = _subject(old, bound.inputs)
            if subject[:2] == wish[:2]:
                alike.append((bound, old))
                if subject == wish:
                    same.append((bound, old))
    if len(same) == 1:
        ((bound, old),) = same
        return Change(bound, old.name, old.condition, rule.condition, field)
    if same or (alike and rule.given is None):
        names = ", ".join(f"{b.step.short}.{r.name} ({r.condition})" for b, r in same or alike)
        raise UsageError(f"say which rule {rule.condition!r} replaces: {names}")
    bound = max(owners, key=lambda b: b.position)
    return Change(bound, rule.column.rpartition(".")[2], None, rule.condition, field)


def _owner(pipeline: Pipeline, column: str) -> BoundStep:
    """The step that measures a column."""
    found = [b for b in aligned(pipeline) if find_column(column, b.step)]
    if not found:
        raise UsageError(f"no step of the recipe measures {column!r}")
    if len(found) > 1:
        names = ", ".join(f"{b.step.short}.{column}" for b in found)
        raise UsageError(f"column {column!r} is ambiguous: say which of {names}")
    return found[0]


def _subject(rule: KeepRule, inputs: dict[str, int]) -> tuple[Any, ...]:
    """What a rule tests: column, way, and of which documents."""

    def stored(part: Comparison) -> tuple[int, str]:
        return inputs[part.column], part.column.rpartition(".")[2]

    given = rule.given
    about = None if given is None else (stored(given), given.op, str(given.value))
    return stored(rule.test), _WAYS.get(rule.test.op, "equal"), about


def _free_name(plain: str, taken: set[str]) -> str:
    """A name for a new rule: its column's, with a number where that is taken."""
    names = [plain, *(f"{plain}_{i}" for i in range(2, len(taken) + 3))]
    return next(n for n in names if n not in taken)
