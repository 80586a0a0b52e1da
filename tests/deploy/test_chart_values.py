"""A wrong value is refused and named, by the schema or by the chart; the schema knows what there is."""

import json

import pytest
import yaml

from services.training.kubernetes.settings import KubernetesSettings
from shared.settings import Settings
from tests.deploy.chart import (
    BUNDLED,
    CHART,
    EXAMPLES,
    HELMS,
    JOBS,
    LEAST,
    containers,
    environment,
    matrix,
    merged,
    named,
    pods,
    render,
    template,
)

#: What the chart itself sets, so that it is no setting of its values.
MANAGED = {"store", "redis", "host", "port", "metrics_host", "metrics_port", "cache", "stop_grace"}
MANAGED |= {"training_backend", "require_tokens"}
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
#: Values and what the refusal must say, beside Helm's own words. One wrong value each.
WRONG = {
    "services.extraction.autoscaling.max": "many",
    "services.extraction.autoscaling.maximum": 3,
    "services.ingestion": {},
    "services.langid.replicas": -1,
    "services.quality.digest": "latest",
    "services.dedup.resources.requests.memory": "lots",
    "services.gateway.maxUnavailable": 0,
    "services.training.stopGraceSeconds": "5m",
    "defaults.autoscaling.fallback.behavior": "hope",
    "defaults.autoscaling.scaleDown.stabilizationSeconds": 7200,
    "autoscaling.mode": "KEDA",
    "autoscaling.trigger": "redis",
    "settings.windows": 3,
    "settings.dedup_memory": "512Mi",
    "settings.task_time_limit": "30 minutes",
    "store.url": "http://bucket",
    "store.volume.accessMode": "ReadWrite",
    "store.existingSecret": "My_Secret",
    "store.password": "x",
    "valkey.password": "x",
    "redis.url": "redis://",
    "valkey.maxmemory": "400Mi",
    "image.pullPolicy": "Sometimes",
    "training.backend": "slurm",
    "training.job.settings.attempts": 3,
    "networkPolicy.store.ports": [0],
    "networkPolicy.ingressFrom": [{"cidr": "10.0.0.0/8"}],
    "metrics.podMonitor.interval": "often",
    "ingress.tls": True,
    "replicas": 3,
}
#: Values that fit the schema and contradict each other, and what is said of them.
CONTRADICTIONS = {
    "store.url must be set": {"store": {"url": ""}},
    "store.url must be s3://": {"store": {"url": "/data"}},
    "store.url must be /data": {"store": {"volume": {"size": "1Gi"}}},
    "redis.existingSecret must be set": {"redis": {"existingSecret": ""}},
    "redis.existingSecret and valkey.enabled": {"valkey": BUNDLED["valkey"]},
    "valkey.existingSecret must be set": merged(BUNDLED, {"valkey": {"existingSecret": ""}}),
    "autoscaling.prometheus.serverAddress": {"autoscaling": {"mode": "keda"}},
    "autoscaling.metricsApi.existingSecret": {
        "autoscaling": {"mode": "keda", "trigger": "metrics-api"}
    },
    "metrics.rules.enabled must be true": {"autoscaling": {"mode": "hpa"}},
    "ingress.host must be set": {"ingress": {"enabled": True}},
    "ingress.tlsSecret must be set": {"ingress": {"enabled": True, "host": "a.example.org"}},
    "networkPolicy.store.to must be set": {"networkPolicy": {"store": {"to": []}}},
    "networkPolicy.redis.to must be set": {"networkPolicy": {"redis": {"to": []}}},
    "networkPolicy.kubernetesApi.to must be set": {"training": {"backend": "kubernetes"}},
    "services.export.autoscaling.min must not be above max": {
        "services": {"export": {"autoscaling": {"min": 11}}}
    },
    "services.gateway.autoscaling.enabled must be false": {
        "services": {"gateway": {"autoscaling": {"enabled": True}}}
    },
}


def nested(path: str, value: object) -> dict:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


@pytest.mark.parametrize("which", HELMS)
def test_wrong_values_are_refused_by_their_names(which):
    """All at once: Helm names each of them, and nothing else."""
    values = merged(LEAST, *(nested(path, value) for path, value in WRONG.items()))
    done = template(which, values)
    assert done.returncode != 0
    lines = done.stderr.replace("/", ".").splitlines()
    for path in WRONG:
        parent, _, key = path.rpartition(".")
        assert any(
            path in line or (key in line and (parent in line or not parent)) for line in lines
        ), f"{path} is not named in {done.stderr}"


