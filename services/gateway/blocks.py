"""`/v1/batches/{id}/blocks/{document}`: a page's blocks of text in order, kept and removed ones.

Blocks are stored where the recipe names a step that has them (`extraction.blocks_v1`). A page can
have a hundred thousand, so they come by the page, and of the column only the row group that holds
the document is fetched.
"""

from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from services.gateway.catalog import BatchView
from services.gateway.life import Place, locate
from services.gateway.models import GatewayDep, Page, Paging, PagingDep
from shared.errors import NotFoundError, UsageError
from shared.ranges import open_table
from shared.recipe import BoundStep
from shared.schema import BLOCKS_TYPE
from shared.stages import Pipeline
from shared.store import Store

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["documents"])
Only = Literal["kept", "removed"]


class Block(BaseModel):
    """A block of text between two block-level boundaries of the page."""

    index: int = Field(description="its place among all blocks of the page, from 0")
    start: int = Field(description="where it starts, in bytes of the page as UTF-8")
    end: int = Field(description="where it ends, in bytes of the page as UTF-8")
    kind: str = Field(description="paragraph, heading, item, term, code or row")
    probability: float = Field(description="that it is main text, 0 to 1")
    kept: bool = Field(description="whether it is part of the main text")
    text: str


class Blocks(Page[Block]):
    """Some of a page's blocks, and how many it has."""

    document: str
    step: str = Field(description="the step that stored them")
    blocks: int | None = Field(description="of the page; null: an earlier rule dropped it")
    kept: int | None = Field(description="of those, the ones in the main text")


def blocks_step(pipeline: Pipeline) -> tuple[BoundStep, str] | None:
    """The step of the batch's recipe that stores blocks, and its column."""
    for bound in pipeline.recipe.steps:
        for column in bound.step.columns:
            if column.type == BLOCKS_TYPE and not bound.step.phases:
                return bound, column.name
    return None


def read_page(
    store: Store, view: BatchView, document: str, only: Only | None, page: Paging
) -> Blocks:
    """Some of a document's blocks; NotFoundError where the batch has stored none for it."""
    found = blocks_step(view.pipeline)
    if found is None:
        name = view.pipeline.recipe.recipe.name
        raise NotFoundError(f"recipe {name!r} stores no blocks: it has no extraction.blocks_v1")
    bound, column = found
    first = _index(page.cursor)
    place = locate(store, view.pipeline, document)
    row = _read_row(store, view.pipeline.column_folder(bound), place, column)
    if not row[0].is_valid:
        return Blocks(items=[], document=document, step=bound.step.name, blocks=None, kept=None)
    blocks = row.flatten()
    index = pa.array(range(len(blocks)), pa.int64())
    kept = blocks.field("kept")
    if only is not None:
        index = index.filter(kept if only == "kept" else pc.invert(kept))
    rest = index.filter(pc.greater_equal(index, first))
    chosen = rest.slice(0, page.limit)
    values = zip(chosen.to_pylist(), blocks.take(chosen).to_pylist(), strict=True)
    return Blocks(
        items=[Block(index=i, **value) for i, value in values],
        next=str(rest[page.limit]) if len(rest) > page.limit else None,
        document=document,
        step=bound.step.name,
        blocks=len(blocks),
        kept=pc.sum(kept).as_py() or 0,
    )


def _index(cursor: str | None) -> int:
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 16):
        raise UsageError(f"cursor {cursor!r} is none of ours", field="cursor")
    return int(cursor or 0)


def _read_row(store: Store, folder: str, place: Place, column: str) -> pa.Array:
    """One row of a stored column; NotFoundError where it is not committed."""
    file = open_table(store, folder, place.shard.id)
    row = place.row
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < rows:
            table = file.read_row_group(group, columns=[column], use_threads=False)
            return table.column(column).slice(row, 1).combine_chunks()
        row -= rows
    raise NotFoundError(f"{folder}{place.shard.id} has no row {place.row}")


@router.get("/blocks/{document:path}")
def read_blocks(
    batch_id: str,
    document: str,
    gw: GatewayDep,
    page: PagingDep,
    only: Annotated[Only | None, Query(description="the kept or the removed ones alone")] = None,
) -> Blocks:
    """The page's blocks of text in its order: kind, probability, whether kept, and text.

    Where the recipe has `extraction.blocks_v1`; else, and before the step has ended for the
    document's shard, there are none.
    """
    return read_page(gw.store, gw.catalog.view(batch_id), document, only, page)
