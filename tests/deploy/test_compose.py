"""compose.yaml, its example of an environment, the Dockerfile and its lock files, as files."""

import importlib.util
import re
import tomllib
from datetime import timedelta

import pytest
import yaml

from scripts.compose_env import environment
from scripts.images import SERVICES
from shared.settings import Settings
from tests.conftest import ROOT

COMPOSE_TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
EXAMPLE = (ROOT / "deploy/compose.env.example").read_text()
PUBLISHED = {"gateway": 8000, "prometheus": 9090, "grafana": 3000}
#: ${NAME}, ${NAME:-default}, ${NAME:?what is wrong}
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?:(:-|:\?)([^}]*))?\}")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)

each_service = pytest.mark.parametrize("name", COMPOSE["services"])


def test_every_service_of_ours_is_there():
    assert set(SERVICES) < set(COMPOSE["services"])
    for name in SERVICES:
        service = COMPOSE["services"][name]
        assert service["build"]["target"] == name
        assert f"/corpusmill-{name}:" in service["image"]


@each_service
def test_every_container_is_hardened(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert not {"privileged", "devices", "pid", "container_name"} & set(service)
    assert service.get("network_mode", "none") == "none"
    if name == "owner":  # gives the volumes to those who write to them, and has nothing else
        assert service["cap_add"] == ["CHOWN"]
        assert service["network_mode"] == "none"
    else:
        assert "cap_add" not in service
        assert service.get("user", "10001:10001") == "10001:10001"


@each_service
def test_ports_are_few_and_on_loopback(name):
    ports = COMPOSE["services"][name].get("ports", [])
    if name in PUBLISHED:
        (port,) = ports
        assert re.fullmatch(
            rf"\$\{{BIND:-127\.0\.0\.1}}:\$\{{\w+:-\d+}}:{PUBLISHED[name]}", port
        ), port
    else:
        assert not ports


def test_stores_are_reached_from_inside_alone():
    assert COMPOSE["networks"]["inner"]["internal"] is True
    for name in ("valkey", "seaweedfs"):
        assert COMPOSE["services"][name]["networks"] == ["inner"]


def test_every_secret_is_required_and_none_has_a_default():
    operators = {}
    for name, operator, _ in VARIABLE.findall(COMPOSE_TEXT):
        operators.setdefault(name, set()).add(operator)
    assert all(len(o) == 1 for o in operators.values()), "a variable with two defaults"
    required = {name for name, o in operators.items() if o == {":?"}}
    assert required == {"VALKEY_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "GRAFANA_PASSWORD"}
    assert {n for n in operators if re.search("PASSWORD|SECRET|_KEY|TOKEN", n)} == required
    assert set(re.findall(r"^([A-Z0-9_]+)=$", EXAMPLE, re.MULTILINE)) == required
    optional = set(re.findall(r"^#([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE))
    assert set(operators) - required - optional <= {"VERSION", "REVISION"}
    assert optional <= set(operators)


def test_defaults_in_the_example_are_those_of_the_file():
    given = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    for name, operator, default in VARIABLE.findall(COMPOSE_TEXT):
        if operator == ":-" and name in given:
            assert given[name] == default, name


def test_every_environment_has_secrets_of_its_own():
    first, second = environment(), environment()
    secrets = re.findall(r"^[A-Z0-9_]+=([0-9a-f]{48})$", first + second, re.MULTILINE)
    assert len(set(secrets)) == 8
    assert not re.search(r"^[A-Z0-9_]+=$", first, re.MULTILINE)


def test_names_of_settings_are_settings():
    names = set(re.findall(r"CORPUSMILL_([A-Z_]+)", COMPOSE_TEXT + DOCKERFILE))
    assert len(names) > 6
    assert {n.lower() for n in names} - {"prepared"} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", SERVICES)
def test_workers_have_longer_than_their_grace(name):
    service = COMPOSE["services"][name]
    assert "healthcheck" in service
    if name != "gateway":
        period = VARIABLE.fullmatch(service["stop_grace_period"])[3]
        grace = VARIABLE.fullmatch(service["environment"]["CORPUSMILL_STOP_GRACE"])[3]
        assert timedelta(seconds=int(grace)) == Settings.model_fields["stop_grace"].default
        assert int(period.removesuffix("s")) > int(grace)


@each_service
def test_mounted_files_exist_and_are_read_only(name):
    for volume in COMPOSE["services"][name].get("volumes", []):
        if volume.startswith("."):
            source, _, mode = volume.split(":")
            assert (ROOT / source).exists(), source
            assert mode.startswith("/") or mode == "ro"
            assert volume.endswith(":ro")


def test_a_target_a_service():
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    parents = {name: parent for parent, name in stages}
    assert {n for n, p in parents.items() if p in ("run", "disk", "worker")} - {
        "disk",
        "worker",
    } == set(SERVICES)
    run = re.search(r"^FROM base AS run$.*?^FROM", DOCKERFILE, re.DOTALL | re.MULTILINE)[0]
    assert "USER 10001:10001" in run
    assert "STOPSIGNAL SIGTERM" in run
    for label in ("version", "revision", "source", "licenses"):
        assert f"org.opencontainers.image.{label}=" in run
    for service in SERVICES:
        stage = re.search(
            rf"^FROM \S+ AS {service}$(.*?)(?=^FROM|\Z|^#)", DOCKERFILE, re.DOTALL | re.MULTILINE
        )[1]
        assert f"--from=build-{service} " in stage
        assert f"title=corpusmill-{service}" in stage
        (module,) = re.findall(r'^CMD \["python", "-m", "([\w.]+)"\]$', stage, re.MULTILINE)
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml", "deploy/compose.env.example"])
def test_no_registry_is_named(file):
    text = (ROOT / file).read_text()
    assert not re.findall(r"[\w.-]+\.(?:io|org|com|dev|net)/\S*", text)


def test_locks_name_no_index():
    locks = [p.read_text() for p in (ROOT / "requirements/services").glob("*.lock")]
    assert not any("://" in lock for lock in locks)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_locked_to_what_its_extra_asks_for(service):
    """If this fails after a change of pyproject.toml: `make lock`."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / f"requirements/services/{service}.lock").read_text()
    pins = PIN.findall(lock)
    assert set(pins) <= set(PIN.findall((ROOT / "requirements/dev.lock").read_text()))
    names = {name for name, _ in pins}
    asked = extras["dependencies"] + extras["optional-dependencies"][service]
    wanted = {re.match(r"[A-Za-z0-9._-]+", line)[0] for line in asked}
    assert wanted - names <= {"torch"}
    assert "torch" not in names
    assert lock.count("--hash=sha256:") > len(pins)
