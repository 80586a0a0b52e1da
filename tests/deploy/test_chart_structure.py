"""What must hold of the chart's manifests, whatever the values: security, rights, who meets whom."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import services.training.kubernetes as kubernetes_backend
from services.gateway.cluster import free_port, valkey_binary
from services.gateway.tokens import Role, create_token
from services.training.kubernetes.settings import KubernetesSettings
from shared.processes import die_with_parent
from shared.settings import Settings
from shared.store import Store
from tests.deploy.chart import (
    BUNDLED,
    EXAMPLES,
    JOBS,
    KEDA_API,
    KEDA_QUERY,
    LEAST,
    NAMESPACE,
    SERVICES,
    WORKERS,
    containers,
    environment,
    example,
    matrix,
    merged,
    named,
    pods,
    render,
    selects,
)

#: Variables that are no settings of ours: the store's client's, TLS's, Valkey's.
FOREIGN = {"AWS_ENDPOINT_URL", "AWS_REGION", "SSL_CERT_FILE", "REDIS_PASSWORD", "REDISCLI_AUTH"}
UNITS = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
#: What a worker holds besides a guarded document (the design's budget of a process).
PROCESS_BYTES = 512 * 2**20


@cache
def everything():
    """The manifests of the whole matrix, and of the examples."""
    return [render(v) for v in matrix()] + [example(path.stem) for path in EXAMPLES]


def as_bytes(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def labels_of(component: str) -> dict[str, str]:
    names = {"app.kubernetes.io/name": "corpusmill", "app.kubernetes.io/instance": "corpusmill"}
    return names | {"app.kubernetes.io/component": component}


def test_pods_meet_the_standard_restricted():
    for manifests in everything():
        for name, pod in pods(manifests).items():
            spec = pod["spec"]
            security = spec["securityContext"]
            assert security["runAsNonRoot"] is True, name
            assert security["runAsUser"] == 10001
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
            allowed = {"emptyDir", "configMap", "persistentVolumeClaim"}
            assert {k for v in spec.get("volumes", []) for k in v if k != "name"} <= allowed
            for container in containers(pod):
                inner = container["securityContext"]
                assert inner["allowPrivilegeEscalation"] is False
                assert inner["readOnlyRootFilesystem"] is True
                assert inner["capabilities"] == {"drop": ["ALL"]}
                assert not {"privileged", "runAsUser", "seccompProfile"} & inner.keys()
                assert not [p for p in container.get("ports", []) if "hostPort" in p]


def test_containers_have_resources_and_bounded_folders():
    for manifests in everything():
        for name, pod in pods(manifests).items():
            for container in containers(pod):
                assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
                assert "memory" in container["resources"]["limits"]
            for volume in pod["spec"].get("volumes", []):
                if "emptyDir" in volume:
                    assert volume["emptyDir"]["sizeLimit"]


def test_a_guarded_document_and_the_arrays_fit_into_memory():
    for path in EXAMPLES:
        manifests = example(path.stem)
        told = named(manifests, "ConfigMap")["settings"]["data"]
        document = int(told["CORPUSMILL_DOCUMENT_MEMORY"])
        dedup = int(told.get("CORPUSMILL_DEDUP_MEMORY", Settings().dedup_memory))
        for worker in WORKERS:
            pod = named(manifests, "Deployment")[worker]["spec"]["template"]
            limit = as_bytes(pod["spec"]["containers"][0]["resources"]["limits"]["memory"])
            most = max(document, dedup) if worker == "dedup" else document
            assert limit >= PROCESS_BYTES + most, (path.stem, worker)


def test_every_variable_is_a_setting():
    known = {f"CORPUSMILL_{name}".upper() for name in Settings.model_fields}
    known |= {f"CORPUSMILL_KUBERNETES_{name}".upper() for name in KubernetesSettings.model_fields}
    for manifests in everything():
        names = {
            e["name"]
            for p in pods(manifests).values()
            for c in containers(p)
            for e in c.get("env", [])
        }
        names |= named(manifests, "ConfigMap")["settings"]["data"].keys()
        assert names <= known | FOREIGN


def test_a_pod_outlives_its_grace():
    for manifests in everything():
        for service in SERVICES:
            if service not in (deployments := named(manifests, "Deployment")):
                continue
            spec = deployments[service]["spec"]["template"]["spec"]
            grace = float(environment(spec["containers"][0])["CORPUSMILL_STOP_GRACE"])
            assert spec["terminationGracePeriodSeconds"] == grace + 30


def test_images_are_one_repository_and_a_target_a_service():
    manifests = example("large-gpu")
    found = {n: containers(p) for n, p in pods(manifests).items()}
    for name, all_of in found.items():
        service = name.removeprefix("corpusmill-").replace("test", "gateway")
        for container in all_of:
            assert container["image"] == f"images.example.org/corpusmill-{service}:0.1.0"
    program = {s: found[f"corpusmill-{s}"][-1]["args"][-1] for s in SERVICES}
    assert program.pop("gateway") == "services.gateway"
    assert program == {s: f"services.{s}.worker" for s in WORKERS}


def test_probes_ask_the_ports_that_are_there():
    for service, pod in named(example("one-node"), "Deployment").items():
        (container,) = pod["spec"]["template"]["spec"]["containers"]
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        paths = {
            "startupProbe": "/healthz",
            "livenessProbe": "/healthz",
            "readinessProbe": "/readyz",
        }
        for probe, path in paths.items():
            asked = container[probe]["httpGet"]
            assert (asked["path"], ports[asked["port"]]) == (
                path,
                8000 if service == "gateway" else 9100,
            )
        started = container["startupProbe"]
        assert started["periodSeconds"] * started["failureThreshold"] >= 120


def test_selectors_take_their_own_pods_and_no_others():
    for manifests in everything():
        labels = {n: p["metadata"]["labels"] for n, p in pods(manifests).items()}
        for manifest in manifests:
            name, spec = manifest["metadata"]["name"], manifest.get("spec", {})
            if manifest["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
                selector = spec["selector"]
            elif manifest["kind"] == "Service":
                selector = {"matchLabels": spec["selector"]}
            else:
                continue
            assert [n for n, has in labels.items() if selects(selector, has)] == [name]


def test_scalers_and_budgets_fit_what_they_scale():
    for manifests in everything():
        deployments = named(manifests, "Deployment")
        scaled = named(manifests, "ScaledObject") | named(manifests, "HorizontalPodAutoscaler")
        assert "gateway" not in scaled
        assert named(manifests, "PodDisruptionBudget").keys() == deployments.keys()
        for service, deployment in deployments.items():
            # Two that set the number of replicas would undo each other at each upgrade.
            assert ("replicas" in deployment["spec"]) == (service not in scaled)
        for service, scaler in scaled.items():
            assert scaler["spec"]["scaleTargetRef"]["name"] == f"corpusmill-{service}"
        for budget in named(manifests, "PodDisruptionBudget").values():
            assert "minAvailable" not in budget["spec"]  # one replica would block every drain
            assert budget["spec"]["maxUnavailable"] not in (0, "0%")


def test_scaled_objects_carry_the_one_query():
    plain = {"services": {"dedup": {"autoscaling": {"targetSeconds": 90, "max": 7}}}}
    objects = named(render(merged(LEAST, plain, {"autoscaling": KEDA_QUERY})), "ScaledObject")
    assert objects.keys() == set(WORKERS)
    trigger = objects["dedup"]["spec"]["triggers"][0]["metadata"]
    assert trigger["query"] == (
        'max(corpusmill_queue_in_flight{queue="dedup"})'
        ' + max(corpusmill_backlog_seconds{queue="dedup"}) / 90'
    )
    assert (trigger["threshold"], trigger["ignoreNullValues"]) == ("1", "false")
    spec = objects["dedup"]["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 7)
    assert spec["fallback"]["replicas"] >= 1
    labels = {"autoscaling": {"prometheus": {"labels": {"namespace": "mill"}}}}
    values = merged(LEAST, {"autoscaling": KEDA_QUERY}, labels)
    query = named(render(values), "ScaledObject")["langid"]["spec"]["triggers"][0]["metadata"][
        "query"
    ]
    assert query.count('{queue="langid",namespace="mill"}') == 2
    asked = named(render(merged(LEAST, plain, {"autoscaling": KEDA_API})), "ScaledObject")
    trigger = asked["dedup"]["spec"]["triggers"][0]
    assert trigger["metadata"]["url"] == (
        f"http://corpusmill-gateway.{NAMESPACE}.svc:8000/v1/queues/dedup?target_seconds=90"
    )
    assert trigger["authenticationRef"] == {"name": "corpusmill-queues"}


def test_certificates_are_named_where_they_are_mounted_and_nowhere_else():
    """A client that is told of a file that is not there trusts nobody."""
    for manifests in everything():
        assert "SSL_CERT_FILE" not in named(manifests, "ConfigMap")["settings"]["data"]
        for pod in pods(manifests).values():
            for container in containers(pod):
                told = environment(container).get("SSL_CERT_FILE")
                places = [m["mountPath"] for m in container.get("volumeMounts", [])]
                assert (told is not None) == ("/etc/corpusmill/ca" in places)
                assert told in (None, "/etc/corpusmill/ca/ca.crt")


def what_the_backend_calls() -> set[tuple[str, str]]:
    """Resources and verbs, from the calls of the `kubernetes` client in the backend's source."""
    folder = Path(kubernetes_backend.__file__).parent
    called = re.findall(
        r"\.([a-z]+)_namespaced_([a-z_]+)\b", "".join(f.read_text() for f in folder.glob("*.py"))
    )
    resources = {"job": "jobs", "service": "services", "pod": "pods", "pod_log": "pods/log"}
    resources |= {"event": "events"}
    verbs = {"read": "get"}
    return {(resources[name], verbs.get(verb, verb)) for verb, name in called}


