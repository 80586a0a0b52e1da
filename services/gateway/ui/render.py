"""Templates to responses: the Jinja environment, security headers, and errors as pages.

Everything is escaped. Scripts, styles and data come from this server alone, and nothing inline is
run: page texts are somebody else's HTML.
"""

import hashlib
from collections.abc import Callable, Coroutine
from functools import cache
from inspect import isawaitable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.gateway.problems import Problem, problem
from services.gateway.ui import formats

HERE = Path(__file__).parent
STATIC = HERE / "static"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: A form holds sources and perhaps a recipe.
LARGEST_FORM = 4 * 2**20


@cache
def static_url(name: str) -> str:
    """The address of a static file, with its content's hash: it may be cached for ever."""
    digest = hashlib.blake2b((STATIC / name).read_bytes(), digest_size=6).hexdigest()
    return f"/ui/static/{name}?v={digest}"


def path(*parts: str) -> str:
    """An address below /ui from parts that may hold anything; slashes of the last one stay."""
    *first, last = parts
    return "/".join(["/ui", *(quote(p, safe="") for p in first), quote(last, safe="/:+")])


def query(**values: Any) -> str:
    """A query string of the values that are there."""
    return urlencode({k: v for k, v in values.items() if v not in (None, "")})


@cache
def environment() -> Environment:
    """The templates."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("number", "size", "duration", "share", "percent", "when", "ago", "words"):
        made.filters[name] = getattr(formats, name)
    made.globals.update(static=static_url, path=path, query=query)
    return made


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A template as a response."""
    identity = getattr(request.state, "identity", None)
    text = (
        environment()
        .get_template(template)
        .render(**context, here=request.url.path, identity=identity)
    )
    return HTMLResponse(text, status, headers=HEADERS)


def go_to(address: str) -> RedirectResponse:
    """After a form was taken: on to a page."""
    return RedirectResponse(address, 303, headers=HEADERS)


async def form(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; the last where one is named twice."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise ValueError("the form is too large")
    fields = parse_qs(body.decode(), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose errors are pages, and which takes forms from this site's own pages alone."""

    def get_route_handler(self) -> Handler:
        """The route's handler between the check of where a form is from, and its errors."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if request.method == "POST" and not _is_ours(request):
                return _problem_page(request, _foreign())
            try:
                return await handle(request)
            except Exception as error:  # noqa: BLE001 - the application's own handler decides
                return _problem_page(request, await told(request, error))

        return answer


def _is_ours(request: Request) -> bool:
    """Whether a form comes from a page of this site: browsers say so, other clients say nothing."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site") in (None, "same-origin", "none")
    return urlsplit(origin).netloc == request.headers.get("host")


def _foreign() -> Problem:
    detail = "this form was sent from another site's page"
    return Problem(title="Refused", status=403, detail=detail)


async def told(request: Request, error: Exception) -> Problem:
    """What the API says of an error: its handlers decide, for pages too."""
    handlers = request.app.exception_handlers
    handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
    response = handler(request, error)
    if isawaitable(response):
        response = await response
    return Problem.model_validate_json(response.body)


def _problem_page(request: Request, found: Problem) -> Response:
    if request.headers.get("hx-request"):  # a fragment: the page's script says it
        return problem(found.status, found.title, found.detail, found.field)
    return page(request, "problem.html", found.status, problem=found)
