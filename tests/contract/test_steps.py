"""What every row step must hold, whichever it is: a new step gets these tests by being there."""

import random
from functools import cache

import pyarrow as pa
import pytest

from shared.compute import compute
from shared.schema import ERROR
from shared.step import STEP_NAME, Step, load_registry
from shared.testing import HOSTILE_TEXTS, html_page, prose

ROW_STEPS = [s for s in load_registry().values() if s.row is not None]
TEXTS: tuple[str | None, ...] = (*HOSTILE_TEXTS, *("\n\n".join(prose(n)) for n in range(6)))


@cache
def column_types() -> dict[str, pa.DataType]:
    return {c.name: c.type for s in load_registry().values() for c in s.columns}


def value(kind: pa.DataType, name: str, text: str | None, n: int):
    """A value of a column's type that hostile input could have led to."""
    if text is None:
        return None
    if name == "payload":
        return html_page("T", [text]) if n % 2 else text.encode()
    if name == "content_type":
        return ["text/html", "text/html; charset=utf-8", "text/plain", "nonsense", None][n % 5]
    if name == "url":
        return f"http://example.org/{n}?{text[:40]}"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return text
    if pa.types.is_integer(kind):
        return n
    if pa.types.is_floating(kind):
        return n / 7
    if pa.types.is_boolean(kind):
        return bool(n % 2)
    raise NotImplementedError(f"no hostile value for {name} of type {kind}")


def rows_for(step: Step, texts=TEXTS) -> pa.Table:
    arrays = []
    for name in step.reads:
        kind = pa.large_string() if name == "text" else column_types()[name.rpartition(".")[2]]
        values = [value(kind, name, text, n) for n, text in enumerate(texts)]
        arrays.append(pa.array(values, kind))
    return pa.table(arrays, names=list(step.reads))


def run(step: Step, rows: pa.Table) -> pa.Table:
    """Straight to the function: `compute`'s isolation of bad rows must not be needed."""
    table = step.row(rows, step.params())
    assert compute(step, step.params(), rows).num_rows == rows.num_rows
    if ERROR.name not in table.column_names:
        table = table.append_column(ERROR.name, pa.nulls(table.num_rows, ERROR.type))
    return table.select(step.schema.names).combine_chunks()


@pytest.fixture(params=ROW_STEPS, ids=lambda s: s.name)
def step(request) -> Step:
    return request.param


def test_declares_versioned_documented_columns(step):
    assert STEP_NAME.match(step.name)
    assert len(step.doc.split()) > 5
    for column in step.columns:
        assert column.meaning, column.name
    assert len({c.name for c in step.columns}) == len(step.columns)


def test_defaults_are_valid_and_unknown_parameters_are_refused(step):
    step.params()
    with pytest.raises(ValueError, match="no_such_parameter"):
        step.params.model_validate({"no_such_parameter": 1})


def test_hostile_rows_come_back_with_the_declared_schema(step):
    rows = rows_for(step)
    table = run(step, rows)
    assert table.num_rows == rows.num_rows
    assert table.schema.equals(step.schema, check_metadata=False)


def test_same_rows_same_values(step):
    assert run(step, rows_for(step)).equals(run(step, rows_for(step)))


def test_rows_do_not_depend_on_their_neighbours(step):
    """f(a + b) = f(a) + f(b), for any cut, any order, any slice of a larger table."""
    rows = rows_for(step)
    whole = run(step, rows)
    for cut in (1, 7, rows.num_rows - 1):
        parts = [run(step, rows.slice(0, cut)), run(step, rows.slice(cut))]
        assert pa.concat_tables(parts).combine_chunks().equals(whole)
    order = list(range(rows.num_rows))
    random.Random(5).shuffle(order)
    assert run(step, rows.take(order)).equals(whole.take(order).combine_chunks())


def test_many_chunks_are_one_table(step):
    rows = rows_for(step)
    chunked = pa.concat_tables([rows.slice(i, 3) for i in range(0, rows.num_rows, 3)])
    assert run(step, chunked).equals(run(step, rows))


def test_no_rows(step):
    table = run(step, rows_for(step).slice(0, 0))
    assert table.num_rows == 0
    assert table.schema.equals(step.schema, check_metadata=False)


def test_only_nulls(step):
    table = run(step, rows_for(step, (None, None)))
    assert table.num_rows == 2
