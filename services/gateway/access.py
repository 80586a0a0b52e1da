"""Who may do what: the one place where a request is let in.

The table `ROLES` says which role each route needs. What it does not list is refused, so that a new
route without a declared role serves nobody. Tokens come in the Authorization header, or, for the
dashboard, in a cookie; see docs/access.md.
"""

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.problems import problem
from services.gateway.state import Gateway
from services.gateway.tokens import Role, list_tokens
from shared.errors import TransientError, UsageError
from shared.settings import Settings
from shared.sources import is_loopback
from shared.store import Store

log = logging.getLogger(__name__)

COOKIE: Final = "corpusmill_token"
LOGIN: Final = "/ui/login"
#: A browser forgets its token after this, or when the token expires.
COOKIE_SECONDS: Final = 7 * 86_400
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN: Final = None
_READ, _SUBMIT, _ADMIN = Role.READ, Role.SUBMIT, Role.ADMIN

#: Method and path of each route, and the role that it needs. The first that fits counts.
ROLES: Final[tuple[tuple[str, str, Role | None], ...]] = (
    ("GET", "/healthz", OPEN),
    ("GET", "/readyz", OPEN),
    ("GET", "/ui/static/{name:path}", OPEN),
    ("GET", LOGIN, OPEN),
    ("POST", LOGIN, OPEN),
    ("GET", "/v1/tokens", _ADMIN),
    ("POST", "/v1/tokens", _ADMIN),
    ("DELETE", "/v1/tokens/{token}", _ADMIN),
    ("GET", "/v1/batches", _READ),
    ("GET", "/v1/batches/{batch_id}", _READ),
    ("GET", "/v1/batches/{batch_id}/documents", _READ),
    ("GET", "/v1/batches/{batch_id}/documents/{document:path}", _READ),
    ("GET", "/v1/batches/{batch_id}/payloads/{document:path}", _READ),
    ("GET", "/v1/batches/{batch_id}/blocks/{document:path}", _READ),
    ("GET", "/v1/batches/{batch_id}/logs", _READ),
    ("GET", "/v1/batches/{batch_id}/rules/{rule}/around", _READ),
    ("GET", "/v1/batches/{batch_id}/signals", _READ),
    ("GET", "/v1/batches/{batch_id}/signals/{column}", _READ),
    ("GET", "/v1/datasets", _READ),
    ("GET", "/v1/datasets/{dataset}", _READ),
    ("GET", "/v1/indexes", _READ),
    ("GET", "/v1/indexes/{name}", _READ),
    ("GET", "/v1/queues", _READ),
    ("GET", "/v1/queues/{queue}", _READ),
    ("GET", "/v1/recipes", _READ),
    ("GET", "/v1/recipes/{name}", _READ),
    ("GET", "/v1/runs", _READ),
    ("GET", "/v1/runs/{run}", _READ),
    ("GET", "/v1/runs/{run}/steps/{step}/documents", _READ),
    ("GET", "/v1/steps", _READ),
    ("GET", "/v1/trace/documents", _READ),
    ("POST", "/v1/batches", _SUBMIT),
    ("POST", "/v1/batches/{batch_id}/cancel", _SUBMIT),
    ("POST", "/v1/batches/{batch_id}/retry", _SUBMIT),
    ("POST", "/v1/batches/{batch_id}/preview", _READ),
    ("DELETE", "/v1/batches/{batch_id}", _ADMIN),
    ("POST", "/v1/recipes/validate", _READ),
    ("POST", "/v1/runs", _SUBMIT),
    ("POST", "/v1/runs/{run}/cancel", _SUBMIT),
    ("POST", "/v1/uploads", _SUBMIT),
    ("POST", "/v1/indexes/{name}/compact", _ADMIN),
    ("POST", "/v1/indexes/{name}/rebuild", _ADMIN),
    ("DELETE", "/v1/indexes/{name}/batches/{batch}", _ADMIN),
    ("DELETE", "/v1/indexes/{name}", _ADMIN),
    ("GET", "/metrics", _READ),
    ("GET", "/openapi.json", _READ),
    ("GET", "/docs", _READ),
    ("GET", "/", _READ),
    ("GET", "/ui", _READ),
    ("GET", "/ui/{rest:path}", _READ),
    ("POST", "/ui/logout", _READ),
    ("POST", "/ui/submit", _SUBMIT),
    ("POST", "/ui/batches/{batch_id}/cancel", _SUBMIT),
    ("POST", "/ui/batches/{batch_id}/retry", _SUBMIT),
    ("POST", "/ui/runs/{run}/cancel", _SUBMIT),
)
#: Its beginning keeps a browser here, so that the rest may be what it likes, but for controls.
_PAGE: Final = re.compile(r"/ui(?:[/?][^\\\x00-\x20\x7f]*)?")
_PATTERNS: Final = tuple((method, compile_path(path)[0], role) for method, path, role in ROLES)


