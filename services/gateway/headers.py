"""What every answer tells browsers: where its parts may come from, and to keep it nowhere."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
#: Pages: everything from here, and neither script nor style in the page.
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """The middleware that tells browsers what they may do with an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers; what a route says about caching and parts stands."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(scope, MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, sending)


def add_headers(scope: Scope, headers: MutableHeaders) -> None:
    """Headers of an answer to the request `scope`."""
    path = scope["path"]
    is_page = path == "/ui" or path.startswith("/ui/")
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("Content-Security-Policy", _PAGE_POLICY if is_page else _API_POLICY)
    headers.setdefault("Cache-Control", "no-store")
    if scope.get("scheme") == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
