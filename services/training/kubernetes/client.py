"""The API server, through the `kubernetes` client: plain JSON in and out, errors of three kinds.

`ApiTroubleError`: out of reach, overloaded, or the quota is used up. `ApiRefusedError`: it refuses,
and would again. `ConflictError`: there is such an object. What is not there is None.
"""

import json
import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from services.training.kubernetes.manifests import Job, Service
from shared.errors import (
    ConflictError,
    CorpusmillError,
    NotFoundError,
    PermanentError,
    TransientError,
)

#: Seconds to connect, and between two bytes of an answer.
_TIMEOUT = (5.0, 30.0)
#: A log line of more bytes is not fetched whole.
_LOG_BYTES_A_LINE = 1000
#: Answers after which the same request may succeed: unauthorised (a token that is just being
#: renewed), time-out, too many requests.
_PASSING = (401, 408, 429)


class ApiTroubleError(TransientError):
    """The API server cannot answer now."""


class ApiRefusedError(PermanentError):
    """The API server refuses what it was asked."""


class Api:
    """Jobs, Services, pods and events of one namespace."""

    def __init__(self, namespace: str) -> None:
        # Its types know no plain JSON.
        client, config = (import_module(f"kubernetes.{name}") for name in ("client", "config"))
        conf = client.Configuration()
        try:
            try:
                config.load_incluster_config(conf)
            except config.ConfigException:
                # By itself the library reads this variable only once, when it is imported.
                config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=conf)
        except config.ConfigException as error:
            raise PermanentError(f"no Kubernetes cluster is configured: {error}") from error
        conf.retries = False  # ours
        self.namespace = namespace
        self._api = client.ApiClient(conf)
        self._batch, self._core = client.BatchV1Api(self._api), client.CoreV1Api(self._api)

    def close(self) -> None:
        """Close the connections."""
        self._api.rest_client.pool_manager.clear()
        self._api.close()

    def create_job(self, job: Job) -> dict[str, Any]:
        """Create a Job; what the API server made of it."""
        what = f"create the Job {job['metadata']['name']}"
        return self._json(what, partial(self._batch.create_namespaced_job, body=job))

    def create_service(self, service: Service) -> None:
        """Create a Service."""
        what = f"create the Service {service['metadata']['name']}"
        self._json(what, partial(self._core.create_namespaced_service, body=service))

    def job(self, name: str) -> dict[str, Any] | None:
        """A Job, or None."""
        read = partial(self._batch.read_namespaced_job, name)
        return self._found(f"read the Job {name}", read)

    def service(self, name: str) -> dict[str, Any] | None:
        """A Service, or None."""
        read = partial(self._core.read_namespaced_service, name)
        return self._found(f"read the Service {name}", read)

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """The pods with some labels."""
        read = partial(self._core.list_namespaced_pod, label_selector=selector)
        found: list[dict[str, Any]] = self._json("list pods", read)["items"]
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of an object."""
        selector = f"involvedObject.name={name}"
        read = partial(self._core.list_namespaced_event, field_selector=selector)
        found: list[dict[str, Any]] = self._json("list events", read)["items"]
        return found

    def log(self, pod: str, lines: int) -> tuple[str, ...]:
        """The last lines of a pod's log; empty where it has none (yet, or any more)."""
        read = partial(
            self._core.read_namespaced_pod_log,
            pod,
            tail_lines=lines,
            limit_bytes=lines * _LOG_BYTES_A_LINE,
        )
        try:
            data = self._call(f"read the log of {pod}", read)
        except (NotFoundError, ApiRefusedError):  # 400: the container has not begun
            return ()
        return tuple(data.decode(errors="replace").splitlines()[-lines:])

    def delete_job(self, name: str, propagation: str) -> None:
        """Delete a Job and its pods; no error where there is none.

        Foreground: it is there until its pods are gone. Background: it is gone at once.
        """
        options = {"propagationPolicy": propagation}
        delete = partial(self._batch.delete_namespaced_job, name, body=options)
        self._found(f"delete the Job {name}", delete)

    def delete_service(self, name: str) -> None:
        """Delete a Service; no error where there is none."""
        delete = partial(self._core.delete_namespaced_service, name)
        self._found(f"delete the Service {name}", delete)

    def _found(self, what: str, call: Callable[..., Any]) -> dict[str, Any] | None:
        try:
            return self._json(what, call)
        except NotFoundError:
            return None

    def _json(self, what: str, call: Callable[..., Any]) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self._call(what, call))
        return parsed

    def _call(self, what: str, call: Callable[..., Any]) -> bytes:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = call(
                namespace=self.namespace, _preload_content=False, _request_timeout=_TIMEOUT
            )
            data: bytes = answer.data
        except ApiException as error:
            raise _translated(what, error.status or 0, error.body) from error
        except (HTTPError, OSError) as error:
            raise ApiTroubleError(
                f"cannot {what}: the API server is out of reach: {error}"
            ) from error
        return data


def _translated(what: str, code: int, body: str | bytes | None) -> CorpusmillError:
    """An error answer as one of our errors; the body is a Status, unless a proxy answered."""
    try:
        status = json.loads(body or "")
    except ValueError:
        status = {}
    reason, message = status.get("reason", ""), status.get("message", f"it answers {code}")
    text = f"cannot {what}: {message}"
    if code == 404:
        return NotFoundError(text)
    if reason == "AlreadyExists":
        return ConflictError(text)
    over_quota = reason == "Forbidden" and "exceeded quota" in message
    if over_quota or code in _PASSING or code >= 500 or reason == "Conflict":
        return ApiTroubleError(text)
    return ApiRefusedError(text)
