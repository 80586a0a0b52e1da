"""The step decorators and the registry.

A step is a named, versioned measurement. Three kinds:

- `row_step`: a pure function from N rows of the columns it reads to N rows of the columns it
  declares. No I/O, clock, randomness, logging or global state.
- `source_step`: reads one shard of an archive and yields its documents in order.
- `group_step`: waits for all shards of the batch, runs its phases once a partition, and may join
  the result back to the rows with a last, row-aligned function.

Step modules lie in `services/<service>/steps/` and are found by import; there is no list to
maintain. Heavy libraries are imported inside the functions that use them, so that the gateway can
validate a recipe without them.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from shared.schema import EDITS_TYPE, Column, arrow_schema

if TYPE_CHECKING:
    from shared.scope import Scope
    from shared.shards import ShardReader
    from shared.store import Store

STEP_NAME = re.compile(r"^(?P<service>[a-z]+)\.(?P<short>[a-z][a-z0-9_]*_v[0-9]+)$")


class Params(BaseModel):
    """Base of a step's parameters: frozen, and no key that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class NoParams(Params):
    """For a step without parameters."""


RowFunction = Callable[[pa.Table, Any], pa.Table]
SourceFunction = Callable[["ShardReader", Any], Iterator[pa.Table]]
#: (rows with the columns that the step reads, what the joined phases have of them, parameters)
JoinFunction = Callable[[pa.Table, pa.Table, Any], pa.Table]


@dataclass(frozen=True)
class GroupOutput:
    """What a phase leaves: a table (may have no columns) and named files, both committed.

    What does not fit in memory comes as a reader, written while it is read, and as paths of
    temporary files, removed when they are committed. A reader is read before the files are.
    `counts` are for people, in the funnel: of all partitions they add up. They are looked at when
    the reader has been read.
    """

    table: pa.Table | pa.RecordBatchReader
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Phase:
    """One barrier-separated part of a group step.

    `partitions` gives the number of tasks from the parameters and the batch's number of shards (0:
    the phase is not needed); `run(scope, partition, params)` computes one of them. `joined` says
    whether its rows go to the step's join: they are then sorted by `shard` and `row`, their first
    columns. Files of a `scratch` phase are no part of what a sink writes, only for later phases.
    """

    name: str
    run: Callable[["Scope", int, Any], GroupOutput]
    partitions: Callable[[Any, int], int] = lambda _params, _shards: 1
    joined: Callable[[Any], bool] = lambda _params: False
    scratch: bool = False


@dataclass(frozen=True)
class Step:
    """A registered step.

    `reads` are column names that some earlier step of the recipe declares, or "text", the main
    text after the edits of the steps before this one.
    """

    name: str
    reads: tuple[str, ...]
    columns: tuple[Column, ...]
    params: type[Params]
    doc: str
    row: RowFunction | None = None
    source: SourceFunction | None = None
    phases: tuple[Phase, ...] = ()
    join: JoinFunction | None = None
    #: For a sink: the folder of the store ("datasets") that the last phase's manifest describes.
    sink: str | None = None
    #: Columns that the phases read as well, by the parameters; the join does not get them.
    also_reads: Callable[[Any], tuple[str, ...]] = lambda _params: ()

    @property
    def service(self) -> str:
        """The service that runs the step, and its queue."""
        return self.name.split(".", 1)[0]

    @property
    def short(self) -> str:
        """The name without its service, as keep rules and verdicts write it."""
        return self.name.split(".", 1)[1]

    @property
    def schema(self) -> pa.Schema:
        """Stored columns of a row-aligned step."""
        return arrow_schema(self.columns)

    @property
    def is_edit(self) -> bool:
        """Whether the step changes the text that later steps read."""
        return any(c.name == "edits" and c.type == EDITS_TYPE for c in self.columns)


_REGISTRY: dict[str, Step] = {}


def register(step: Step) -> None:
    """Add a step; ValueError for a malformed or duplicate name, or a column read and declared."""
    match = STEP_NAME.match(step.name)
    if match is None:
        raise ValueError(f"step name {step.name!r} is not <service>.<name>_v<version>")
    if step.name in _REGISTRY:
        raise ValueError(f"step {step.name!r} is registered twice")
    if not step.doc.strip():
        raise ValueError(f"step {step.name!r} has no docstring")
    both = {c.name for c in step.columns} & set(step.reads)
    if both:
        raise ValueError(f"step {step.name!r} reads and declares {sorted(both)}")
    _REGISTRY[step.name] = step


def row_step(
    name: str,
    *,
    reads: tuple[str, ...],
    columns: tuple[Column, ...],
    params: type[Params] = NoParams,
) -> Callable[[RowFunction], RowFunction]:
    """Register a pure function from a table of `reads` to a table of `columns`.

    The function may add an `error` column (string, null where the row is sound).
    """

    def decorate(function: RowFunction) -> RowFunction:
        register(Step(name, reads, columns, params, function.__doc__ or "", row=function))
        return function

    return decorate


def source_step(
    name: str, *, columns: tuple[Column, ...], params: type[Params] = NoParams
) -> Callable[[SourceFunction], SourceFunction]:
    """Register the reader of a shard.

    It yields tables of `columns` (transient ones and `error` included), a bounded number of rows
    each, in the order of the archive.
    """

    def decorate(function: SourceFunction) -> SourceFunction:
        register(Step(name, (), columns, params, function.__doc__ or "", source=function))
        return function

    return decorate


def group_step(
    name: str,
    *,
    reads: tuple[str, ...],
    phases: tuple[Phase, ...],
    doc: str,
    params: type[Params] = NoParams,
    columns: tuple[Column, ...] = (),
    join: JoinFunction | None = None,
    sink: str | None = None,
    also_reads: Callable[[Any], tuple[str, ...]] = lambda _params: (),
) -> None:
    """Register a step over all shards of a batch.

    With `join`, the tables of the phases that are `joined` have `shard` (int32, position in the
    batch) and `row` (int64) columns; `join(rows, keyed, params)` gets some rows of a shard and
    what those phases have of them, sorted by row, and returns one row of `columns` for each.
    """
    if (join is None) != (not columns):
        raise ValueError(f"{name}: `join` and `columns` go together")
    register(
        Step(
            name,
            reads,
            columns,
            params,
            doc,
            phases=phases,
            join=join,
            sink=sink,
            also_reads=also_reads,
        )
    )


@cache
def load_registry() -> dict[str, Step]:
    """Import every `services/*/steps/*.py` and return all steps by name."""
    import services

    for folder in sorted(Path(p) for p in services.__path__):
        for service in sorted(p.parent.name for p in folder.glob("*/steps")):
            package = f"services.{service}.steps"
            for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
                importlib.import_module(f"{package}.{module.name}")
    return dict(sorted(_REGISTRY.items()))


#: Advance a job by at most a time slice (store, job id, seconds); called again until it has ended.
JobFunction = Callable[["Store", str, float], None]
_JOBS: dict[str, JobFunction] = {}


def job(service: str) -> Callable[[JobFunction], JobFunction]:
    """Register the job handler of a service (training, dedup): a level-triggered `advance`.

    It may be called twice at once or again after a crash, and must then do no harm.
    """

    def decorate(function: JobFunction) -> JobFunction:
        if service in _JOBS:
            raise ValueError(f"service {service!r} has two job handlers")
        _JOBS[service] = function
        return function

    return decorate


def job_handler(service: str) -> JobFunction:
    """The job handler of a service."""
    load_registry()
    return _JOBS[service]
