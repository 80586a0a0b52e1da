"""What the API server is sent, for many settings, against the schemas of three versions."""

import json

import pytest
from pydantic import ValidationError

from services.training.kubernetes.manifests import (
    job_manifest,
    job_name,
    service_manifest,
    spec_hash,
)
from services.training.kubernetes.settings import KubernetesSettings
from shared.errors import UsageError
from shared.training_run import RunSpec
from tests.services.training.kube_jobs import check

STORE = "s3://bucket/corpusmill"
TEMPLATE = """
metadata:
  labels: {app.kubernetes.io/instance: mill, app.kubernetes.io/name: mill}
  annotations: {note: chart}
spec:
  serviceAccountName: mill-training-run
  securityContext: {fsGroup: 65532, runAsUser: 65532}
  nodeSelector: {gpu: h100}
  containers:
    - name: training
      image: registry.test/training@sha256:0
      envFrom: [{configMapRef: {name: mill-settings}}]
      env: [{name: SSL_CERT_FILE, value: /etc/ca.crt}, {name: CORPUSMILL_STORE, value: other}]
      resources: {requests: {cpu: "4"}, limits: {memory: 64Gi}}
      volumeMounts: [{name: tmp, mountPath: /tmp}, {name: ca, mountPath: /etc/ca}]
  volumes:
    - {name: tmp, emptyDir: {sizeLimit: 200Gi}}
    - {name: ca, configMap: {name: ca}}
"""


def spec_with(**changes) -> RunSpec:
    return RunSpec(**({"id": "r1", "dataset": "d", "batch_size": 64} | changes))


@pytest.fixture
def settings(monkeypatch):
    def make(**values: object) -> KubernetesSettings:
        for name, value in ({"image": "registry.test/training:1"} | values).items():
            text = value if isinstance(value, str) else json.dumps(value)
            monkeypatch.setenv(f"CORPUSMILL_KUBERNETES_{name.upper()}", text)
        return KubernetesSettings()

    return make


def made(spec: RunSpec, conf: KubernetesSettings, store: str = STORE):
    """A Job and its pod's container, checked, and its Service."""
    job = job_manifest(spec, conf, store, 1)
    service = service_manifest({**job, "metadata": {**job["metadata"], "uid": "u-1"}})
    check(job)
    check(service)
    return job, job["spec"]["template"]["spec"], service


