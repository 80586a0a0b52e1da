"""`/ui`: the dashboard's routes."""

import gzip
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.gateway.ui import batch, documents, login, overview, recipes, rule, submit, training
from services.gateway.ui.render import STATIC, PageRoute
from shared.errors import NotFoundError

router = APIRouter(include_in_schema=False)
pages = APIRouter(prefix="/ui", route_class=PageRoute)
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@router.get("/")
@router.get("/ui")
def to_dashboard() -> Response:
    """People who open the gateway in a browser want the dashboard."""
    return RedirectResponse("/ui/", 307)


@pages.get("/static/{name:path}")
def static(name: str, request: Request) -> Response:
    """A file of the dashboard: its address changes with its content, so it may be kept."""
    file = _files().get(name)
    if file is None:
        raise NotFoundError(f"no file {name!r}")
    packed = "gzip" in request.headers.get("accept-encoding", "")
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    if packed:
        headers["Content-Encoding"] = "gzip"
    kind = _TYPES.get(file.suffix, "text/plain")
    return Response(_content(file, packed=packed), media_type=kind, headers=headers)


@cache
def _files() -> dict[str, Path]:
    """What may be served, by name."""
    return {str(p.relative_to(STATIC)): p for p in STATIC.rglob("*") if p.is_file()}


@cache
def _content(file: Path, *, packed: bool) -> bytes:
    data = file.read_bytes()
    return gzip.compress(data, mtime=0) if packed else data


for module in (overview, rule, documents, batch, training, recipes, submit, login):
    pages.include_router(module.router)


@pages.get("/{rest:path}")
def nothing(rest: str) -> Response:
    """Any other address, as a page."""
    raise NotFoundError(f"there is no page /ui/{rest}")


router.include_router(pages)
