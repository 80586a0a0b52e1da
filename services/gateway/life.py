"""The life of a document: where it lies, what was measured, what was cut, why it was dropped.

All of it is a look-up in the row-aligned columns of one shard.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from services.gateway.catalog import BatchView
from shared.columns import read_columns, read_receipt
from shared.errors import NotFoundError, UsageError
from shared.recipe import BoundStep
from shared.run import shard_reader
from shared.schema import BLOCKS_TYPE, DROPPED, FAILED, KEPT, STATE_NAMES, VERDICT_SCHEMA
from shared.shards import Shard
from shared.stages import Pipeline, Stage
from shared.store import Store
from shared.text.edits import apply_edits

#: Longest list or binary value shown whole (band digests of large signatures are not).
LONGEST_LIST = 64


@dataclass(frozen=True)
class Place:
    """A row of the spine."""

    shard: Shard
    row: int


def locate(store: Store, pipeline: Pipeline, document: str) -> Place:
    """The row of a document; NotFoundError where the batch has none of that id (yet)."""
    archive, _, position = document.rpartition(":")
    offset = position.partition("+")[0]
    candidates = [s for s in pipeline.batch.shards if s.source.name == archive]
    if not candidates or not offset.isdecimal():
        raise NotFoundError(f"batch {pipeline.batch.id} has no document {document!r}")
    owners = [s for s in candidates if s.start <= int(offset) < s.end]
    records = pipeline.recipe.steps[0]
    # An archive that cannot be split is read whole by its first shard.
    for shard in dict.fromkeys([*owners, candidates[0]]):
        folder = pipeline.column_folder(records)
        if read_receipt(store, folder, shard.id) is None:
            continue
        ids = read_columns(store, folder, shard.id, ["document"]).column("document")
        row = pc.index(ids, document).as_py()
        if row >= 0:
            return Place(shard, row)
    raise NotFoundError(f"batch {pipeline.batch.id} has no document {document!r} (yet)")


def life(store: Store, view: BatchView, document: str) -> dict[str, Any]:
    """Everything that the batch knows of a document."""
    pipeline = view.pipeline
    place = locate(store, pipeline, document)
    measured = {b.position: _row(store, pipeline, b, place) for b in _aligned(pipeline)}
    records = measured[0] or {}
    verdict = _verdict(store, pipeline, place)
    before, after = _texts(store, pipeline, place)
    return {
        "document": document,
        "batch": pipeline.batch.id,
        "url": records.get("url"),
        "archive": {
            "uri": place.shard.source.uri,
            "name": place.shard.source.name,
            "shard": place.shard.id,
            "row": place.row,
            **{k: records.get(k) for k in ("offset", "length", "record_id", "record_type")},
        },
        "verdict": verdict,
        "steps": [_step(b, measured[b.position]) for b in _aligned(pipeline)],
        "rules": list(_rules(pipeline, measured, verdict)),
        "text_before_edits": before,
        "text": after,
        "edits": _edits(pipeline, measured),
    }


def _aligned(pipeline: Pipeline) -> list[BoundStep]:
    """Steps whose columns are row-aligned."""
    return [b for b in pipeline.recipe.steps if b.step.row or b.step.source or b.step.join]


def _row(store: Store, pipeline: Pipeline, bound: BoundStep, place: Place) -> dict[str, Any] | None:
    """A step's values for one row, but its blocks; None where it is not committed for the shard."""
    folder = pipeline.column_folder(bound)
    if read_receipt(store, folder, place.shard.id) is None:
        return None
    names = [f.name for f in bound.step.schema if f.type != BLOCKS_TYPE]
    table = read_columns(store, folder, place.shard.id, names).slice(place.row, 1)
    return dict(table.to_pylist()[0])


def _verdict(store: Store, pipeline: Pipeline, place: Place) -> dict[str, Any]:
    """The latest verdict; final once the last stage is committed for the shard."""
    stages = [s for s in pipeline.stages if s.phase is None]
    for stage in reversed(stages):
        if read_receipt(store, stage.folder, place.shard.id) is not None:
            table = read_columns(store, stage.folder, place.shard.id, VERDICT_SCHEMA.names)
            row = table.slice(place.row, 1).to_pylist()[0]
            state = row.pop("state")
            final = stage is stages[-1] or state != KEPT
            return {"state": STATE_NAMES[state], **row, "final": final, "after": stage.name}
    return {"state": "unknown", "rule": None, "value": None, "threshold": None, "final": False}