def test_only_training_may_make_jobs_and_only_its_pods_get_a_token():
    for manifests in everything():
        deployments = named(manifests, "Deployment")
        tells = environment(deployments["training"]["spec"]["template"]["spec"]["containers"][0])
        jobs = "CORPUSMILL_KUBERNETES_IMAGE" in tells
        with_token = {
            n for n, p in pods(manifests).items() if p["spec"]["automountServiceAccountToken"]
        }
        assert with_token == ({"corpusmill-training"} if jobs else set())
        accounts = {m["metadata"]["name"]: m for m in manifests if m["kind"] == "ServiceAccount"}
        assert not any(a["automountServiceAccountToken"] for a in accounts.values())
        assert {
            p["spec"]["serviceAccountName"] for p in pods(manifests).values()
        } <= accounts.keys()
        roles = [m for m in manifests if m["kind"] in ("Role", "ClusterRole")]
        bindings = [m for m in manifests if "Binding" in m["kind"]]
        assert len(roles) == len(bindings) == int(jobs)
        for role in roles:
            may = {
                (r, verb)
                for rule in role["rules"]
                for r in rule["resources"]
                for verb in rule["verbs"]
            }
            assert may == what_the_backend_calls()
        for binding in bindings:
            assert [s["name"] for s in binding["subjects"]] == ["corpusmill-training"]


