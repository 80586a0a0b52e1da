"""An HTTP server that answers as Kubernetes' API server does, for what the training backend uses.

What is created is checked strictly against the schemas of three versions, errors are Status
objects, and who has no token is refused. Scenarios script what schedulers, kubelets and nodes do
(`kube_jobs`).
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml

from tests.services.training.kube_jobs import Jobs, check

TOKEN = "a-service-account-token"
PATH = re.compile(
    r"/(?:api|apis/batch)/v1/namespaces/train/(jobs|services|pods|events)(?:/([^/]+))?(/log)?"
)


class StatusError(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.status |= {"message": message, "reason": reason, "code": code}


class Cluster:
    """The namespace `train`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.jobs = Jobs()
        self.services: dict[str, dict[str, Any]] = {}
        #: Jobs that the quota allows; None: any number.
        self.quota: int | None = None
        #: Verbs (of Role rules) that are not allowed.
        self.forbidden: set[str] = set()
        #: Every request gets this code, as from a broken API server.
        self.broken: int | None = None
        #: Jobs that another worker makes just before ours arrive.
        self.overtaken = False
        self.requests: list[str] = []

    def answer(self, method: str, url: str, body: dict[str, Any] | None) -> Any:
        """The object or the text that a request gets; StatusError for errors."""
        parts = urlsplit(url)
        found = PATH.fullmatch(parts.path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        if self.broken:
            raise StatusError(self.broken, "InternalError", "etcdserver: request timed out")
        if found is None:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        kind, name, log = found.groups()
        verb = {"POST": "create", "DELETE": "delete", "GET": "get" if name else "list"}[method]
        resource = f"{kind}{log or ''}"
        self.requests.append(f"{verb} {resource}")
        if f"{verb} {resource}" in self.forbidden:
            group = "batch" if kind == "jobs" else ""
            who = 'User "system:serviceaccount:train:worker"'
            raise StatusError(
                403,
                "Forbidden",
                f'{kind}.{group} is forbidden: {who} cannot {verb} resource "{resource}"',
            )
        asked = {"get": (name, query), "list": (query,), "create": (body,), "delete": (name, body)}
        return getattr(self, f"_{verb}")(resource, *asked[verb])

    def _kept(self, kind: str) -> dict[str, dict[str, Any]]:
        return {"jobs": self.jobs.jobs, "services": self.services, "pods": self.jobs.pods}[kind]

    def _get(self, resource: str, name: str, query: dict[str, str]) -> Any:
        if resource == "pods/log":
            if name not in self.jobs.logs:
                raise StatusError(
                    400,
                    "BadRequest",
                    f'container "train" in pod "{name}" is waiting to start: ContainerCreating',
                )
            lines = self.jobs.logs[name].splitlines(keepends=True)
            return "".join(lines[-int(query["tailLines"]) :])
        if name not in self._kept(resource):
            raise StatusError(404, "NotFound", f'{resource} "{name}" not found')
        return self._kept(resource)[name]

    def _list(self, resource: str, query: dict[str, str]) -> Any:
        if resource == "events":
            field, wanted = query["fieldSelector"].split("=")
            assert field == "involvedObject.name"
            items = [e for e in self.jobs.events if e["involvedObject"]["name"] == wanted]
            return {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": items}
        label, wanted = query["labelSelector"].split("=")
        items = [p for p in self.jobs.pods.values() if p["metadata"]["labels"].get(label) == wanted]
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}

    def _create(self, resource: str, body: Any) -> Any:
        try:
            check(body)
        except kubernetes_validate.ValidationError as error:
            raise StatusError(
                422, "Invalid", f"{body['kind']} is invalid: {error.message}"
            ) from error
        name = body["metadata"]["name"]
        if resource == "jobs" and self.overtaken:
            self.overtaken = False
            self.jobs.add(json.loads(json.dumps(body)))
        if name in self._kept(resource):
            raise StatusError(409, "AlreadyExists", f'{resource} "{name}" already exists')
        if resource == "services":
            self.services[name] = body
            return body
        if self.quota is not None and len(self.jobs.jobs) >= self.quota:
            used = f"requested: count/jobs.batch=1, used: count/jobs.batch={len(self.jobs.jobs)}, limited: count/jobs.batch={self.quota}"
            raise StatusError(
                403,
                "Forbidden",
                f'jobs.batch "{name}" is forbidden: exceeded quota: training, {used}',
            )
        return self.jobs.add(body)

    def _delete(self, resource: str, name: str, body: Any) -> Any:
        if name not in self._kept(resource):
            raise StatusError(404, "NotFound", f'{resource} "{name}" not found')
        if resource == "services":
            return self.services.pop(name)
        self.jobs.delete(name, body["propagationPolicy"])
        self.requests[-1] += f" {body['propagationPolicy']}"
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


@contextmanager
def serve(cluster: Cluster, folder: Path) -> Iterator[Path]:
    """Answer requests; gives the kubeconfig that leads here."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            try:
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    raise StatusError(401, "Unauthorized", "Unauthorized")
                with cluster.lock:
                    found = cluster.answer(self.command, self.path, body)
                    code, data = 200, found if isinstance(found, str) else json.dumps(found)
            except StatusError as error:
                code, data = error.code, json.dumps(error.status)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data.encode())))
            self.end_headers()
            self.wfile.write(data.encode())

        def do_GET(self) -> None:
            self._answer()

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield _kubeconfig(folder, server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "worker", "user": {"token": TOKEN}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "worker"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path
