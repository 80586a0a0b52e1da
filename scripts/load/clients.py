"""Clients of the load test: processes with keep-alive connections, and what each request took."""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

#: What a process of clients has in common; set once when it starts.
_url, _token = "", ""


@dataclass(frozen=True)
class Request:
    """What to ask; `kind` is its row in the table."""

    kind: str
    method: str
    path: str
    body: Any = None


@dataclass
class Taken:
    """Seconds by kind, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    def add(self, other: "Taken") -> None:
        """Of another client."""
        for kind, seconds in other.seconds.items():
            self.seconds.setdefault(kind, []).extend(seconds)
        self.errors += other.errors
        self.answers += other.answers


class Connection:
    """One client: one connection, one request at a time. The standard library's, which is quick."""

    def __init__(self, url: str, token: str) -> None:
        self._host = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._http = http.client.HTTPConnection(self._host, timeout=120)

    def ask(self, request: Request, taken: Taken, *, keep: bool = False) -> None:
        """A request; its time includes reading the whole answer."""
        body = None if request.body is None else json.dumps(request.body)
        started = time.perf_counter()
        try:
            self._http.request(request.method, request.path, body, self._headers)
            answer = self._http.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            taken.errors.append(f"{request.kind}: {type(error).__name__}: {error}")
            self._http.close()
            return
        taken.seconds.setdefault(request.kind, []).append(time.perf_counter() - started)
        if answer.status >= 400:
            taken.errors.append(f"{request.kind}: {answer.status} {data[:200]!r}")
        elif keep:
            taken.answers.append(json.loads(data))

    def close(self) -> None:
        """End the connection."""
        self._http.close()


def _begin(url: str, token: str) -> None:
    global _url, _token
    _url, _token = url, token


def _client(job: tuple[list[Request], bool]) -> Taken:
    """All requests of one client, one after the other."""
    requests, keep = job
    taken, connection = Taken(), Connection(_url, _token)
    for request in requests:
        connection.ask(request, taken, keep=keep)
    connection.close()
    return taken


def _clients(jobs: list[tuple[list[Request], bool]]) -> tuple[Taken, float]:
    """The clients of one process, a thread each; and the process's CPU seconds."""
    taken, lock = Taken(), threading.Lock()
    before = time.process_time()

    def run(job: tuple[list[Request], bool]) -> None:
        mine = _client(job)
        with lock:
            taken.add(mine)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken, time.process_time() - before


def drive(
    url: str, token: str, requests: list[Request], clients: int, processes: int, *, keep: bool
) -> tuple[Taken, float, float]:
    """All requests from so many clients at once; wall-clock, the busiest process's CPU seconds."""
    shares = [(requests[i::clients], keep) for i in range(clients)]
    taken, busiest = Taken(), 0.0
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (url, token)) as pool:
        list(pool.map(abs, range(processes)))  # they have started
        started = time.perf_counter()
        for mine, cpu in pool.map(_clients, [shares[p::processes] for p in range(processes)]):
            taken.add(mine)
            busiest = max(busiest, cpu)
        wall = time.perf_counter() - started
    return taken, wall, busiest


@dataclass
class Viewer:
    """Someone who looks every so often while others do: queues, list, a page of the dashboard."""

    url: str
    token: str
    requests: list[Request]
    every: float = 0.2
    taken: Taken = field(default_factory=Taken)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._random = random.Random(1)

    def _look(self) -> None:
        connection = Connection(self.url, self.token)
        while not self._stop.wait(self.every * self._random.uniform(0.5, 1.5)):
            for request in self.requests:
                connection.ask(request, self.taken)
        connection.close()

    def while_doing(self, what: Callable[[], Any]) -> Any:
        """Look until it is done; its result."""
        self._thread.start()
        try:
            return what()
        finally:
            self._stop.set()
            self._thread.join()
