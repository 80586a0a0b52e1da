"""What the chart's ScaledObjects say: the very settings that the simulation replays."""

import subprocess
from dataclasses import dataclass
from typing import Any

import yaml

from scripts.autoscale.hpa import DOWN, UP, Fallback, Rules, rules_of
from scripts.reference import ROOT
from shared.settings import Settings

HELM = ROOT / ".tools" / "bin" / "helm4"
CHART = ROOT / "helm" / "corpusmill"


@dataclass(frozen=True)
class Scaled:
    """A ScaledObject with one Prometheus trigger."""

    service: str
    query: str
    threshold: float
    activation: float
    polling: float
    cooldown: float
    least: int
    most: int
    up: Rules
    down: Rules
    fallback: Fallback | None


def render(*values: str) -> list[dict[str, Any]]:
    """All manifests of the chart; `values` are arguments of `helm template`."""
    command = [str(HELM), "template", "corpusmill", str(CHART), *values]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [m for m in yaml.safe_load_all(done.stdout) if m]


def scaled_objects(manifests: list[dict[str, Any]]) -> dict[str, Scaled]:
    """By service."""
    found = [read(m["spec"]) for m in manifests if m["kind"] == "ScaledObject"]
    return {scaled.service: scaled for scaled in found}


def read(spec: dict[str, Any]) -> Scaled:
    """A ScaledObject's spec; KEDA's defaults where it says nothing."""
    (trigger,) = [t for t in spec["triggers"] if t["type"] == "prometheus"]
    about = trigger["metadata"]
    advanced = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {})
    behavior = advanced.get("behavior", {})
    fallback = spec.get("fallback")
    return Scaled(
        service=service_of(spec["scaleTargetRef"]["name"]),
        query=about["query"],
        threshold=float(about["threshold"]),
        activation=float(about.get("activationThreshold", 0)),
        polling=float(spec.get("pollingInterval", 30)),
        cooldown=float(spec.get("cooldownPeriod", 300)),
        least=int(spec.get("minReplicaCount", 0)),
        most=int(spec.get("maxReplicaCount", 100)),
        up=rules_of(behavior.get("scaleUp"), UP),
        down=rules_of(behavior.get("scaleDown"), DOWN),
        fallback=_fallback(fallback) if fallback else None,
    )


def _fallback(manifest: dict[str, Any]) -> Fallback:
    keeps = manifest.get("behavior", "static") == "currentReplicasIfHigher"
    return Fallback(manifest["failureThreshold"], manifest["replicas"], keeps=keeps)


def service_of(deployment: str) -> str:
    """The service of a Deployment's name: its last word."""
    return deployment.rpartition("-")[2]


def grace_seconds(manifests: list[dict[str, Any]]) -> dict[str, float]:
    """How long a pod of a service may take to end."""
    return {
        service_of(m["metadata"]["name"]): float(
            m["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
        )
        for m in manifests
        if m["kind"] == "Deployment"
    }


def window(manifests: list[dict[str, Any]]) -> int:
    """Messages that a queue holds at most."""
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap" and "CORPUSMILL_WINDOW" in manifest.get("data", {}):
            return int(manifest["data"]["CORPUSMILL_WINDOW"])
    return int(Settings.model_fields["window"].default)
