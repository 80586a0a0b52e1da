"""The rule file and the dashboards as the tests read them."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from shared.metrics import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "helm" / "corpusmill" / "files"
RULES = FILES / "rules.yaml"
CASES = FILES / "rules_test.yaml"
DASHBOARDS = sorted((FILES / "dashboards").glob("*.json"))
#: What an expression may name that is not ours: from kube-state-metrics, where there is one.
KUBERNETES = {
    "kube_horizontalpodautoscaler_spec_max_replicas",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_status_desired_replicas",
    "kube_pod_container_status_restarts_total",
}


def rules() -> list[dict[str, Any]]:
    """Every rule, recording or alert."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def records() -> set[str]:
    """Names of the recording rules."""
    return {rule["record"] for rule in rules() if "record" in rule}


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels of a dashboard that have queries."""
    return [p for p in json.loads(path.read_text())["panels"] if p["type"] != "row"]


def expressions(path: Path) -> list[str]:
    """The queries of a dashboard, as they stand in it."""
    return [target["expr"] for panel in panels(path) for target in panel["targets"]]


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics of an expression but those of recording rules."""
    words = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.sub(r'"[^"]*"', '""', expression)))
    return {w for w in words if w.startswith(("corpusmill_", "kube_"))}


def exposed() -> set[str]:
    """Names of the series that our processes expose."""
    names = set()
    for family in FAMILIES.values():
        names.add(family.name)
        if family.kind == "histogram":
            names |= {f"{family.name}_{suffix}" for suffix in ("bucket", "count", "sum")}
    return names