@dataclass(frozen=True)
class Identity:
    """Who makes a request. `token` is the token's id, None where no token is needed."""

    name: str
    role: Role
    token: str | None = None
    expires: datetime | None = None

    def may(self, role: Role) -> bool:
        """Whether the role is enough."""
        return self.role >= role


#: Everyone on this machine, where the gateway is bound to loopback and needs no tokens.
LOCAL: Final = Identity("local", Role.ADMIN)


def tokens_required(conf: Settings) -> bool:
    """Whether requests need a token: the setting can ask for more than the address, not less."""
    return bool(conf.require_tokens) or not is_loopback(conf.host)


def check_start(conf: Settings, store: Store) -> None:
    """Raise UsageError where tokens are needed and there is none that works."""
    if tokens_required(conf) and not any(token.is_valid for token in list_tokens(store)):
        raise UsageError(
            f"the gateway binds to {conf.host} and needs access tokens, and the store {conf.store} "
            "has none that is valid. Make one: corpusmill token create NAME --role admin "
            f"--store {conf.store}"
        )


def identify(gw: Gateway, token: str) -> Identity | None:
    """Whose token this is; None where it is wrong, revoked or expired."""
    found = gw.tokens.find(token.strip())
    return None if found is None else Identity(found.name, found.role, found.id, found.expires)


def role_of(method: str, path: str) -> tuple[bool, Role | None, list[str]]:
    """(whether it is a declared route, the role it needs, the methods that the path has)."""
    method = "GET" if method == "HEAD" else method
    methods = []
    for known, pattern, role in _PATTERNS:
        if pattern.match(path):
            if known == method:
                return True, role, [method]
            methods.append(known)
    return False, _READ, sorted(set(methods))


def set_cookie(request: Request, response: Response, token: str, identity: Identity) -> None:
    """Let the browser keep the token: no script can read it, no other site can have it sent."""
    seconds = float(COOKIE_SECONDS)
    if identity.expires is not None:
        seconds = min(seconds, (identity.expires - datetime.now(UTC)).total_seconds())
    is_tls = request.url.scheme == "https"
    response.set_cookie(
        COOKIE, token.strip(), int(seconds), httponly=True, samesite="strict", secure=is_tls
    )


def clear_cookie(response: Response) -> None:
    """Let the browser forget the token."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def safe_next(path: str | None) -> str:
    """Where to go after the login: a page of the dashboard, whatever the address asked for."""
    if path is None or not _PAGE.fullmatch(path) or path.startswith(LOGIN):
        return "/ui/"
    return path


class Access:
    """The middleware that lets requests in, or answers them with 401, 403, 404, 405, 429."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request; nothing of its body is read for that."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the API has no web sockets
            await send({"type": "websocket.close", "code": 4403})
            return
        request = Request(scope)
        request.state.identity = None
        refusal = await _judge(request)
        await (self._app if refusal is None else refusal)(scope, receive, send)


