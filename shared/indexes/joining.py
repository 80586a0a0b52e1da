"""How a batch joins indexes: at submission, all at once, or not at all.

The batch's record says what it sees of each index, which the number of its log entry decides. So
the order is: what was submitted (`submitted.json`), the log's entry, the record (`batch.json`).
Whoever finds an entry without a record writes it, so that no batch waits for one that died between
the two.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from shared.errors import ConflictError, NotFoundError, UsageError
from shared.indexes.log import (
    Drop,
    Join,
    Joined,
    append,
    history,
    join_of,
    memberships,
    read_log,
)
from shared.recipe import BoundStep, ResolvedRecipe, without_uris
from shared.shards import Batch
from shared.stages import Pipeline, compile_batch
from shared.store import Store, to_json

INDEX_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
#: Parameters of a duplicate step that do not change its keys.
_NOT_KEYS = frozenset({"index", "partitions", "keeper", "score", "seed", "verify"})


def index_steps(recipe: ResolvedRecipe) -> dict[str, BoundStep]:
    """The steps of a recipe that read and feed an index, by `<name>/<step>`."""
    found = {}
    for bound in recipe.steps:
        name = getattr(bound.params, "index", None)
        if not bound.step.phases or name is None:
            continue
        if not INDEX_NAME.match(name):
            field = f"steps.{bound.position}.params.index"
            raise UsageError(
                f"{field}: {name!r} is no name of an index (a-z, 0-9, '.', '_', '-')", field=field
            )
        found[f"{name}/{bound.step.short}"] = bound
    return found


def kind_of(recipe: ResolvedRecipe, bound: BoundStep) -> dict[str, Any]:
    """What makes keys comparable: the step's own parameters, and those of its keys' steps.

    Those are of its service; where texts and URLs come from does not matter.
    """
    own = bound.params.model_dump(mode="json")
    kind = {bound.step.short: {k: v for k, v in own.items() if k not in _NOT_KEYS}}
    for column in bound.step.reads:
        provider = recipe.steps[bound.inputs[column]]
        if provider.step.service == bound.step.service:
            kind[provider.step.short] = without_uris(provider.params.model_dump(mode="json"))
    return kind


def submit(store: Store, batch: Batch) -> Batch:
    """Write a batch's record, after it has joined the indexes that its recipe names; returns it.

    Submitting the same batch again changes nothing. UsageError where the recipe does not resolve,
    or its keys are not those of an index.
    """
    pipeline = compile_batch(batch)
    steps = index_steps(pipeline.recipe)
    if not steps:
        _write(store, batch)
        return _read(store, batch.id, "batch.json") or batch
    submitted = f"batches/{batch.id}/submitted.json"
    store.put_if_absent(submitted, to_json(batch.model_dump(mode="json")))
    try:
        append(store, lambda events: _join(events, pipeline, steps))
    except UsageError:
        store.delete(submitted)
        raise
    done = complete(store, batch.id)
    if done is None:
        raise ConflictError(f"batch {batch.id} was deleted while it was submitted")
    return done


def _join(
    events: Mapping[int, Join | Drop], pipeline: Pipeline, steps: dict[str, BoundStep]
) -> Join | None:
    """The batch's entry; None where it has one."""
    batch = pipeline.batch
    if join_of(events, batch.id) is not None:
        return None
    indexes = {}
    for index, bound in steps.items():
        kind = kind_of(pipeline.recipe, bound)
        _check_kind(index, history(events, index).kind, kind, bound)
        indexes[index] = Joined(shards=len(batch.shards), kind=kind)
    return Join(batch=batch.id, time=datetime.now(UTC), indexes=indexes)


def _check_kind(
    index: str, there: Mapping[str, Any] | None, mine: dict[str, Any], bound: BoundStep
) -> None:
    if there is None or there == mine:
        return
    flat_there, flat_mine = _flat(there), _flat(mine)
    differ = [
        f"{name}: {flat_there.get(name, 'none')} in the index, {flat_mine.get(name, 'none')} here"
        for name in sorted(flat_there.keys() | flat_mine.keys())
        if flat_there.get(name, "none") != flat_mine.get(name, "none")
    ]
    field = f"steps.{bound.position}.params.index"
    raise UsageError(
        f"{field}: the index {index} holds keys of another kind ({'; '.join(differ)}); "
        "take another name, or the same parameters",
        field=field,
    )


def _flat(kind: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{step}.{name}": v for step, values in kind.items() for name, v in values.items()}


def complete(store: Store, batch: str) -> Batch | None:
    """Write the record of a batch that has joined; None where the batch is gone."""
    record = _read(store, batch, "batch.json")
    submitted = _read(store, batch, "submitted.json")
    if record is not None or submitted is None:
        return record
    events = read_log(store)
    found = join_of(events, batch)
    if found is None:
        return None
    raw = {**submitted.model_dump(), "indexes": memberships(events, found[0])}
    _write(store, Batch.model_validate(raw))
    return _read(store, batch, "batch.json")


def complete_pending(store: Store) -> None:
    """Write the records of all batches that have joined and have none."""
    known = _completed(store)
    for ordinal, event in read_log(store).items():
        if isinstance(event, Join) and ordinal not in known:
            complete(store, event.batch)
            known.add(ordinal)


@lru_cache(maxsize=8)
def _completed(_store: Store) -> set[int]:
    """Entries whose batches have their record, or are gone."""
    return set()


def _write(store: Store, batch: Batch) -> None:
    store.put_if_absent(f"batches/{batch.id}/batch.json", to_json(batch.model_dump(mode="json")))


def _read(store: Store, batch: str, name: str) -> Batch | None:
    try:
        return Batch.model_validate(store.get_json(f"batches/{batch}/{name}"))
    except NotFoundError:
        return None
