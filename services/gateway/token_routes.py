"""`/v1/tokens`: access tokens, for administrators."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.models import GatewayDep, Page, PagingDep, page_of
from services.gateway.tokens import Role, create_token, list_tokens, parse_lifetime, revoke_token

router = APIRouter(prefix="/v1/tokens", tags=["access"])


class TokenRequest(BaseModel):
    """A token to make."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=128, description="whose it is, or what for")
    role: str = Field(description="read, submit or admin")
    expires: str | None = Field(default=None, description="such as 90d, 12h, 30m; null: never")


@router.post("", status_code=201)
def create(request: TokenRequest, gw: GatewayDep) -> dict[str, Any]:
    """Make a token. The answer's `token` is told once: only its hash is stored."""
    lifetime = None if request.expires is None else parse_lifetime(request.expires)
    token, text = create_token(gw.store, request.name, Role.of(request.role), lifetime)
    return {**token.describe(), "token": text}


@router.get("")
def list_all(gw: GatewayDep, page: PagingDep) -> Page[dict[str, Any]]:
    """Tokens by id, without their secrets."""
    tokens = {token.id: token for token in list_tokens(gw.store)}
    ids, following = page_of(sorted(tokens), page)
    return Page(items=[tokens[i].describe() for i in ids], next=following)


@router.delete("/{token}")
def revoke(token: str, gw: GatewayDep) -> dict[str, str]:
    """Revoke a token; every gateway refuses it within five seconds."""
    revoke_token(gw.store, token)
    return {"revoked": token}
