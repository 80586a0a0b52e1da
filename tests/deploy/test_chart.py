"""Real Helm renders the chart, and every manifest is what Kubernetes and KEDA know."""

import functools
import json
import subprocess
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from tests.deploy.chart import (
    CHART,
    EXAMPLES,
    HELMS,
    LEAST,
    NAMESPACE,
    SERVICES,
    example,
    helm,
    matrix,
    merged,
    pairwise,
    render,
    template,
)
from tests.tools import program

#: The oldest that the chart accepts, one in between, the newest.
KUBERNETES = ("1.27", "1.32", "1.37")
SCALED_OBJECT = CHART.parents[1] / "tests" / "deploy" / "data" / "keda.sh_scaledobjects.yaml"
#: Of Prometheus's operator, whose definitions are not here: the fields that may stand in a `spec`.
OPERATOR_FIELDS = {
    "PodMonitor": {"selector", "podTargetLabels", "podMetricsEndpoints"},
    "PrometheusRule": {"groups"},
}


@pytest.fixture(scope="module", autouse=True)
def schemas_once():
    """The validator reads its megabytes of schemas anew for each manifest; not so here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


@functools.cache
def scaled_object_schema() -> dict[str, Any]:
    """KEDA's definition, with unknown fields refused."""
    definition = yaml.safe_load(SCALED_OBJECT.read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    def close(node: Any) -> None:
        if isinstance(node, dict):
            if "properties" in node:
                node.setdefault("additionalProperties", False)
            for child in node.values():
                close(child)

    close(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


@functools.cache
def check(text: str) -> None:
    """One manifest against the schema of its kind; an unknown kind is an error."""
    manifest = json.loads(text)
    group, kind = manifest["apiVersion"].partition("/")[0], manifest["kind"]
    if group == "keda.sh":
        from cloudcoil.models.keda import v1alpha1

        if kind == "ScaledObject":
            jsonschema.validate(manifest, scaled_object_schema())
        known = getattr(v1alpha1, kind).model_validate(manifest)
        if kind == "TriggerAuthentication":  # the model ignores what it does not know
            told = known.model_dump(by_alias=True, exclude_none=True, mode="json")
            assert told["spec"] == manifest["spec"]
    elif group == "monitoring.coreos.com":
        assert manifest["spec"].keys() <= OPERATOR_FIELDS[kind]
    else:
        for version in KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)


def check_all(manifests: list[dict[str, Any]]) -> None:
    for manifest in manifests:
        check(json.dumps(manifest, sort_keys=True))
    names = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(set(names)) == len(names)
    # No field may be there twice over by an indentation that moved: all is in the namespace given.
    assert {m["metadata"].get("namespace", NAMESPACE) for m in manifests} == {NAMESPACE}


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize("values", [None, *EXAMPLES], ids=lambda p: p and p.stem)
def test_lint(which, values):
    files = [] if values is None else ["-f", str(values)]
    done = helm(which, "lint", "--strict", str(CHART), *files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize("values", EXAMPLES, ids=lambda p: p.stem)
def test_examples_are_valid(which, values):
    manifests = example(values.stem, which)
    assert {m["metadata"]["name"] for m in manifests if m["kind"] == "Deployment"} == {
        f"corpusmill-{s}" for s in SERVICES
    }
    check_all(manifests)


def test_a_matrix_of_values_is_valid():
    rows = pairwise()
    assert 15 < len(rows) < 40
    for values in matrix():
        check_all(render(values))


def test_both_majors_render_the_same_twice():
    for path in EXAMPLES:
        values = yaml.safe_load(path.read_text())
        assert example(path.stem) == example(path.stem, "helm4")
        first, second = (template("helm4", values).stdout for _ in range(2))
        assert first == second


def test_the_checks_refuse_wrong_manifests():
    """A check that lets everything pass would not be one."""
    for name, change in {
        "Deployment": {"replica": 1},
        "ScaledObject": {"maxReplicas": 3},
        "NetworkPolicy": {"ingres": []},
        "PodMonitor": {"endpoints": []},
        "TriggerAuthentication": {"secretRef": []},
    }.items():
        api = {"TriggerAuthentication": "keda.sh/v1alpha1"}.get(name)
        found = [m for m in example("large-gpu") if m["kind"] == name]
        manifest = found[0] if found else {"apiVersion": api, "kind": name, "metadata": {}}
        wrong = merged(manifest, {"spec": change})
        with pytest.raises((jsonschema.ValidationError, AssertionError)):
            check(json.dumps(wrong))
    with pytest.raises(utils.SchemaNotFoundError):
        check(json.dumps({"apiVersion": "apps/v1", "kind": "Deploy", "metadata": {}}))


def test_rules_are_rules_and_dashboards_are_json(tmp_path):
    values = {
        "metrics": {"rules": {"enabled": True}, "dashboards": {"enabled": True}},
        "autoscaling": {"mode": "hpa"},
    }
    manifests = render(merged(LEAST, values))
    (rules,) = (m for m in manifests if m["kind"] == "PrometheusRule")
    groups = rules["spec"]["groups"]
    assert {g["name"] for g in groups} > {
        g["name"] for g in yaml.safe_load((CHART / "files" / "rules.yaml").read_text())["groups"]
    }
    (scaling,) = (g for g in groups if g["name"] == "corpusmill-autoscaling")
    assert {r["labels"]["queue"] for r in scaling["rules"]} == set(SERVICES[1:])
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    done = subprocess.run([program("promtool"), "check", "rules", str(file)], capture_output=True)
    assert done.returncode == 0, done.stderr
    shown = [m for m in manifests if m["metadata"].get("labels", {}).get("grafana_dashboard")]
    files = sorted((CHART / "files" / "dashboards").glob("*.json"))
    assert len(shown) == len(files) > 0
    for manifest, path in zip(shown, files, strict=True):
        assert manifest["data"] == {path.name: path.read_text()}