def test_a_pod_is_a_node_with_a_gpu_a_process(settings):
    job, pod, service = made(spec_with(nodes=4, processes=8), settings(namespace="train"))
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (4, 4)
    assert job["spec"]["completionMode"] == "Indexed"
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    name = job["metadata"]["name"]
    assert f"--rendezvous={name}-0.{name}:29400" in container["args"]
    assert {"--nodes=4", "--processes=8"} < set(container["args"])
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert (
        service["spec"]["selector"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    )
    assert pod["volumes"][0]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert "activeDeadlineSeconds" not in job["spec"]


def test_pods_are_restricted(settings):
    """What the pod security standard `restricted` wants, field by field."""
    _, pod, _ = made(spec_with(), settings())
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    security = pod["containers"][0]["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    assert all(v.keys() - {"name"} <= {"emptyDir", "persistentVolumeClaim"} for v in pod["volumes"])


def test_every_setting_reaches_the_pod(settings):
    conf = settings(
        image_pull_policy="Always",
        image_pull_secrets="a,b",
        gpus=0,
        requests={"cpu": "8"},
        limits={"memory": "64Gi"},
        node_selector={"pool": "gpu"},
        tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        affinity={"nodeAffinity": {}},
        shared_memory="16Gi",
        scratch="1Ti",
        labels={"kueue.x-k8s.io/queue-name": "q"},
        service_account="runs",
        run_as_user=1000,
        fs_group=1000,
        env_from_secrets="store",
        env_from_config_maps="settings",
        env={"NCCL_DEBUG": "INFO"},
        store_claim="claim",
        priority_class="low",
        runtime_class="nvidia",
        backoff_limit=9,
        ttl="60",
        stop_grace="PT2M",
    )
    job, pod, _ = made(spec_with(processes=2), conf, "/data/store")
    (container,) = pod["containers"]
    assert container["resources"] == {"requests": {"cpu": "8"}, "limits": {"memory": "64Gi"}}
    assert container["imagePullPolicy"] == "Always"
    assert container["envFrom"] == [
        {"secretRef": {"name": "store"}},
        {"configMapRef": {"name": "settings"}},
    ]
    assert {"name": "NCCL_DEBUG", "value": "INFO"} in container["env"]
    assert {"name": "store", "mountPath": "/data/store"} in container["volumeMounts"]
    assert pod["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert (pod["nodeSelector"], pod["affinity"]) == ({"pool": "gpu"}, {"nodeAffinity": {}})
    assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("low", "nvidia")
    assert pod["serviceAccountName"] == "runs"
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (1000, 1000)
    assert [v.get("emptyDir", {}).get("sizeLimit") for v in pod["volumes"]] == ["16Gi", "1Ti", None]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    assert (job["spec"]["backoffLimit"], job["spec"]["ttlSecondsAfterFinished"]) == (9, 60)
    assert "--grace=120" in container["args"]
    assert pod["terminationGracePeriodSeconds"] > 120


def test_pods_begin_with_the_template(settings, tmp_path):
    (tmp_path / "pod.yaml").write_text(TEMPLATE)
    conf = settings(template=str(tmp_path / "pod.yaml"), image="", requests={"memory": "8Gi"})
    job, pod, _ = made(spec_with(), conf)
    (container,) = pod["containers"]
    assert (container["name"], container["image"]) == (
        "training",
        "registry.test/training@sha256:0",
    )
    rules = job["spec"]["podFailurePolicy"]["rules"]
    assert rules[1]["onExitCodes"]["containerName"] == "training"
    requests = {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1"}
    assert container["resources"]["requests"] == requests
    assert container["resources"]["limits"] == {"memory": "64Gi", "nvidia.com/gpu": "1"}
    environment = {e["name"]: e.get("value") for e in container["env"]}
    assert environment["CORPUSMILL_STORE"] == STORE
    assert environment["SSL_CERT_FILE"] == "/etc/ca.crt"
    assert container["envFrom"] == [{"configMapRef": {"name": "mill-settings"}}]
    assert [v["name"] for v in pod["volumes"]] == ["tmp", "ca", "shm"]
    assert [m["mountPath"] for m in container["volumeMounts"]] == ["/tmp", "/etc/ca", "/dev/shm"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert (pod["securityContext"]["fsGroup"], pod["nodeSelector"]) == (65532, {"gpu": "h100"})
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert (labels["app.kubernetes.io/name"], labels["app.kubernetes.io/component"]) == (
        "mill",
        "training-run",
    )
    assert job["spec"]["template"]["metadata"]["annotations"]["note"] == "chart"


@pytest.mark.parametrize(
    ("values", "store", "message"),
    [
        ({"image": ""}, STORE, "names no image"),
        ({"gpus": 4}, STORE, "8 processes a node, but pods get 4 GPUs"),
        ({}, "/data/store", "pods cannot reach the store /data/store, a folder"),
        ({"template": "/nowhere.yaml"}, STORE, "the pods' template /nowhere.yaml"),
    ],
)
def test_what_does_not_fit_is_refused(settings, values, store, message):
    with pytest.raises(UsageError, match=message):
        job_manifest(spec_with(processes=8), settings(**values), store, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("namespace", "No Name"),
        ("limits", {"memory": "much"}),
        ("tolerations", [{"kee": "gpu"}]),
        ("gpus", -1),
    ],
)
def test_a_wrong_setting_is_refused_at_once(settings, name, value):
    with pytest.raises(ValidationError, match=name):
        settings(**{name: value})


@pytest.mark.parametrize("run", ["a", "20261121-140000-0123abcd", "x._-" * 16, "9" * 64])
def test_names_are_ones_that_kubernetes_takes(settings, run):
    job, _, _ = made(spec_with(id=run), settings())
    name = job["metadata"]["name"]
    assert len(f"{name}-1023-abcde") <= 63
    assert all(c.isalnum() or c == "-" for c in name)
    assert job["metadata"]["annotations"]["corpusmill/run"] == run
    assert all(
        len(v) <= 63 and v[0].isalnum() and v[-1].isalnum()
        for v in job["metadata"]["labels"].values()
    )


def test_names_differ_by_store_run_and_attempt():
    places = [("a", "r", 1), ("b", "r", 1), ("a", "q", 1), ("a", "r", 2)]
    assert len({job_name(*place) for place in places}) == len(places)


def test_nodes_change_no_run_of_before():
    old = '{"id": "r1", "dataset": "d", "batch_size": 8, "processes": 2}'
    spec = RunSpec.model_validate_json(old)
    assert (spec.nodes, spec.world) == (1, 2)
    assert spec_hash(spec) == spec_hash(
        RunSpec(id="r1", dataset="d", batch_size=8, processes=2, nodes=1)
    )
    with pytest.raises(ValidationError, match="multiple of nodes x processes"):
        RunSpec(id="r1", dataset="d", batch_size=8, processes=2, nodes=3)
