"""The pods of a run: the template of the settings, and on it what the run wants. Pure, but a read.

With the defaults they meet the pod security standard `restricted`: no root, no privileges, a
read-only root, no token of a service account.
"""

from pathlib import Path
from typing import Any

import yaml

from services.training.kubernetes.settings import KubernetesSettings
from shared.errors import UsageError
from shared.training_run import RunSpec

CONTAINER = "train"
#: Kubernetes cuts a termination message at 4096 bytes.
TERMINATION_LOG = "/dev/termination-log"
#: Seconds between torchrun's last patience with its processes and the pod's end.
_MARGIN_SECONDS = 15


def pod_template(
    spec: RunSpec, conf: KubernetesSettings, store_url: str, name: str
) -> dict[str, Any]:
    """A PodTemplateSpec. UsageError where settings and run do not fit."""
    base = _read(conf.template)
    pod = base.get("spec", {})
    first, *others = pod.get("containers") or [{"name": CONTAINER}]
    container = _container(first, spec, conf, store_url, name)
    _check(container, spec, conf, store_url)
    pod |= _pod(pod, conf, name) | {"containers": [container, *others]}
    return {"metadata": base.get("metadata", {}), "spec": pod}


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"the pods' template {path}: {error}", field="template") from error
    if not isinstance(found, dict):
        raise UsageError(f"the pods' template {path} is no map", field="template")
    return found


def _check(
    container: dict[str, Any], spec: RunSpec, conf: KubernetesSettings, store_url: str
) -> None:
    if not container.get("image"):
        raise UsageError("CORPUSMILL_KUBERNETES_IMAGE names no image for the pods", field="image")
    if conf.gpus and conf.gpus < spec.processes:
        raise UsageError(
            f"{spec.processes} processes a node, but pods get {conf.gpus} GPUs", field="processes"
        )
    folder = "://" not in store_url or store_url.startswith("file://")
    mounts = [m["mountPath"] for m in container["volumeMounts"]]
    if folder and not any(Path(_path(store_url)).is_relative_to(mount) for mount in mounts):
        raise UsageError(
            f"pods cannot reach the store {store_url}, a folder: use an object store, or name the "
            "volume in CORPUSMILL_KUBERNETES_STORE_CLAIM",
            field="store",
        )


def _path(store_url: str) -> str:
    return store_url.removeprefix("file://")


def _pod(base: dict[str, Any], conf: KubernetesSettings, name: str) -> dict[str, Any]:
    """The pod's own fields."""
    volumes: list[dict[str, Any]] = [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": conf.shared_memory}},
        {"name": "tmp", "emptyDir": {"sizeLimit": conf.scratch} if conf.scratch else {}},
    ]
    if conf.store_claim:
        claim = {"claimName": conf.store_claim}
        volumes.append({"name": "store", "persistentVolumeClaim": claim})
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    ids = {"runAsUser": conf.run_as_user, "fsGroup": conf.fs_group}
    optional: dict[str, Any] = {
        "serviceAccountName": conf.service_account,
        "priorityClassName": conf.priority_class,
        "runtimeClassName": conf.runtime_class,
        "nodeSelector": conf.node_selector,
        "affinity": conf.affinity,
        "tolerations": [t.model_dump(exclude_none=True) for t in conf.tolerations],
        "imagePullSecrets": [{"name": secret} for secret in conf.image_pull_secrets],
    }
    return {
        "restartPolicy": "Never",  # the Job replaces pods; only so it knows why they failed
        "subdomain": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": int(conf.stop_grace.total_seconds()) + _MARGIN_SECONDS,
        "securityContext": security
        | base.get("securityContext", {})
        | {k: v for k, v in ids.items() if v is not None},
        "volumes": _add(base.get("volumes", []), volumes, "name"),
        **{key: value for key, value in optional.items() if value},
    }


def _container(
    base: dict[str, Any], spec: RunSpec, conf: KubernetesSettings, store_url: str, name: str
) -> dict[str, Any]:
    """The container that trains."""
    gpus = spec.processes if conf.gpus is None else conf.gpus
    gpu = {conf.gpu_resource: str(gpus)} if gpus and conf.gpu_resource else {}
    own = {"requests": conf.requests | gpu, "limits": conf.limits | gpu}
    given = base.get("resources", {})
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if conf.store_claim:
        mounts.append({"name": "store", "mountPath": _path(store_url)})
    sources = [{"secretRef": {"name": secret}} for secret in conf.env_from_secrets]
    sources += [{"configMapRef": {"name": config}} for config in conf.env_from_config_maps]
    optional = {"image": conf.image, "imagePullPolicy": conf.image_pull_policy}
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return {
        **base,
        **{key: value for key, value in optional.items() if value},
        "command": ["python", "-m", "services.training.node"],
        "args": _arguments(spec, conf, name),
        "env": _add(_environment(conf, store_url), base.get("env", []), "name"),
        "envFrom": [*base.get("envFrom", []), *sources],
        "ports": [{"name": "rendezvous", "containerPort": conf.rendezvous_port, "protocol": "TCP"}],
        "resources": {kind: given.get(kind, {}) | own[kind] for kind in own},
        "volumeMounts": _add(base.get("volumeMounts", []), mounts, "mountPath"),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": security | base.get("securityContext", {}),
    }


def _environment(conf: KubernetesSettings, store_url: str) -> list[dict[str, Any]]:
    return [
        {"name": "CORPUSMILL_STORE", "value": store_url},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 (the pod's own; the root is read-only)
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        *({"name": key, "value": value} for key, value in conf.env.items()),
    ]


def _add(first: list[dict[str, Any]], more: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Both lists; of entries with the same key the first list's."""
    there = {entry[key] for entry in first}
    return [*first, *(entry for entry in more if entry[key] not in there)]


def _arguments(spec: RunSpec, conf: KubernetesSettings, name: str) -> list[str]:
    return [
        spec.id,
        f"--nodes={spec.nodes}",
        f"--processes={spec.processes}",
        f"--rendezvous={name}-0.{name}:{conf.rendezvous_port}",
        f"--id={name}",
        "--address=$(POD_IP)",
        f"--max-restarts={conf.max_restarts}",
        f"--timeout={int(conf.rendezvous_timeout.total_seconds())}",
        f"--grace={int(conf.stop_grace.total_seconds())}",
        f"--error-file={TERMINATION_LOG}",
    ]