def _step(bound: BoundStep, values: dict[str, Any] | None) -> dict[str, Any]:
    """What a step measured, with units and meaning."""
    hidden = ("text", "edits", "error")
    return {
        "step": bound.step.name,
        "params": bound.params.model_dump(mode="json"),
        "fingerprint": bound.fingerprint,
        "committed": values is not None,
        "error": (values or {}).get("error"),
        "measurements": {
            c.name: {
                "value": _plain((values or {}).get(c.name)),
                "unit": c.unit,
                "meaning": c.meaning,
            }
            for c in bound.step.columns
            if not c.transient and c.name not in hidden and c.type != BLOCKS_TYPE
        },
    }


def _plain(value: Any) -> Any:
    """A value as JSON can hold it exactly: bytes as hex, 64-bit digests as strings."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        shown = [str(v) if isinstance(v, int) else v for v in value[:LONGEST_LIST]]
        return shown if len(value) <= LONGEST_LIST else [*shown, f"... {len(value)} in all"]
    return value


def _rules(
    pipeline: Pipeline, measured: dict[int, dict[str, Any] | None], verdict: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Every rule in order with the measured value, up to the one that dropped the document."""
    for bound in _aligned(pipeline):
        for rule, name in zip(bound.rules, bound.rule_names, strict=True):
            values = measured[bound.inputs[rule.column]]
            if values is None:
                return
            dropped = name == verdict["rule"] and verdict["state"] == STATE_NAMES[DROPPED]
            value = values.get(rule.column.rpartition(".")[2])
            yield {"rule": name, "threshold": rule.condition, "value": value, "holds": not dropped}
            if dropped:
                return
        if verdict["state"] == STATE_NAMES[FAILED] and verdict["rule"] == bound.step.short:
            return


def _texts(store: Store, pipeline: Pipeline, place: Place) -> tuple[str | None, str | None]:
    """The main text as extracted, and after all edits."""
    provider = pipeline.provider("text")
    if provider is None:
        return None, None
    folder = pipeline.column_folder(provider)
    if read_receipt(store, folder, place.shard.id) is None:
        return None, None
    text = read_columns(store, folder, place.shard.id, ["text"]).column("text").slice(place.row, 1)
    after = text
    for bound in pipeline.recipe.steps:
        if bound.step.is_edit:
            edits = _row(store, pipeline, bound, place)
            if edits is None:
                break
            after = apply_edits(after, _as_column(bound, edits["edits"]))
    return text[0].as_py(), after[0].as_py()


def _as_column(bound: BoundStep, value: Any) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([value], bound.step.schema.field("edits").type)])


def _edits(pipeline: Pipeline, measured: dict[int, dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Spans that were removed or replaced, by step: byte offsets into the text before it."""
    return [
        {"step": b.step.name, "edits": (measured[b.position] or {}).get("edits") or []}
        for b in _aligned(pipeline)
        if b.step.is_edit
    ]


def payload(store: Store, view: BatchView, document: str) -> tuple[bytes, str | None]:
    """A document's bytes read again from the archive, and its content type.

    Raises UsageError where the archive no longer gives the bytes that the batch saw.
    """
    pipeline = view.pipeline
    place = locate(store, pipeline, document)
    records = pipeline.recipe.steps[0]
    known = _row(store, pipeline, records, place)
    assert records.step.source is not None
    assert known is not None
    reader = shard_reader(store, place.shard)
    seen = 0
    for table in records.step.source(reader, records.params):
        if seen + table.num_rows > place.row:
            row = table.slice(place.row - seen, 1).to_pylist()[0]
            break
        seen += table.num_rows
    else:
        raise UsageError(f"{document} is no longer in {place.shard.source.uri}")
    if row["payload_digest"] != known["payload_digest"]:
        raise UsageError(f"{document}: the archive's bytes have changed")
    return row["payload"] or b"", row["content_type"]


def latest_rows_stage(store: Store, pipeline: Pipeline, shard: Shard) -> Stage | None:
    """The last stage of rows that is committed for a shard."""
    for stage in reversed([s for s in pipeline.stages if s.phase is None]):
        if read_receipt(store, stage.folder, shard.id) is not None:
            return stage
    return None
