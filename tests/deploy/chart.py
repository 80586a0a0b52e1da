"""The Helm chart, rendered by real Helm, and what the tests ask of its manifests."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.tools import program

CHART = Path(__file__).parents[2] / "helm" / "corpusmill"
HELMS = ("helm3", "helm4")
EXAMPLES = sorted((CHART / "ci").glob("*.yaml"))
SERVICES = ("gateway", "extraction", "langid", "quality", "dedup", "export", "training")
WORKERS = SERVICES[1:]
NAMESPACE = "mill"
ANYWHERE = [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
#: The least that the chart asks for.
LEAST: dict[str, Any] = {
    "store": {"url": "s3://bucket/prefix", "existingSecret": "s3"},
    "redis": {"existingSecret": "redis"},
    "networkPolicy": {"store": {"to": ANYWHERE}, "redis": {"to": ANYWHERE, "ports": [6380]}},
}
BUNDLED = {"redis": {"existingSecret": ""}, "valkey": {"enabled": True, "existingSecret": "valkey"}}
KEDA_QUERY = {"mode": "keda", "prometheus": {"serverAddress": "http://prometheus.monitoring:9090"}}
KEDA_API = {"mode": "keda", "trigger": "metrics-api", "metricsApi": {"existingSecret": "queues"}}
JOBS = {"training": {"backend": "kubernetes"}}
JOBS |= {"networkPolicy": {"kubernetesApi": {"to": ANYWHERE}}}
EYES = {
    "scrapeAnnotations": False,
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "rules": {"enabled": True},
    "dashboards": {"enabled": True},
}
PLACES = {
    "priorityClassName": "batch",
    "runtimeClassName": "gvisor",
    "nodeSelector": {"pool": "cpu"},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
}
#: What may be chosen, and each choice's values; combined so that all pairs of choices occur.
CHOICES: dict[str, list[dict[str, Any]]] = {
    "store": [
        {},
        {"store": {"endpoint": "https://s3.example.org", "region": "eu", "existingSecret": ""}},
        {"store": {"url": "/data", "volume": {"size": "10Gi", "storageClass": "fast"}}},
        {"store": {"url": "/data", "volume": {"existingClaim": "mine"}}},
    ],
    "redis": [{}, BUNDLED, {**BUNDLED, "ca": {"existingConfigMap": "authority"}}],
    "autoscaling": [
        {},
        {"autoscaling": KEDA_QUERY},
        {"autoscaling": KEDA_API},
        {"autoscaling": {"mode": "hpa"}, "metrics": {"rules": {"enabled": True}}},
        {"autoscaling": {"mode": "hpa", "hpa": {"metric": "cpu"}}},
    ],
    "ingress": [{}, {"ingress": {"enabled": True, "host": "mill.example.org", "tlsSecret": "tls"}}],
    "policies": [{}, {"networkPolicy": {"enabled": False}}],
    "training": [{}, JOBS],
    "metrics": [{}, {"metrics": EYES}],
    "places": [
        {},
        {
            "image": {"pullSecrets": ["images"]},
            "defaults": {**PLACES, "shmSize": "1Gi", "podLabels": {"a": "b"}},
            "valkey": {k: PLACES[k] for k in ("nodeSelector", "tolerations", "affinity")},
            "training": {"job": {**PLACES, "settings": {"job_attempts": 5, "ttl": 3600}}},
        },
    ],
    "services": [
        {},
        {
            "services": {
                "langid": {"enabled": False},
                "quality": {"digest": f"sha256:{'0' * 64}", "autoscaling": {"enabled": False}},
                "gateway": {"replicas": 3, "maxUnavailable": "50%"},
            }
        },
    ],
}


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm merges files."""
    result: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            old = result.get(key)
            both = isinstance(old, dict) and isinstance(value, dict)
            result[key] = merged(old, value) if both else value
    return result


def _pairs(row: dict[str, int]) -> set[tuple[tuple[str, int], ...]]:
    return set(itertools.combinations(sorted(row.items()), 2))


def pairwise() -> list[dict[str, int]]:
    """Combinations of CHOICES in which each two values of different choices meet."""
    random = Random(0)
    todo = {
        ((a, i), (b, j))
        for a, b in itertools.combinations(sorted(CHOICES), 2)
        for i in range(len(CHOICES[a]))
        for j in range(len(CHOICES[b]))
    }
    rows = []
    while todo:
        first = dict(min(todo))
        tries = [
            {name: random.randrange(len(choices)) for name, choices in CHOICES.items()} | first
            for _ in range(50)
        ]
        rows.append(max(tries, key=lambda row: len(todo & _pairs(row))))
        todo -= _pairs(rows[-1])
    return rows


def matrix() -> Iterator[dict[str, Any]]:
    """Values that together try each pair of choices."""
    for row in pairwise():
        yield merged(LEAST, *(CHOICES[name][i] for name, i in row.items()))


def helm(which: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm."""
    return subprocess.run([program(which), *arguments], capture_output=True, text=True, timeout=60)


def template(which: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run `helm template` with these values as its file."""
    command = [program(which), "template", "corpusmill", str(CHART), "-n", NAMESPACE, "-f", "-"]
    text = json.dumps(values)
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


def render(values: dict[str, Any], which: str = "helm3") -> list[dict[str, Any]]:
    """The manifests for some values."""
    return [json.loads(m) for m in _rendered(json.dumps(values, sort_keys=True), which)]


@cache
def _rendered(values: str, which: str) -> list[str]:
    done = template(which, json.loads(values))
    assert done.returncode == 0, done.stderr
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [json.dumps(m) for m in yaml.load_all(done.stdout, loader) if m]


def example(name: str, which: str = "helm3") -> list[dict[str, Any]]:
    """The manifests of one of the example files in `ci/`."""
    return render(yaml.safe_load((CHART / "ci" / f"{name}.yaml").read_text()), which)


def named(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Manifests of a kind by name, without the release's."""
    prefix = "corpusmill-"
    return {m["metadata"]["name"].removeprefix(prefix): m for m in manifests if m["kind"] == kind}


def pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pod templates (metadata and spec) by the name of what makes them."""
    result = {}
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            result[manifest["metadata"]["name"]] = manifest["spec"]["template"]
        elif manifest["kind"] == "Pod":
            result[manifest["metadata"]["name"]] = manifest
    return result


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(container: dict[str, Any]) -> dict[str, str]:
    """A container's variables that have a value (not those from Secrets)."""
    return {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector takes a pod with these labels."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    inside = (e for e in selector.get("matchExpressions", []))
    return wanted and all(
        e["operator"] == "In" and labels.get(e["key"]) in e["values"] for e in inside
    )
