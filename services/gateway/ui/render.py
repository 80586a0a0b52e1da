"""Templates to responses: the Jinja environment, forms, and errors as pages.

Everything is escaped, and no script or style stands in a page: page texts are somebody else's HTML,
and `headers` tells browsers to run nothing inline.
"""

import hashlib
from collections.abc import Callable, Coroutine
from functools import cache
from inspect import isawaitable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, urlencode

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.gateway.access import Identity
from services.gateway.problems import Problem, problem
from services.gateway.tokens import Role
from services.gateway.ui import formats
from shared.errors import NotFoundError

HERE = Path(__file__).parent
STATIC = HERE / "static"


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
    for name in (
        "number",
        "measured",
        "size",
        "duration",
        "share",
        "percent",
        "when",
        "ago",
        "words",
    ):
        made.filters[name] = getattr(formats, name)
    made.globals.update(static=static_url, path=path, query=query)
    return made


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A template as a response."""
    identity = request.state.identity
    text = (
        environment()
        .get_template(template)
        .render(
            **context, here=request.url.path, identity=identity, may_submit=_may_submit(identity)
        )
    )
    return HTMLResponse(text, status)


def _may_submit(identity: Identity | None) -> bool:
    """Whether buttons that change something are of use."""
    return identity is not None and identity.may(Role.SUBMIT)


def go_to(address: str) -> RedirectResponse:
    """After a form was taken: on to a page."""
    return RedirectResponse(address, 303)


async def form(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; the last where one is named twice."""
    fields = parse_qs((await request.body()).decode(errors="replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}


FormDep = Annotated[dict[str, str], Depends(form)]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Handler:
        """The route's handler, and its errors."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:  # noqa: BLE001 - the application's own handler decides
                found = await told(request, error)
                if isinstance(error, NotFoundError):  # what the address names, not a form's field
                    found.status = 404
                return _problem_page(request, found)

        return answer


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
