"""Sources on the web: objects behind http:// and https://, read by ranges from public hosts only.

Not through obstore, which follows redirects and looks names up by itself: a public server could
send it to an address behind the gateway. Here each connection goes to an address that was looked up
and checked for it, TLS is checked against the name, and a redirect is an error that says where to.
Proxies of the environment are not used.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from shared.errors import NotFoundError, TransientError, UsageError
from shared.sources import public_addresses
from shared.store import Stat

TIMEOUT_SECONDS: Final = 30.0
#: Between tries.
_WAITS_SECONDS: Final = (0.2, 0.5, 1.5)
_PIECE_BYTES: Final = 2**20
Resolve = Callable[[str, int], list[str]]


class _Connection(http.client.HTTPConnection):
    """To an address that was checked, under the host's name."""

    def __init__(self, host: str, port: int, address: str, *, tls: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT_SECONDS)
        self._address, self._tls = address, tls

    def connect(self) -> None:
        """Connect; a name is never looked up here."""
        self.sock = socket.create_connection((self._address, self.port), TIMEOUT_SECONDS)
        if self._tls:
            self.sock = _tls().wrap_socket(self.sock, server_hostname=self.host)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class WebStore:
    """The objects of one server, read only; keys are paths."""

    def __init__(self, url: str, resolve: Resolve = public_addresses) -> None:
        self.url = url
        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._resolve = resolve

    def stat(self, key: str) -> Stat:
        """Size and etag, or time of change; NotFoundError where there is no such object."""
        with self._answer("HEAD", key, {}) as response:
            size = response.getheader("Content-Length", "")
            if not size.isdecimal():
                raise UsageError(f"{self._name(key)}: the server does not say its size")
            tag = response.getheader("ETag") or response.getheader("Last-Modified")
            return Stat(int(size), tag or size)

    def range_reader(self, key: str, size: int) -> Callable[[int, int], bytes]:
        """A function that reads bytes [offset, offset + length), fewer only at the end."""

        def read(offset: int, length: int) -> bytes:
            length = min(length, size - offset)
            return self._range(key, offset, length) if length > 0 else b""

        return read

    def _range(self, key: str, offset: int, length: int) -> bytes:
        wanted = {"Range": f"bytes={offset}-{offset + length - 1}"}
        with self._answer("GET", key, wanted) as response:
            given = response.getheader("Content-Range", "")
            if response.status != 206 or not given.startswith(f"bytes {offset}-"):
                raise UsageError(f"{self._name(key)}: the server gives no ranges of bytes")
            data = response.read(length)
        if len(data) < length:
            raise TransientError(f"{self._name(key)}: {len(data)} of {length} bytes came")
        return data

    def get(self, key: str) -> bytes:
        """The whole object."""
        size = self.stat(key).size
        return self.range_reader(key, size)(0, size)

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a local file."""
        size = self.stat(key).size
        partial = path.with_name(path.name + ".partial")
        read = self.range_reader(key, size)
        with partial.open("wb") as file:
            for offset in range(0, size, _PIECE_BYTES):
                file.write(read(offset, _PIECE_BYTES))
        partial.replace(path)

    @contextmanager
    def _answer(
        self, method: str, key: str, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """A good answer, after some tries. Refusals are UsageError, the rest TransientError."""
        try:
            connection, response = self._ask(method, key, headers)
        except (OSError, http.client.HTTPException) as error:
            raise TransientError(f"{self._name(key)}: {error}") from error
        try:
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise TransientError(f"{self._name(key)}: {error}") from error
        finally:
            response.close()
            connection.close()

    def _ask(
        self, method: str, key: str, headers: dict[str, str]
    ) -> tuple[_Connection, http.client.HTTPResponse]:
        target = quote("/" + key, safe="/%~!$&'()*+,;=:@-._")
        headers = {"Accept-Encoding": "identity", "User-Agent": "corpusmill", **headers}
        for wait in (*_WAITS_SECONDS, None):
            connection = self._connection()
            try:
                connection.request(method, target, headers=headers)
                response = connection.getresponse()
                self._judge(key, response)
            except (OSError, http.client.HTTPException, TransientError):
                connection.close()
                if wait is None:
                    raise
                time.sleep(wait)
            except UsageError:
                connection.close()
                raise
            else:
                return connection, response
        raise AssertionError("unreachable")

    def _connection(self) -> _Connection:
        """To the first of the host's addresses that answers."""
        addresses = self._resolve(self._host, self._port)
        for address in addresses:
            connection = _Connection(self._host, self._port, address, tls=self._tls)
            try:
                connection.connect()
            except OSError:
                connection.close()
                if address == addresses[-1]:
                    raise
                continue
            return connection
        raise TransientError(f"{self._host} has no address")

    def _judge(self, key: str, response: http.client.HTTPResponse) -> None:
        name, status = self._name(key), response.status
        if status in (404, 410):
            raise NotFoundError(f"no object {name}")
        if 300 <= status < 400:
            to = response.getheader("Location", "")[:300]
            raise UsageError(f"{name}: redirects are not followed (to {to!r}): name the last one")
        if status in (408, 425, 429) or status >= 500:
            raise TransientError(f"the server answers {status}")
        if status not in (200, 206):
            raise UsageError(f"{name}: the server answers {status}")

    def _name(self, key: str) -> str:
        return f"{self.url}/{key}"
