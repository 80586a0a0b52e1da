"""`/v1/batches/{id}/documents`: list documents by verdict, and tell the life of one."""

from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Query, Response

from services.gateway import life
from services.gateway.catalog import BatchView
from services.gateway.models import GatewayDep, Page, PagingDep, parse_position
from services.gateway.trace import spans_of_document
from shared.columns import read_columns, read_receipt
from shared.errors import UsageError
from shared.schema import STATE_NAMES, VERDICT_SCHEMA
from shared.shards import Shard
from shared.store import Store

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["documents"])
Verdict = Literal["kept", "dropped", "failed"]


@router.get("/documents")
def list_documents(
    batch_id: str,
    gw: GatewayDep,
    page: PagingDep,
    verdict: Verdict | None = None,
    rule: Annotated[str | None, Query(description="the rule that dropped it")] = None,
    url: Annotated[str | None, Query(description="part of the URL")] = None,
    language: Annotated[str | None, Query(description="measured label, such as en")] = None,
) -> Page[dict[str, Any]]:
    """Documents in spine order with their verdicts so far, filtered."""
    view = gw.catalog.view(batch_id)
    known = {name for s in view.pipeline.stages for name in s.rule_names}
    failing = {b.step.short for b in view.pipeline.recipe.steps}
    if rule is not None and rule not in known | failing:
        raise UsageError(f"no rule {rule!r}; there are {', '.join(sorted(known))}", field="rule")
    first_shard, first_row = parse_position(page.cursor)
    items: list[dict[str, Any]] = []
    for shard in view.batch.shards[first_shard:]:
        table = _verdicts(gw.store, view, shard)
        keep = _matching(table, verdict, rule, url, language)
        start = first_row if shard.index == first_shard else 0
        for row in keep[keep >= start].tolist():
            if len(items) == page.limit:
                return Page(items=items, next=f"{shard.index}.{row}")
            items.append(_item(table.slice(row, 1)))
    return Page(items=items)


def _verdicts(store: Store, view: BatchView, shard: Shard) -> pa.Table:
    """The shard's documents with verdicts so far, URL and language."""
    pipeline = view.pipeline
    stage = life.latest_rows_stage(store, pipeline, shard)
    if stage is None:
        names = ["document", "url", "language", *VERDICT_SCHEMA.names]
        return pa.schema([(n, pa.string()) for n in names]).empty_table()
    table = read_columns(store, stage.folder, shard.id, VERDICT_SCHEMA.names)
    for name in ("language", "url", "document"):
        bound = pipeline.provider(name)
        column: Any = pa.nulls(table.num_rows, pa.string())
        if bound is not None:
            folder = pipeline.column_folder(bound)
            if read_receipt(store, folder, shard.id) is not None:
                column = read_columns(store, folder, shard.id, [name]).column(name)
        table = table.add_column(0, name, column)
    return table


def _matching(
    table: pa.Table, verdict: str | None, rule: str | None, url: str | None, language: str | None
) -> Any:
    """Rows that pass all filters."""
    mask = np.ones(table.num_rows, np.bool_)

    def narrow(passes: pa.ChunkedArray) -> None:
        mask[:] &= np.asarray(pc.fill_null(passes, False))

    if verdict is not None and table.num_rows:
        narrow(pc.equal(table.column("state"), STATE_NAMES.index(verdict)))
    if rule is not None:
        narrow(pc.equal(table.column("rule"), rule))
    if url is not None:
        narrow(pc.match_substring(table.column("url"), url))
    if language is not None:
        narrow(pc.equal(table.column("language"), language))
    return np.flatnonzero(mask)


def _item(row: pa.Table) -> dict[str, Any]:
    item = dict(row.to_pylist()[0])
    return {**item, "state": STATE_NAMES[item["state"]]}


@router.get("/documents/{document:path}")
def read_document(batch_id: str, document: str, gw: GatewayDep) -> dict[str, Any]:
    """The life of a page: archive, text before and after edits, measurements, verdict, spans."""
    view = gw.catalog.view(batch_id)
    told = life.life(gw.store, view, document)
    return {**told, "spans": spans_of_document(gw.store, view.pipeline, document)}


@router.get("/payloads/{document:path}", response_class=Response)
def read_payload(batch_id: str, document: str, gw: GatewayDep) -> Response:
    """The document's bytes, read again from the archive and checked against their digest.

    Served as an attachment and never as a page: it is somebody else's HTML.
    """
    data, content_type = life.payload(gw.store, gw.catalog.view(batch_id), document)
    headers = {
        "Content-Disposition": "attachment",
        "X-Archived-Content-Type": (content_type or "").encode("ascii", "replace").decode(),
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, media_type="application/octet-stream", headers=headers)
