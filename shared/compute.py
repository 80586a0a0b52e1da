"""Calls steps, and keeps one bad row from taking others with it.

An exception of a step is a fault of the rows it was given: they are halved until the row at fault
stands alone and gets the exception as its `error`. Row steps are row-wise, so the other rows'
results do not change.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

import pyarrow as pa

from shared.errors import CorpusmillError
from shared.schema import ERROR, conform
from shared.step import Params, Step, load_registry

#: (step, parameters, rows) to a table with exactly the step's stored columns.
Compute = Callable[[Step, Any, pa.Table], pa.Table]

#: What an error value keeps of an exception's text.
ERROR_CHARACTERS = 500


def compute(step: Step, params: Any, rows: pa.Table) -> pa.Table:
    """Call a row step; rows on which it raises get an `error` and nulls."""
    if step.row is None:
        raise ValueError(f"{step.name} is not a row step")
    try:
        return conform(step.row(rows, params), step.schema, rows.num_rows, step.name)
    except (CorpusmillError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 (any fault of a row becomes its error value)
        if rows.num_rows <= 1:
            return error_rows(step, [describe(error)] * rows.num_rows)
    half = rows.num_rows // 2
    return pa.concat_tables(
        [compute(step, params, rows.slice(0, half)), compute(step, params, rows.slice(half))]
    )


def describe(error: BaseException) -> str:
    """An exception as an error value: type and text, without what changes from run to run."""
    return f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]


def error_rows(step: Step, reasons: list[str]) -> pa.Table:
    """Rows with an error and nulls elsewhere."""
    columns = [
        pa.array(reasons, pa.string()) if f.name == ERROR.name else pa.nulls(len(reasons), f.type)
        for f in step.schema
    ]
    return pa.table(columns, schema=step.schema)


def warm(service: str) -> None:
    """Run the service's row steps on a small row, so that no task waits for compilers.

    Each convention that a step's parameters name is tried by itself. Row steps take anything, so
    what they return does not matter.
    """
    for step in load_registry().values():
        if step.service == service and step.row is not None:
            arrays = [_sample(_type_of(name)) for name in step.reads]
            for params in _conventions(step.params):
                compute(step, params, pa.table(arrays, names=list(step.reads)))


def _conventions(params: type[Params]) -> Iterator[Params]:
    """The defaults, and each other value of each parameter that has a few by name."""
    yield params()
    for name, field in params.model_fields.items():
        for value in _named_values(field.annotation):
            if value != field.default:
                yield params(**{name: value})


def _named_values(annotation: Any) -> list[str]:
    """The strings of a Literal, also of an optional one."""
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    return [v for part in get_args(annotation) for v in _named_values(part)]


def _type_of(column: str) -> pa.DataType:
    """The type of a column, by whichever step declares it."""
    plain = column.rpartition(".")[2]
    return next(c.type for s in load_registry().values() for c in s.columns if c.name == plain)


def _sample(kind: pa.DataType) -> pa.Array:
    if pa.types.is_large_binary(kind) or pa.types.is_binary(kind):
        return pa.array([b"<p>The quick brown fox jumps over the lazy dog.</p>"], kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.array(["The quick brown fox jumps over the lazy dog."], kind)
    return pa.nulls(1, kind)


if __name__ == "__main__":  # compile the loops of services, which numba then has in its cache
    for name in sys.argv[1:]:
        warm(name)
