"""What the REST API takes and returns."""

from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.state import Gateway
from shared.errors import UsageError

Item = TypeVar("Item")
LARGEST_PAGE = 500


class BatchRequest(BaseModel):
    """A batch to submit."""

    model_config = ConfigDict(extra="forbid")

    sources: list[str] = Field(
        min_length=1,
        description="URIs of archives: absolute paths, file://, s3://, gs://, az://, "
        "`store:` keys of uploads; one that ends with / stands for all objects below it",
    )
    recipe: str | dict[str, Any] = Field(description="a recipe's name, or an inline recipe")
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        description="step name to {params, keep}, merged into the recipe; null removes",
    )
    shard_bytes: int | None = Field(default=None, ge=1024, description="compressed bytes a shard")
    submitter: str = ""
    labels: dict[str, Any] = Field(default_factory=dict)


class Page(BaseModel, Generic[Item]):
    """A page of a list; `next` is the cursor of the following page, null at the end."""

    items: list[Item]
    next: str | None = None


class Paging(BaseModel):
    """Cursor and size of a page."""

    cursor: str | None
    limit: int


def paging(
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
) -> Paging:
    """Query parameters of a list."""
    return Paging(cursor=cursor, limit=limit)


def page_of(names: list[str], paging: Paging) -> tuple[list[str], str | None]:
    """A page of sorted names after the cursor, and the cursor of the next."""
    rest = [n for n in names if paging.cursor is None or n > paging.cursor]
    page = rest[: paging.limit]
    return page, page[-1] if len(rest) > len(page) else None


def parse_position(cursor: str | None) -> tuple[int, int]:
    """A cursor into documents: position of the shard, row in it."""
    if cursor is None:
        return 0, 0
    shard, _, row = cursor.partition(".")
    if not (shard.isdecimal() and row.isdecimal()):
        raise UsageError(f"cursor {cursor!r} is none of ours", field="cursor")
    return int(shard), int(row)


def gateway(request: Request) -> Gateway:
    """The gateway that serves the request."""
    found = request.app.state.gateway
    assert isinstance(found, Gateway)
    return found


GatewayDep = Annotated[Gateway, Depends(gateway)]
PagingDep = Annotated[Paging, Depends(paging)]
