"""What a run looks like in Kubernetes: one Indexed Job and one headless Service. Pure.

Pod i of the Job is machine i of the run (`services.training.node`). The Service gives pod 0 its
name, `<job>-0.<service>`, where the pods' torchrun meets. Each attempt has a Job of its own name,
so that pods of an earlier one, stuck on a lost node, are never met.
"""

import re
from typing import Any, NotRequired, TypedDict

from services.training.kubernetes.pods import pod_template
from services.training.kubernetes.settings import KubernetesSettings
from services.training.local import EXIT_PERMANENT
from shared.recipe import digest
from shared.training_run import RunSpec

RUN_LABEL, HASH_ANNOTATION = "corpusmill/run", "corpusmill/spec-hash"
ATTEMPT_LABEL = "corpusmill/attempt"
COMMON_LABELS = {
    "app.kubernetes.io/name": "corpusmill",
    "app.kubernetes.io/component": "training-run",
    "app.kubernetes.io/part-of": "corpusmill",
}
#: Names of pods are `<job>-<index>-<random>` and must stay below 63 characters, hostnames too.
_READABLE = 30


class Metadata(TypedDict):
    """Of an object in a namespace."""

    name: str
    namespace: str
    labels: dict[str, str]
    annotations: dict[str, str]
    ownerReferences: NotRequired[list[dict[str, Any]]]


class JobSpec(TypedDict):
    """`batch/v1` JobSpec, as far as it is used."""

    completionMode: str
    completions: int
    parallelism: int
    backoffLimit: int
    ttlSecondsAfterFinished: int
    podFailurePolicy: dict[str, Any]
    template: dict[str, Any]


class Job(TypedDict):
    """`batch/v1` Job."""

    apiVersion: str
    kind: str
    metadata: Metadata
    spec: JobSpec


class Service(TypedDict):
    """`v1` Service."""

    apiVersion: str
    kind: str
    metadata: Metadata
    spec: dict[str, Any]


def job_name(store_url: str, run: str, attempt: int) -> str:
    """Name of the Job of an attempt, and of its Service: unique among stores and runs."""
    readable = re.sub(r"[^a-z0-9]+", "-", run)[:_READABLE].strip("-")
    return f"run-{readable}-{digest([store_url, run])[:8]}-{attempt}"


def spec_hash(spec: RunSpec) -> str:
    """Hash of what a run is; fields that later versions add with a default change nothing."""
    return digest(spec.model_dump(mode="json", exclude_defaults=True))


def job_manifest(spec: RunSpec, conf: KubernetesSettings, store_url: str, attempt: int) -> Job:
    """The Job of an attempt. UsageError where settings and run do not fit."""
    metadata = _metadata(spec, conf, store_url, attempt)
    template = pod_template(spec, conf, store_url, metadata["name"])
    given = template["metadata"]
    metadata["labels"] = COMMON_LABELS | given.get("labels", {}) | metadata["labels"]
    annotations = given.get("annotations", {}) | metadata["annotations"]
    template["metadata"] = {"labels": metadata["labels"], "annotations": annotations}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completionMode": "Indexed",
            "completions": spec.nodes,
            "parallelism": spec.nodes,
            "backoffLimit": conf.backoff_limit,
            "ttlSecondsAfterFinished": int(conf.ttl.total_seconds()),
            "podFailurePolicy": _failure_policy(template["spec"]["containers"][0]["name"]),
            "template": template,
        },
    }


def service_manifest(job: dict[str, Any]) -> Service:
    """The Service of a Job that the API server has taken; it ends with the Job."""
    of_job = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "controller": True}
    owner |= {"name": of_job["name"], "uid": of_job["uid"]}
    keys = (RUN_LABEL, ATTEMPT_LABEL)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": of_job["name"],
            "namespace": of_job["namespace"],
            "labels": of_job["labels"],
            "annotations": of_job["annotations"],
            "ownerReferences": [owner],
        },
        "spec": {
            "clusterIP": "None",
            # Before they are ready pods must find each other.
            "publishNotReadyAddresses": True,
            "selector": {key: of_job["labels"][key] for key in keys},
            "ports": [{"name": "rendezvous", "port": _rendezvous_port(job), "protocol": "TCP"}],
        },
    }


def pod_selector(job: str) -> str:
    """Label selector of the pods of a Job."""
    return f"batch.kubernetes.io/job-name={job}"


def _rendezvous_port(job: dict[str, Any]) -> int:
    container = job["spec"]["template"]["spec"]["containers"][0]
    port: int = container["ports"][0]["containerPort"]
    return port


def _metadata(spec: RunSpec, conf: KubernetesSettings, store_url: str, attempt: int) -> Metadata:
    name = job_name(store_url, spec.id, attempt)
    own = {RUN_LABEL: name.removesuffix(f"-{attempt}"), ATTEMPT_LABEL: str(attempt)}
    annotations = {RUN_LABEL: spec.id, HASH_ANNOTATION: spec_hash(spec)}
    return {
        "name": name,
        "namespace": conf.namespace,
        "labels": conf.labels | own,
        "annotations": annotations,
    }


def _failure_policy(container: str) -> dict[str, Any]:
    """An eviction is nobody's fault; what would fail again ends the Job; the rest is counted."""
    disruption = [{"type": "DisruptionTarget", "status": "True"}]
    codes = {"containerName": container, "operator": "In", "values": [EXIT_PERMANENT]}
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": disruption},
            {"action": "FailJob", "onExitCodes": codes},
        ]
    }