async def _judge(request: Request) -> Response | None:
    """The answer to a request that is refused; else its identity is in `request.state`."""
    gw: Gateway = request.app.state.gateway
    known, role, methods = role_of(request.method, request.scope["path"])
    if not tokens_required(gw.conf):
        if not _is_local(request):
            detail = "without access tokens this gateway serves its own machine only"
            return problem(403, "Forbidden", f"{detail}, under a loopback address")
        request.state.identity = LOCAL
    if request.method not in SAFE and _from_elsewhere(request):
        return problem(403, "Forbidden", "a page of another site asked for this")
    if role is OPEN:
        return None
    if request.state.identity is None:
        refusal = await _authenticate(request, gw)
        if refusal is not None:
            return refusal
    if not known:
        return _unknown(methods)
    identity: Identity = request.state.identity
    if not identity.may(role):
        detail = f"this needs the role {role.word}; the token has {identity.role.word}"
        return problem(403, "Forbidden", detail)
    return None


async def _authenticate(request: Request, gw: Gateway) -> Response | None:
    """Find out whose request it is, and count it; the refusal where there is one."""
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    by_cookie = not kind and COOKIE in request.cookies
    text = request.cookies[COOKIE] if by_cookie else text if kind.lower() == "bearer" else ""
    try:
        identity, wait = await run_in_threadpool(_admit, gw, text)
    except TransientError as error:
        return problem(503, "Unavailable", f"{error}; try again")
    if identity is None:
        return _unauthorized(request, "an access token is needed" if not text else _WRONG)
    if by_cookie and request.method not in SAFE and not _from_here(request):
        return problem(403, "Forbidden", "with a cookie, only the dashboard's own pages may ask")
    if wait > 0:
        detail = f"more than {gw.conf.rate_limit} requests a second; try again in {wait} s"
        return problem(429, "Too many requests", detail, headers={"Retry-After": str(wait)})
    request.state.identity = identity
    return None


_WRONG: Final = "the access token is wrong, revoked or expired"


def _admit(gw: Gateway, text: str) -> tuple[Identity | None, int]:
    """Whose token, and the seconds to wait where it was used too often."""
    identity = identify(gw, text)
    if identity is None or identity.token is None:
        return None, 0
    return identity, gw.limiter.wait(identity.token)


def _unauthorized(request: Request, detail: str) -> Response:
    path = request.url.path
    if request.method in SAFE and (path in ("/", "/ui") or path.startswith("/ui/")):
        asked = path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{LOGIN}?next={quote(safe_next(asked), safe='/')}", 303)
    headers = {"WWW-Authenticate": 'Bearer realm="corpusmill"'}
    return problem(401, "Unauthorized", detail, headers=headers)


def _unknown(methods: list[str]) -> Response:
    if methods:
        allowed = ", ".join(methods)
        return problem(
            405, "Method not allowed", f"there is {allowed} only", headers={"Allow": allowed}
        )
    return problem(404, "Not found", "there is no such route, or none that has a role")


def _is_local(request: Request) -> bool:
    """Whether both the socket's address and the Host header are loopback.

    The header is what a page of another site, whose name was made to mean 127.0.0.1 (DNS
    rebinding), cannot choose.
    """
    server: Any = request.scope.get("server")
    host = request.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    # A Unix socket has no address, and none but this machine has the socket.
    at = "localhost" if server is None or server[0].startswith("/") else server[0]
    return is_loopback(name) and is_loopback(at)


def _from_elsewhere(request: Request) -> bool:
    """Whether a browser says that another site's page makes this request.

    Programs send neither header.
    """
    said = "sec-fetch-site" in request.headers or "origin" in request.headers
    return said and not _from_here(request)


def _from_here(request: Request) -> bool:
    """Whether a browser says that one of our own pages makes this request."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host", "")
