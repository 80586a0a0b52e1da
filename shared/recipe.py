"""A recipe: the ordered steps with parameters and keep rules, and the paper they come from.

Recipes are YAML. `resolve` checks one against the registry (steps, parameters, columns, rules)
before anything runs, and every error names the field. `compile_stages` in `shared.stages` turns a
resolved recipe into what the queue works on.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.errors import NotFoundError, UsageError
from shared.resources import Resource, pin, replace_resources
from shared.rules import KeepRule
from shared.schema import Column
from shared.step import Params, Step, load_registry
from shared.store import Store


class StepSpec(BaseModel):
    """One entry of a recipe's `steps`: a step's name, its parameters, its keep rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    params: dict[str, Any] = Field(default_factory=dict)
    keep: dict[str, str] = Field(default_factory=dict)


class Recipe(BaseModel):
    """A recipe as written, after `extends` and overrides were applied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    source: str = ""
    description: str = ""
    steps: tuple[StepSpec, ...] = Field(min_length=1)
    published: dict[str, float] = Field(default_factory=dict)
    deviations: tuple[str, ...] = ()

    @field_validator("steps", mode="before")
    @classmethod
    def _split_steps(cls, value: Any) -> Any:
        """Read `- langid.fasttext_v1: {model: lid.176}`, beside it `keep:` and `keep_from:`."""
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list of steps")
        return [_step_entry(entry) for entry in value]

    @cached_property
    def hash(self) -> str:
        """Of everything that decides the result; a description does not."""
        steps = [[s.step, without_uris(s.params), list(s.keep.items())] for s in self.steps]
        return digest(steps)


def _step_entry(entry: Any) -> Any:
    if isinstance(entry, str):
        return {"step": entry}
    if not isinstance(entry, dict) or "step" in entry:
        return entry
    rest = {k: v for k, v in entry.items() if k not in ("keep", "keep_from")}
    if len(rest) != 1:
        raise ValueError(f"a step is '<service>.<name>: {{parameters}}', not {sorted(rest)}")
    (name, params), *_ = rest.items()
    keep = {**keep_rules(entry.get("keep_from")), **(entry.get("keep") or {})}
    return {"step": name, "params": params or {}, "keep": _without_nulls(keep)}


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """`rule: null` removes a rule, or returns a parameter to its default."""
    return {name: value for name, value in values.items() if value is not None}


def keep_rules(name: str | None) -> dict[str, str]:
    """A shipped set of keep rules (`keep_from: gopher_quality`): thresholds that recipes share."""
    if name is None:
        return {}
    sets = {p.stem: p for p in sorted((_recipe_folder() / "rules").glob("*.yaml"))}
    if name not in sets:
        raise UsageError(
            f"keep_from: there is no set {name!r}; there are {', '.join(sets)}", field="keep_from"
        )
    return parse_yaml(sets[name].read_text(), name)


def digest(value: Any) -> str:
    """Canonical hash of plain data: 16 hex digits. Raises TypeError on anything else."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def without_uris(params: Any) -> Any:
    """Parameters with the hash in place of each pinned resource: where it lay means nothing."""
    if isinstance(params, dict):
        if params.keys() == {"uri", "blake3"} and params["blake3"] is not None:
            return {"blake3": params["blake3"]}
        return {name: without_uris(value) for name, value in params.items()}
    if isinstance(params, list):
        return [without_uris(value) for value in params]
    return params


@dataclass(frozen=True)
class BoundStep:
    """A step of a recipe with validated parameters, parsed rules and resolved inputs.

    `inputs` maps each column that it reads (and each that its rules read) to the position of the
    step that provides it; "text" maps to the provider of the text, `edits` are the positions of
    the edit steps that apply to it.
    """

    position: int
    step: Step
    params: Params
    rules: tuple[KeepRule, ...]
    inputs: dict[str, int]
    edits: tuple[int, ...]
    fingerprint: str

    @property
    def rule_names(self) -> list[str]:
        """`<step>.<rule>`, in order."""
        return [f"{self.step.short}.{r.name}" for r in self.rules]


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe that has passed every check."""

    recipe: Recipe
    steps: tuple[BoundStep, ...]


def builtin_recipes() -> dict[str, Path]:
    """Name to file of the recipes that ship with the project."""
    return {p.stem: p for p in sorted(_recipe_folder().glob("*.yaml"))}


def _recipe_folder() -> Path:
    return Path(__file__).parent / "recipes"


def load_recipe(name_or_recipe: str | dict[str, Any]) -> Recipe:
    """A built-in recipe by name, or an inline one; `extends` is resolved.

    Raises NotFoundError for an unknown name and UsageError naming the field otherwise.
    """
    if isinstance(name_or_recipe, str):
        known = builtin_recipes()
        if name_or_recipe not in known:
            raise NotFoundError(
                f"no recipe {name_or_recipe!r}; there are {', '.join(known)}", field="recipe"
            )
        name_or_recipe = parse_yaml(known[name_or_recipe].read_text(), name_or_recipe)
    raw = _extend(dict(name_or_recipe), seen=())
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise usage_error(error, "recipe") from error


def parse_yaml(text: str, what: str) -> dict[str, Any]:
    """A YAML mapping; UsageError with line and column where it is none."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{what} is not YAML: {error}", field="recipe") from error
    if not isinstance(value, dict):
        raise UsageError(f"{what} is not a mapping of recipe fields", field="recipe")
    return value


