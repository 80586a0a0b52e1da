"""A small client of the REST API, for the command line and for tests."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from shared.errors import ConflictError, NotFoundError, TransientError, UsageError

UPLOAD_CHUNK = 1 << 20
TOKEN_VARIABLE = "CORPUSMILL_TOKEN"  # noqa: S105 (a name, no secret)
#: Requests that the gateway counted as too many are sent again after it says when, this often.
TOO_MANY_TRIES = 5


class Client:
    """Talks to a gateway; problem documents become the errors of `shared.errors`.

    Without `token`, the one in CORPUSMILL_TOKEN is sent, if there is one.
    """

    def __init__(self, url: str, timeout: float = 60.0, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        token = os.environ.get(TOKEN_VARIABLE, "").strip() if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=self.url, timeout=timeout, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """One request; the parsed answer."""
        for left in reversed(range(TOO_MANY_TRIES)):
            try:
                response = self._http.request(method, path, **arguments)
            except httpx.TransportError as error:
                raise TransientError(f"no answer from {self.url}: {error}") from error
            # The gateway counts before it does anything; a stream cannot be sent twice.
            if response.status_code != 429 or not left or "content" in arguments:
                break
            time.sleep(float(response.headers.get("Retry-After", "1")))
        if response.is_success:
            return response.json()
        raise _error(response)

    def get(self, path: str, **parameters: Any) -> Any:
        """GET; parameters that are None are left out."""
        kept = {k: v for k, v in parameters.items() if v is not None}
        return self.call("GET", path, params=kept)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """POST of JSON."""
        return self.call("POST", path, json=body, headers=headers)

    def pages(self, path: str, **parameters: Any) -> Iterator[Any]:
        """All items of a list."""
        cursor = None
        while True:
            page = self.get(path, cursor=cursor, limit=200, **parameters)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def upload(self, path: Path) -> str:
        """Send a local file; returns its URI for a batch."""

        def chunks() -> Iterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(UPLOAD_CHUNK):
                    yield chunk

        # Told beforehand, so that a gateway refuses what is too large before it is sent.
        headers = {"Content-Length": str(path.stat().st_size)}
        answer = self.call(
            "POST", "/v1/uploads", params={"name": path.name}, content=chunks(), headers=headers
        )
        return str(answer["uri"])


def _error(response: httpx.Response) -> Exception:
    try:
        body = response.json()
    except ValueError:
        body = {}
    detail = str(body.get("detail") or f"{response.status_code} {response.text[:200]}")
    match response.status_code:
        case 401:
            return UsageError(f"{detail}; put a token into {TOKEN_VARIABLE}")
        case 429:
            return TransientError(detail)
        case 404:
            return NotFoundError(detail)
        case 409:
            return ConflictError(detail)
        case status if status >= 500:
            return TransientError(detail)
        case _:
            return UsageError(detail, field=body.get("field"))