class Network:
    """Who may reach whom by the NetworkPolicies of some manifests."""

    def __init__(self, manifests):
        self.policies = [m["spec"] for m in manifests if m["kind"] == "NetworkPolicy"]

    def _rules(self, component: str, direction: str):
        key = direction.capitalize()
        mine = [p for p in self.policies if selects(p["podSelector"], labels_of(component))]
        assert any(key in p["policyTypes"] for p in mine), f"{component}: {direction} is open"
        return [r for p in mine if key in p["policyTypes"] for r in p.get(direction, [])]

    def peers(self, component: str, direction: str) -> list[tuple[dict, int | None]]:
        """Peers that are named, each with a port (None: all ports)."""
        found = []
        for rule in self._rules(component, direction):
            ports = [p["port"] for p in rule.get("ports", [])] or [None]
            peers = rule["to" if direction == "egress" else "from"]
            assert peers, "an empty list of peers is everybody"
            found += [(peer, port) for peer in peers for port in ports]
        return found

    def reach(self, here: str, there: str, port: int) -> bool:
        """Whether pods of one component reach those of another: allowed at both ends."""
        ends = (("egress", here, there), ("ingress", there, here))
        return all(
            any(
                "podSelector" in peer
                and selects(peer["podSelector"], labels_of(other))
                and at in (None, port)
                for peer, at in self.peers(one, direction)
            )
            for direction, one, other in ends
        )


