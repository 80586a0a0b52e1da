"""The OpenAPI document against a real gateway: no 5xx, and every answer is one that it documents.

Hypothesis draws requests from the document, right ones and wrong ones, for every operation and with
a token of every role. CORPUSMILL_FUZZ_EXAMPLES asks for more of them (`make fuzz-api`).
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, checks
from typer.testing import CliRunner

from services.gateway.cli import app
from services.gateway.client import TOKEN_VARIABLE, Client
from services.gateway.cluster import Cluster
from services.gateway.tokens import Role, create_token
from shared.errors import UsageError
from shared.store import Store
from tests.services.gateway.conftest import RECIPE, Gateway, _wait, write_pages

EXAMPLES = int(os.environ.get("CORPUSMILL_FUZZ_EXAMPLES", "4"))
#: The few examples of the suite are always the same ones, the many are new each time.
IS_LONG = "CORPUSMILL_FUZZ_EXAMPLES" in os.environ
#: Of a finished batch and its parts, so that requests come further than "there is no such".
KNOWN = "known"
SHORT_RECIPE = {**RECIPE, "steps": [s for s in RECIPE["steps"] if "langid.fasttext_v1" not in s]}
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


class Target:
    """A gateway that needs tokens, its document, and names that are there."""

    def __init__(self, url: str, store: Store, known: dict[str, Any]) -> None:
        self.url, self.known = url, known
        self.tokens = {role: create_token(store, role.word, role)[1] for role in Role}
        self.session = requests.Session()
        answer = self.session.get(f"{url}/openapi.json", headers=self.headers(Role.READ), timeout=9)
        self.schema = schemathesis.openapi.from_dict(answer.json())

    def headers(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}"}


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> Iterator[Target]:
    """A real gateway with its Valkey, and a finished batch."""
    folder = tmp_path_factory.mktemp("fuzzed")
    store = Store(str(folder))
    token = create_token(store, "setup", Role.ADMIN)[1]
    environment = {
        "CORPUSMILL_TICK": "0.05",
        "CORPUSMILL_REQUIRE_TOKENS": "true",
        "CORPUSMILL_RATE_LIMIT": "100000",
        "CORPUSMILL_UPLOAD_BYTES": "4096",
    }
    cluster = Cluster(str(folder), workers=1, environment=environment)
    cluster._define()
    cluster.children = {n: cluster.children[n] for n in ("valkey", "gateway")}
    try:
        for child in cluster.children.values():
            child.start()
        _wait(cluster)
        client = Client(cluster.url, token=token)
        pages = write_pages(tmp_path_factory.mktemp("few"), pages=6, archives=1)
        batch = Gateway(client, store).run(pages, SHORT_RECIPE)["id"]
        first = client.get(f"/v1/batches/{batch}/documents", limit=1)["items"][0]
        client.close()
        known = {
            "batch_id": batch,
            "document": first["document"],
            "rule": "words_min",
            "column": "gopher_quality_v1.words",
            "queue": "extraction",
            "batch": batch,
        }
        found = Target(cluster.url, store, known)
        yield found
        found.session.close()
        log = cluster.children["gateway"].log.read_text()
        assert "defect in" not in log
    finally:
        cluster.stop()


def name_known(case: Case, known: dict[str, Any], draw: Any) -> None:
    """Put names that are there into the path, or not."""
    if case.method != "DELETE" and draw(st.booleans(), label=KNOWN):
        for name in case.path_parameters or {}:
            if name in known:
                case.path_parameters[name] = known[name]
        for name in case.query or {}:
            if name in known and name in ("batch", "document", "rule"):
                case.query[name] = known[name]


def fuzz(target: Target, role: Role, mode: GenerationMode, examples: int) -> dict[str, set[int]]:
    """Draw and send requests for every operation; the statuses of its answers."""
    answered: dict[str, set[int]] = {}
    for result in target.schema.get_all_operations():
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
            continue  # nothing to get wrong but the path, whose names are free

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=not IS_LONG,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
        def send(case: Case, data: Any) -> None:
            name_known(case, target.known, data.draw)
            response = case.call(
                base_url=target.url, session=target.session, headers=target.headers(role)
            )
            case.validate_response(response, checks=CHECKS, headers=target.headers(role))
            answered.setdefault(case.operation.label, set()).add(response.status_code)

        send()
    return answered


@pytest.mark.parametrize("role", list(Role), ids=lambda r: r.word)
def test_right_requests_get_documented_answers(target, role):
    # Readers and submitters are refused most of what the administrator reaches.
    examples = EXAMPLES if role is Role.ADMIN else max(1, EXAMPLES // 2)
    answered = fuzz(target, role, GenerationMode.POSITIVE, examples)
    assert len(answered) > 30
    succeeded = {label for label, statuses in answered.items() if min(statuses) < 300}
    assert len(succeeded) >= (18 if role is Role.ADMIN else 10), sorted(succeeded)


def test_wrong_requests_get_documented_answers(target):
    assert len(fuzz(target, Role.ADMIN, GenerationMode.NEGATIVE, EXAMPLES)) > 15


def test_the_command_line_takes_its_token_from_the_environment(target, monkeypatch, tmp_path):
    status = ["status", "--url", target.url, "--json"]
    monkeypatch.setenv(TOKEN_VARIABLE, target.tokens[Role.READ])
    done = CliRunner().invoke(app, status, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    monkeypatch.delenv(TOKEN_VARIABLE)
    with pytest.raises(UsageError, match=TOKEN_VARIABLE):
        CliRunner().invoke(app, status, catch_exceptions=False)
    large = tmp_path / "large.warc.gz"
    large.write_bytes(bytes(5000))
    with (
        Client(target.url, token=target.tokens[Role.SUBMIT]) as client,
        pytest.raises(UsageError, match="larger than 4096 bytes"),
    ):
        client.upload(large)