def _extend(raw: dict[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    """Apply `extends: <recipe>` and `override: {<step>: {params: .., keep: ..}}`."""
    override = raw.pop("override", None) or {}
    parent = raw.pop("extends", None)
    if parent is not None:
        if parent in seen:
            raise UsageError(f"recipes extend each other: {[*seen, parent]}", field="extends")
        known = builtin_recipes()
        if parent not in known:
            raise NotFoundError(f"no recipe {parent!r} to extend", field="extends")
        base = parse_yaml(known[parent].read_text(), parent)
        raw = {**_extend(base, (*seen, parent)), **raw}
    if not override:
        return raw
    steps = [dict(_step_entry(s)) for s in raw.get("steps", [])]
    names = [s["step"] for s in steps]
    for name, change in override.items():
        if name not in names:
            raise UsageError(f"no step {name!r} to override", field=f"override.{name}")
        unknown = set(change) - {"params", "keep"}
        if unknown:
            raise UsageError(
                f"override of {name!r} has unknown keys {sorted(unknown)}; "
                "there are params and keep",
                field=f"override.{name}",
            )
        step = steps[names.index(name)]
        for part in ("params", "keep"):
            merged = {**(step.get(part) or {}), **(change.get(part) or {})}
            step[part] = _without_nulls(merged)
    return {**raw, "steps": steps}


def override_recipe(recipe: Recipe, override: dict[str, Any]) -> Recipe:
    """`recipe` with parameters and keep rules of named steps replaced."""
    raw = {**recipe.model_dump(), "override": override}
    raw["steps"] = [s.model_dump() for s in recipe.steps]
    try:
        return Recipe.model_validate(_extend(raw, ()))
    except ValidationError as error:
        raise usage_error(error, "overrides") from error


def usage_error(error: ValidationError, prefix: str) -> UsageError:
    """The first fault that pydantic found, with its path below `prefix`."""
    first = error.errors()[0]
    where = ".".join(filter(None, [prefix, *(str(part) for part in first["loc"])]))
    return UsageError(f"{where}: {first['msg']}", field=where)


def map_resources(recipe: Recipe, change: Callable[[BaseModel, str], BaseModel]) -> Recipe:
    """The recipe with `change(parameters, field)` for each step's validated parameters."""
    steps = []
    for bound, spec in zip(resolve(recipe).steps, recipe.steps, strict=True):
        params = change(bound.params, f"recipe.steps.{bound.position}.params")
        if params is not bound.params:
            written = params.model_dump(mode="json", include=set(spec.params))
            spec = spec.model_copy(update={"params": written})  # noqa: PLW2901
        steps.append(spec)
    return Recipe.model_validate({**recipe.model_dump(), "steps": [s.model_dump() for s in steps]})


def pin_resources(recipe: Recipe, store: Store) -> Recipe:
    """The recipe with the hash of every file that it names, and those files in the store."""
    return map_resources(recipe, partial(pin, store))


def absolute_resources(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with relative paths of files read from `folder`."""

    def absolute(resource: Resource, _field: str) -> Resource:
        if ":" in resource.uri or Path(resource.uri).expanduser().is_absolute():
            return resource
        return resource.model_copy(update={"uri": str((folder / resource.uri).resolve())})

    return map_resources(recipe, lambda params, _: replace_resources(params, absolute))


def resolve(recipe: Recipe) -> ResolvedRecipe:
    """Bind every step to the registry; UsageError names the field of the first fault."""
    bound: list[BoundStep] = []
    for position, spec in enumerate(recipe.steps):
        bound.append(_bind(position, spec, bound))
    if bound[0].step.source is None:
        raise UsageError(
            "the first step must read archives (extraction.records_v1)", field="steps.0"
        )
    return ResolvedRecipe(recipe, tuple(bound))


def _bind(position: int, spec: StepSpec, before: list[BoundStep]) -> BoundStep:
    where = f"steps.{position}"
    step = load_registry().get(spec.step)
    if step is None:
        near = [n for n in load_registry() if n.split(".")[0] == spec.step.split(".")[0]]
        raise UsageError(
            f"{where}: no step {spec.step!r}; there are {', '.join(near or load_registry())}",
            field=where,
        )
    if any(b.step.name == step.name for b in before):
        raise UsageError(f"{where}: step {step.name} occurs twice", field=where)
    if step.source is not None and position > 0:
        raise UsageError(f"{where}: {step.name} reads archives, so it comes first", field=where)
    try:
        params = step.params.model_validate(spec.params)
    except ValidationError as error:
        raise usage_error(error, f"{where}.params") from error
    rules = tuple(KeepRule(name, condition) for name, condition in spec.keep.items())
    reads = (*step.reads, *step.also_reads(params))
    inputs = {read: _provider(read, step, before, where) for read in reads}
    for rule in rules:
        _bind_rule(rule, position, step, before, inputs, where)
    edits = _edits_before(before) if "text" in reads else ()
    return BoundStep(
        position,
        step,
        params,
        rules,
        inputs,
        edits,
        _fingerprint(step, params, {read: inputs[read] for read in reads}, before),
    )


def _bind_rule(
    rule: KeepRule,
    position: int,
    step: Step,
    before: list[BoundStep],
    inputs: dict[str, int],
    where: str,
) -> None:
    """Find the rule's columns, in this step or before it, and check its values' types."""
    types = {}
    try:
        for name in rule.columns:
            column = find_column(name, step)
            if column is None:
                provider = _provider(name, step, before, where)
                column = find_column(name, before[provider].step)
                inputs.setdefault(name, provider)
            else:
                inputs[name] = position
            if column is None or column.transient:
                raise UsageError(f"column {name!r} cannot be tested")
            types[name] = column.type
        rule.check_type(types)
    except UsageError as error:
        field = f"{where}.keep.{rule.name}"
        raise UsageError(f"{field}: {error}", field=field) from error


def find_column(name: str, step: Step) -> Column | None:
    """A step's column by plain or qualified (`gopher_quality_v1.words`) name."""
    qualified, _, plain = name.rpartition(".")
    if qualified and qualified not in (step.short, step.name):
        return None
    return next((c for c in step.columns if c.name == plain), None)


def _provider(name: str, step: Step, before: list[BoundStep], where: str) -> int:
    """The last step before that declares the column. A transient one stays in its service."""
    for bound in reversed(before):
        column = find_column(name, bound.step)
        if column is None:
            continue
        if column.transient and bound.step.service != step.service:
            raise UsageError(
                f"{where}: {step.name} reads {name!r}, which only {bound.step.service} can hand on",
                field=where,
            )
        return bound.position
    raise UsageError(
        f"{where}: {step.name} needs a column {name!r}, which no step before it has", field=where
    )


def _edits_before(before: list[BoundStep]) -> tuple[int, ...]:
    """Positions of the edit steps after the last step that declares the text."""
    base = max((b.position for b in before if find_column("text", b.step)), default=-1)
    return tuple(b.position for b in before if b.step.is_edit and b.position > base)


def _fingerprint(
    step: Step, params: Params, inputs: dict[str, int], before: list[BoundStep]
) -> str:
    """Hash of name, parameters, what it reads, and the keep rules that gate it (design, sec. 1)."""
    reads = {name: before[position].fingerprint for name, position in inputs.items()}
    if "text" in inputs:
        reads["text"] += "".join(before[i].fingerprint for i in _edits_before(before))
    gates = [
        [[before[b.inputs[c]].fingerprint, c.rpartition(".")[2]], r.condition]
        for b in before
        for r in b.rules
        for c in r.columns
    ]
    # Rows that failed in an earlier step are not computed either, so every step before gates.
    failures = [b.fingerprint for b in before]
    return digest([step.name, without_uris(params.model_dump(mode="json")), reads, gates, failures])
