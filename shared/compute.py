"""Calls steps, and keeps one bad row from taking others with it.

An exception of a step is a fault of the rows it was given: they are halved until the row at fault
stands alone and gets the exception as its `error`. Row steps are row-wise, so the other rows'
results do not change.
"""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from shared.errors import CorpusmillError
from shared.schema import ERROR, conform
from shared.step import Step

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
