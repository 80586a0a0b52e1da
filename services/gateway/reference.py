"""The OpenAPI document, with each route's role, and `/docs`: the same as a page for people.

FastAPI's own pages load their scripts from elsewhere, which a cluster without a way out cannot, and
which would run somebody else's code beside the dashboard's cookie. This one is plain HTML.
"""

import base64
import hashlib
from html import escape
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from services.gateway.access import role_of
from services.gateway.problems import MEDIA_TYPE

router = APIRouter()
SCHEME: Final = "token"
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;"
    "margin:auto;padding:1rem}code{font-size:.95em}dt{margin-top:1.5rem;font-weight:600}"
    "table{border-collapse:collapse}td{padding:.1rem 1rem .1rem 0;vertical-align:top}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
)


def install(app: FastAPI) -> None:
    """Give the application its OpenAPI document and its page."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    app.include_router(router)


def _document(app: FastAPI) -> dict[str, Any]:
    told = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    bearer = {"type": "http", "scheme": "bearer", "description": "cm_<id>_<secret>"}
    told.setdefault("components", {})["securitySchemes"] = {SCHEME: bearer}
    for path, item in told["paths"].items():
        for method, operation in item.items():
            _, role, _ = role_of(method.upper(), path)
            operation["x-role"] = "open" if role is None else role.word
            operation["security"] = [] if role is None else [{SCHEME: []}]
            for status, answer in operation["responses"].items():
                if int(status) >= 400:  # FastAPI writes errors down as plain JSON too
                    answer["content"] = {MEDIA_TYPE: answer["content"][MEDIA_TYPE]}
    return told


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """Every route: what it does, which role it needs, what it takes."""
    told = request.app.openapi()
    head = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{escape(told['info']['title'])}: API</title><style>{_STYLE}</style>"
        f"<h1>{escape(told['info']['title'])}: API</h1><p>{escape(told['info']['description'])}"
        "<p>The same for programs: <a href=/openapi.json>/openapi.json</a>. "
        "Authorization: Bearer and a token. Errors are problem documents (RFC 9457).<dl>"
    )
    operations = [
        _operation(method.upper(), path, operation)
        for path, item in told["paths"].items()
        for method, operation in item.items()
    ]
    page = "".join([head, *operations, "</dl>"])
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code><td>{escape(p['in'])}"
        f"<td>{escape(p.get('description', ''))}"
        for p in operation.get("parameters", [])
    )
    text = escape(operation.get("description", "")).replace("\n\n", "<p>")
    return (
        f"<dt><code>{method} {escape(path)}</code> ({escape(operation['x-role'])})"
        f"<dd><p>{text}" + (f"<table>{rows}</table>" if rows else "")
    )
