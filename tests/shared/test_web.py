"""Objects of the web, from a real server: ranges, redirects, names that change their address."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from shared import web
from shared.errors import NotFoundError, TransientError, UsageError
from shared.store import Store, open_source
from shared.web import WebStore

DATA = bytes(range(256)) * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves DATA under /data, and other answers under other paths."""

    asked: ClassVar[list[tuple[str, str, str]]] = []

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.asked.append((self.command, self.path, self.headers["Host"]))
        name = self.path.strip("/").partition("/")[0]
        if name.isdecimal():
            self.send_response(int(name))
            self.send_header("Location", "http://127.0.0.1/secret")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, last = 0, len(DATA) - 1
        ranges = self.headers.get("Range") if name != "whole" else None
        if ranges:
            first, last = (int(n) for n in ranges.removeprefix("bytes=").split("-"))
        self.send_response(206 if ranges else 200)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(DATA)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("ETag", '"one"')
        self.end_headers()
        if body:
            part = DATA[first : last + 1]
            self.wfile.write(part[: len(part) // 2] if name == "short" else part)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def served(port, monkeypatch) -> WebStore:
    """The server, under a name that means it (the check of addresses has tests of its own)."""
    monkeypatch.setattr(web, "_WAITS_SECONDS", (0.01,))
    Handler.asked.clear()
    return WebStore(f"http://crawl.example:{port}", lambda _host, _port: ["127.0.0.1"])


def test_ranges(served, tmp_path, port):
    stat = served.stat("data")
    assert (stat.size, stat.etag) == (len(DATA), '"one"')
    read = served.range_reader("data", stat.size)
    assert read(10, 20) == DATA[10:30]
    assert read(len(DATA) - 5, 20) == DATA[-5:]
    assert read(len(DATA), 20) == b""
    served.download("data", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == DATA == served.get("data")
    assert {host for _, _, host in Handler.asked} == {f"crawl.example:{port}"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(served, status):
    with pytest.raises(UsageError, match="redirects are not followed"):
        served.stat(f"{status}")
    with pytest.raises(UsageError, match="redirects are not followed"):
        served.range_reader(f"{status}", 10)(0, 10)
    assert {path for _, path, _ in Handler.asked} == {f"/{status}"}


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotFoundError), (403, UsageError), (503, TransientError), (429, TransientError)],
)
def test_refusals_and_what_may_pass(served, status, error):
    with pytest.raises(error):
        served.stat(f"{status}")
    assert len(Handler.asked) == (2 if error is TransientError else 1)


def test_a_server_without_ranges_is_refused(served):
    with pytest.raises(UsageError, match="no ranges"):
        served.range_reader("whole", 100)(10, 20)


def test_a_body_cut_short_may_pass(served):
    with pytest.raises(TransientError):
        served.range_reader("short", 100)(10, 20)


def test_each_connection_is_checked_anew(port):
    """A name that is public when a batch is submitted and private when a worker reads it."""
    answers = [["127.0.0.1"]]

    def resolve(host: str, _port: int) -> list[str]:
        if not answers:
            raise UsageError(f"{host} has a private address now")
        return answers.pop()

    served = WebStore(f"http://crawl.example:{port}", resolve)
    assert served.stat("data").size == len(DATA)
    with pytest.raises(UsageError, match="private address now"):
        served.range_reader("data", 100)(0, 10)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"])
def test_sources_on_this_machine_are_not_read(tmp_path, port, host):
    Handler.asked.clear()
    try:
        where, key = open_source(Store(str(tmp_path)), f"http://{host}:{port}/data")
        with pytest.raises(UsageError, match="not public"):
            where.stat(key)
    finally:
        assert not Handler.asked


def test_a_server_that_is_away_may_come_back(served):
    away = WebStore("http://crawl.example:1", lambda _host, _port: ["127.0.0.1"])
    with pytest.raises(TransientError):
        away.stat("data")
