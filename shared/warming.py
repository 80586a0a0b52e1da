"""Runs a service's steps on a few rows, so that no task waits for compilers.

    python -m shared.warming SERVICES     (numba then has their loops in its cache)

Each convention that a step's parameters name is tried by itself. Steps take anything, so what they
return does not matter.
"""

import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pyarrow as pa
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from shared.compute import compute
from shared.recipe import BoundStep, ResolvedRecipe
from shared.step import Params, Step, load_registry
from shared.table_scope import TableScope

#: Documents of a group step's shards: every second one is like the one before it.
_DOCUMENTS = 24


def warm(service: str) -> None:
    """Run all row steps and all joined group steps of a service."""
    steps = [step for step in load_registry().values() if step.service == service]
    for step in steps:
        if step.row is not None:
            arrays = [_sample(name) for name in step.reads]
            for params in _conventions(step.params):
                compute(step, params, pa.table(arrays, names=list(step.reads)))
    groups = [step for step in steps if step.join is not None]
    if groups:
        providers, documents = _provided(steps)
        for step in groups:
            for params in _conventions(step.params):
                _run_group(step, params, providers, documents)


def _run_group(step: Step, params: Params, providers: list[BoundStep], documents: pa.Table) -> None:
    """All phases and the join, over two shards."""
    half = documents.num_rows // 2
    scope = TableScope([documents.slice(0, half), documents.slice(half)])
    columns = {c.name: b.position for b in providers for c in b.step.columns}
    inputs = {name: columns[name] for name in step.reads if name in columns}
    bound = BoundStep(len(providers), step, params, (), inputs, (), "")
    scope.recipe = ResolvedRecipe(scope.recipe.recipe, (*providers, bound))
    scope.run(step, params)
    scope.join(step, params)


def _provided(steps: list[Step]) -> tuple[list[BoundStep], pa.Table]:
    """Documents with the columns of the service's own row steps, by their defaults."""
    plain = [f"Line {i} of words{i} that say what {i * 7} is, and that is that." for i in range(99)]
    texts = ["\n".join(plain[i // 2 : i // 2 + 20]) for i in range(_DOCUMENTS)]
    known: dict[str, Any] = {
        "row": pa.array(range(_DOCUMENTS), pa.int64()),
        "text": pa.array(texts, pa.large_string()),
        "url": pa.array([f"http://a.example/{i // 2}" for i in range(_DOCUMENTS)]),
        "document": pa.array([f"a:{i}" for i in range(_DOCUMENTS)]),
    }
    providers: list[BoundStep] = []
    for step in steps:
        if step.row is not None and set(step.reads) <= set(known) and not step.is_edit:
            params = next(_conventions(step.params))
            rows = pa.table({name: known[name] for name in step.reads})
            table = compute(step, params, rows)
            known |= {c.name: table.column(c.name) for c in step.columns}
            providers.append(BoundStep(len(providers), step, params, (), {}, (), ""))
    for name in {name for step in steps for name in step.reads} - set(known):
        known[name] = pa.array(range(_DOCUMENTS), pa.int64()).cast(_type_of(name))
    return providers, pa.table(known)


def _conventions(params: type[Params]) -> Iterator[Params]:
    """The defaults, and each other value of each parameter that has a few by name.

    A parameter without a default takes the first of its names; an optional model is tried with its
    own defaults, an optional number with two. Combinations that are refused are left out.
    """
    fields = params.model_fields
    given = {n: next(_values(f)) for n, f in fields.items() if f.is_required()}
    if "partitions" in fields:
        given["partitions"] = 1
    yield params(**given)
    for name, field in fields.items():
        for value in _values(field):
            if value in (field.default, given.get(name)):
                continue
            try:
                yield params(**(given | {name: value}))
            except ValidationError:
                continue


def _values(field: FieldInfo) -> Iterator[Any]:
    """Values by name that a parameter may have."""
    yield from _named_values(field.annotation)
    if field.default is None:
        for kind in get_args(field.annotation):
            if isinstance(kind, type) and issubclass(kind, Params):
                yield kind()
            elif kind is int:
                yield 2


def _named_values(annotation: Any) -> list[str]:
    """The strings of a Literal, also of an optional one."""
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    return [v for part in get_args(annotation) for v in _named_values(part)]


def _type_of(column: str) -> pa.DataType:
    """The type of a column, by whichever step declares it."""
    plain = column.rpartition(".")[2]
    return next(c.type for s in load_registry().values() for c in s.columns if c.name == plain)


def _sample(column: str) -> pa.Array:
    """A value that reaches a step's loops: a page is declared as one, or no engine reads it."""
    kind = _type_of(column)
    if column == "content_type":
        return pa.array(["text/html"], kind)
    if pa.types.is_large_binary(kind) or pa.types.is_binary(kind):
        return pa.array([b"<p>The quick brown fox jumps over the lazy dog.</p>"], kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.array(["The quick brown fox jumps over the lazy dog."], kind)
    return pa.nulls(1, kind)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        warm(name)
