"""Settings of the backend, from environment variables with the prefix CORPUSMILL_KUBERNETES_.

Lists are comma-separated, maps and tolerations JSON. Quantities are Kubernetes' own (`500m`,
`16Gi`). What the API server would refuse only when a run comes, most of it is refused at once.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.settings import Duration


def _listed(value: Any) -> Any:
    return tuple(filter(None, value.split(","))) if isinstance(value, str) else value


def _parsed(value: Any) -> Any:
    return json.loads(value or "null") if isinstance(value, str) else value


def _mapped(value: Any) -> Any:
    return _parsed(value) or {}


Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|[kMGTP]|[KMGTP]i)?$")]
Name = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253)]
Names = Annotated[tuple[Name, ...], NoDecode, BeforeValidator(_listed)]
Quantities = Annotated[dict[str, Quantity], NoDecode, BeforeValidator(_mapped)]
Strings = Annotated[dict[str, str], NoDecode, BeforeValidator(_mapped)]


class Toleration(BaseModel):
    """As in a pod's specification."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None  # noqa: N815 (Kubernetes' name)


class KubernetesSettings(BaseSettings):
    """How the pods of runs look, and how patient the backend is."""

    model_config = SettingsConfigDict(env_prefix="CORPUSMILL_KUBERNETES_", frozen=True)

    namespace: Name = "default"
    """Where Jobs are made."""

    template: Path | None = None
    """File with a PodTemplateSpec (YAML) that the pods begin with; the chart writes one. What the
    other settings and the run say comes on top."""

    image: str = ""
    """Image of the pods, the training service's; empty: the template's. A run needs one."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the image is pulled; unset: as Kubernetes does, by its tag."""

    image_pull_secrets: Names = ()
    """Secrets of the image's registry."""

    gpus: int | None = Field(default=None, ge=0)
    """GPUs of a pod; unset: as many as the run has processes a node. 0: it trains on CPUs."""

    gpu_resource: str = "nvidia.com/gpu"
    """What a GPU is called on the nodes."""

    requests: Quantities = {}
    """Resources that a pod asks for, but GPUs: {"cpu": "8", "memory": "64Gi"}."""

    limits: Quantities = {}
    """Resources that a pod may take, but GPUs."""

    node_selector: Strings = {}
    """Labels of the nodes where pods may run."""

    tolerations: Annotated[
        tuple[Toleration, ...], NoDecode, BeforeValidator(lambda v: _parsed(v) or ())
    ] = ()
    """Taints that pods tolerate, a JSON list."""

    affinity: Annotated[dict[str, Any], NoDecode, BeforeValidator(_mapped)] = {}
    """As in a pod's specification; checked by the API server."""

    shared_memory: Quantity = "2Gi"
    """Size of /dev/shm, which counts as the pod's memory when it is used."""

    scratch: Quantity | None = None
    """Size of /tmp at most, where data and checkpoints pass through; unset: the node's disk."""

    labels: Strings = {}
    """More labels of Job, Service and pods (a queue of Kueue's, a network policy's)."""

    service_account: Name = ""
    """Account of the pods; they get no token of it in any case. Empty: the namespace's default."""

    run_as_user: int | None = Field(default=None, ge=1)
    """User id of the pods; unset: the image's."""

    fs_group: int | None = Field(default=None, ge=1)
    """Group id that owns the pods' volumes."""

    env_from_secrets: Names = ()
    """Secrets whose keys become the pods' environment: the store's credentials."""

    env_from_config_maps: Names = ()
    """ConfigMaps whose keys become the pods' environment."""

    env: Strings = {}
    """More of the pods' environment, nothing secret: {"NCCL_SOCKET_IFNAME": "eth0"}."""

    store_claim: Name = ""
    """PersistentVolumeClaim that holds the store, where that is a folder."""

    priority_class: Name = ""
    """PriorityClass of the pods."""

    runtime_class: Name = ""
    """RuntimeClass of the pods."""

    rendezvous_port: int = Field(default=29400, ge=1024, le=65535)
    """Port of pod 0 where the pods' torchrun meets."""

    rendezvous_timeout: Duration = timedelta(minutes=30)
    """So long a pod waits for the others before it ends and is replaced."""

    max_restarts: int = Field(default=3, ge=0)
    """How often a pod starts its processes anew, in place, when one of any pod has failed."""

    backoff_limit: int = Field(default=6, ge=0)
    """How many pods of a Job may fail, evictions not counted, before the Job fails."""

    job_attempts: int = Field(default=3, ge=1)
    """After so many Jobs in a row that failed without a new checkpoint the run fails."""

    stop_grace: Duration = timedelta(minutes=5)
    """After SIGTERM the pods end their step and commit a checkpoint within this."""

    start_limit: Duration = timedelta(hours=24)
    """A run fails whose pods could not be started (no room, no image) for so long."""

    lost_limit: Duration = timedelta(minutes=10)
    """A pod on a node that is out of reach is given up after this: the Job is made anew."""

    ttl: Duration = timedelta(days=1)
    """So long an ended Job and its pods' logs are kept."""

    follow: Duration = timedelta(seconds=30)
    """A worker looks after one run for so long at a time, then after the next."""

    poll: Duration = timedelta(seconds=3)
    """How often it looks."""

    log_lines: int = Field(default=50, ge=1)
    """Last lines of a pod's log that `GET /v1/runs/{id}` shows."""