def test_network_policies_let_in_and_out_what_is_named_and_nothing_else():
    store, cache_, api = ({"ipBlock": {"cidr": f"192.0.2.{n}/32"}} for n in (1, 2, 3))
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    policy = {
        "store": {"to": [store], "ports": [443]},
        "redis": {"to": [cache_], "ports": [6380]},
        "kubernetesApi": {"to": [api], "ports": [6443]},
        "sources": {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [443]},
    }
    values = merged(LEAST, JOBS, {"networkPolicy": policy})
    network = Network(render(values))
    every = [(dns, 53), (dns, 53), (cache_, 6380), (store, 443)]
    abroad = (policy["sources"]["to"][0], 443)
    for service in SERVICES:
        more = {"gateway": [abroad], "extraction": [abroad], "training": [(api, 6443)]}
        assert network.peers(service, "egress") == every + more.get(service, [])
        ports = {port for _, port in network.peers(service, "ingress")}
        assert ports == ({8000, 9100} if service == "gateway" else {9100})
    for one in SERVICES:
        assert not any(network.reach(one, other, 8000) for other in SERVICES)
        assert not network.reach(one, "training-run", 29400)
    assert network.reach("test", "gateway", 8000)
    assert network.reach("training-run", "training-run", 29400)
    outside = [p for p, _ in network.peers("training-run", "egress") if "ipBlock" in p]
    assert outside == [store]


def test_the_bundled_valkey_is_reached_by_services_only():
    network = Network(render(merged(LEAST, BUNDLED, {"autoscaling": KEDA_API})))
    assert all(network.reach(service, "valkey", 6379) for service in SERVICES)
    assert not network.reach("test", "valkey", 6379)
    assert [port for _, port in network.peers("valkey", "egress")] == [53, 53]
    keda = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}
    assert (keda, 8000) in network.peers("gateway", "ingress")
    plain = Network(render(merged(LEAST, BUNDLED)))
    assert (keda, 8000) not in plain.peers("gateway", "ingress")


def test_the_bundled_valkey_starts_keeps_its_log_and_wants_the_password(tmp_path):
    """The chart's own start script and configuration, run by a real Valkey."""
    config = named(render(merged(LEAST, BUNDLED)), "ConfigMap")["valkey"]["data"]
    port = free_port()
    for folder in ("etc", "data", "tmp", "bin"):
        (tmp_path / folder).mkdir()
    for name, text in config.items():
        here = re.sub(
            r"/(etc/valkey|data|tmp)\b", lambda m: f"{tmp_path}/{m[1].split('/')[0]}", text
        )
        here = here.replace("port 6379\n", f"port {port}\nbind 127.0.0.1\n")
        (tmp_path / "etc" / name).write_text(here)
    (tmp_path / "bin" / "valkey-server").symlink_to(valkey_binary())
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["sh", "-e", str(tmp_path / "etc" / "start.sh")],
        env={"PATH": path, "REDIS_PASSWORD": "abc123"},
        stdout=subprocess.DEVNULL,
        preexec_fn=die_with_parent,  # noqa: PLW1509
    )
    try:
        once = Retry(NoBackoff(), 0)
        with redis.Redis(port=port, password="abc123", retry=once) as client:
            until(lambda: answers(client))
            told = client.config_get("append*") | client.config_get("maxmemory*")
            assert (told["appendonly"], told["appendfsync"]) == ("yes", "everysec")
            assert (told["maxmemory"], told["maxmemory-policy"]) == (str(400 * 2**20), "noeviction")
            client.set("a", "b")
        with (
            redis.Redis(port=port, retry=once) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.get("a")
    finally:
        process.terminate()  # the shell has become the server, so that the signal arrives
        assert process.wait(10) == 0
    assert list((tmp_path / "data").rglob("*.aof"))
    assert (tmp_path / "tmp" / "valkey.conf").stat().st_mode & 0o077 == 0


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_the_gateway_waits_for_a_first_token_with_its_own_store(tmp_path):
    """The script of the init container, run with the real command line."""
    pod = named(example("one-node"), "Deployment")["gateway"]["spec"]["template"]["spec"]
    (first,) = pod["initContainers"]
    (gateway,) = pod["containers"]
    assert first["envFrom"] == gateway["envFrom"]
    assert first["volumeMounts"] == gateway["volumeMounts"]
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = {**os.environ, "PATH": programs, "CORPUSMILL_STORE": str(tmp_path / "store")}
    waiting = subprocess.Popen(
        [*first["command"], *(a.replace("sleep 5", "sleep 0.1") for a in first["args"])],
        env=run,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509
    )
    try:
        assert "no access token yet" in waiting.stdout.readline()
        _, text = create_token(Store(run["CORPUSMILL_STORE"]), "me", Role.ADMIN)
        assert waiting.wait(30) == 0
        assert text not in waiting.stdout.read()
    finally:
        waiting.stdout.close()
        waiting.kill()
        waiting.wait()