@pytest.mark.parametrize("path", list(WRONG)[::5])
def test_one_wrong_value_is_enough(path):
    done = template("helm4", merged(LEAST, nested(path, WRONG[path])))
    assert done.returncode != 0
    assert path.rpartition(".")[2] in done.stderr


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_contradictions_are_refused_by_their_names(message):
    done = template("helm3", merged(LEAST, CONTRADICTIONS[message]))
    assert done.returncode != 0
    assert message in done.stderr


def test_what_is_refused_is_refused_for_that_alone():
    assert template("helm3", LEAST).returncode == 0


def test_no_value_brings_a_secret_of_its_own():
    """Passwords and tokens come from Secrets that users make, whatever the values."""
    for values in matrix():
        manifests = render(values)
        assert not [m for m in manifests if m["kind"] == "Secret"]
        for pod in pods(manifests).values():
            for variable in (e for c in containers(pod) for e in c.get("env", [])):
                if "PASSWORD" in variable["name"] or variable["name"] == "REDISCLI_AUTH":
                    assert "secretKeyRef" in variable["valueFrom"]


def test_every_setting_is_a_value_or_set_by_the_chart():
    """A new setting in shared/settings.py goes into values.schema.json, or into MANAGED."""
    known = set(SCHEMA["properties"]["settings"]["properties"])
    assert known | MANAGED == set(Settings.model_fields)
    assert not known & MANAGED


def test_settings_arrive_as_they_were_written():
    """From values through the ConfigMap into the settings of a process."""
    written = {
        "window": 1000000,
        "dedup_memory": 2**40,
        "tick": 0.25,
        "lease": 20,
        "task_time_limit": "PT20M",
        "warm": False,
        "source_prefixes": "s3://crawls/,https://data.example.org/",
        "otlp_endpoint": "http://collector:4318",
    }
    (config,) = (
        m for m in render(merged(LEAST, {"settings": written})) if m["kind"] == "ConfigMap"
    )
    prefix = "CORPUSMILL_"
    told = {
        key.removeprefix(prefix).lower(): value
        for key, value in config["data"].items()
        if key.startswith(prefix)
    }
    assert told.keys() <= Settings.model_fields.keys()
    as_text = {k: str(v) for k, v in written.items()}
    got, want = Settings.model_validate(told), Settings.model_validate(as_text)
    for name in written:
        assert getattr(got, name) == getattr(want, name)
    assert (got.store, got.host, got.metrics_port) == ("s3://bucket/prefix", "0.0.0.0", 9100)


def test_jobs_settings_arrive_as_they_were_written(monkeypatch):
    job = {
        "resources": {"requests": {"cpu": 8, "memory": "64Gi"}, "limits": {"memory": "128Gi"}},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"a": [1]}},
        "env": {"NCCL_SOCKET_IFNAME": "eth0"},
        "stopGraceSeconds": 120,
        "settings": {"job_attempts": 7, "ttl": 3600000, "gpus": 0},
    }
    values = merged(LEAST, JOBS, {"training": {"job": job}, "image": {"pullSecrets": ["a", "b"]}})
    deployments = named(render(values), "Deployment")
    (container,) = deployments["training"]["spec"]["template"]["spec"]["containers"]
    told = {k: v for k, v in environment(container).items() if k.startswith("CORPUSMILL_KUBER")}
    fields = {f"CORPUSMILL_KUBERNETES_{name}".upper() for name in KubernetesSettings.model_fields}
    assert told.keys() <= fields
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    got = KubernetesSettings()
    assert got.namespace == "mill"
    assert got.image == "corpusmill-training:0.1.0"
    assert got.image_pull_secrets == ("a", "b")
    assert got.requests == {"cpu": "8", "memory": "64Gi"}
    assert got.node_selector == {"pool": "gpu"}
    assert [t.model_dump(exclude_none=True) for t in got.tolerations] == job["tolerations"]
    assert (got.affinity, got.env) == (job["affinity"], job["env"])
    assert (got.job_attempts, got.gpus, got.ttl.total_seconds()) == (7, 0, 3_600_000)
    assert got.env_from_secrets == ("s3",)
    assert got.stop_grace.total_seconds() == 120
    for name in ("training", "gateway"):
        variables = environment(deployments[name]["spec"]["template"]["spec"]["containers"][0])
        assert bool([v for v in variables if "KUBERNETES" in v]) == (name == "training")


def test_jobs_settings_of_the_schema_are_those_of_the_backend():
    job = SCHEMA["properties"]["training"]["properties"]["job"]["properties"]
    assert set(job["settings"]["properties"]) < set(KubernetesSettings.model_fields)


def test_values_are_explained_and_short():
    lines = (CHART / "values.yaml").read_text().splitlines()
    assert len(lines) < 250
    for key in yaml.safe_load("\n".join(lines)):
        assert key in SCHEMA["properties"]
    for example in EXAMPLES:
        assert example.read_text().startswith("# ")
