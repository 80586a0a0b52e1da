"""Errors as problem documents (RFC 9457) that name the field, file or task at fault."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

from services.gateway.headers import add_headers
from shared.errors import ConflictError, NotFoundError, TransientError, UsageError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """A problem document."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None


#: Documented for every route, beside 422, which FastAPI's own would document otherwise.
STATUSES = (400, 401, 403, 404, 405, 409, 413, 422, 429, 503)


def documented() -> dict[int, dict[str, Any]]:
    """What the OpenAPI document says of errors, once for every route."""
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    content = {MEDIA_TYPE: reference}
    return {
        status: {"description": HTTPStatus(status).phrase, "model": Problem, "content": content}
        for status in STATUSES
    }


def problem(
    status: int,
    title: str,
    detail: str,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem document as a response."""
    body = Problem(title=title, status=status, detail=detail, field=field)
    kept = body.model_dump(exclude_none=True)
    return JSONResponse(kept, status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error with a problem document."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UsageError, _usage)
    app.add_exception_handler(TransientError, _unavailable)
    app.add_exception_handler(RedisError, _unavailable)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first: Any = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part != "body")
    return problem(422, "Invalid request", f"{field}: {first['msg']}", field)


def _usage(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UsageError)
    match error:
        case NotFoundError():
            status, title = 404, "Not found"
        case ConflictError():
            status, title = 409, "Conflict"
        case _:
            status, title = 422, "Invalid request"
    if error.field is not None and status != 409:
        status = 422
    return problem(status, title, str(error), error.field)


def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    return problem(503, "Unavailable", f"{error}; try again")


def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    return problem(error.status_code, title, str(error.detail), headers=error.headers)


def _defect(request: Request, error: Exception) -> JSONResponse:
    log.error("defect in %s %s", request.method, request.url.path, exc_info=error)
    answer = problem(500, "Internal error", f"{type(error).__name__}; see the gateway's log")
    # Nothing wraps this answer, since it is made outside of all middleware.
    add_headers(request.scope, answer.headers)
    return answer
