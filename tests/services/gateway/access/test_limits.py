"""Rates, sizes of bodies and batches, sources of a request, headers of every answer."""

import asyncio
import re
import time
from typing import Any

import pytest

from services.gateway import batches, limits
from services.gateway.limits import Limiter
from services.gateway.problems import MEDIA_TYPE
from shared.leases import Leases
from tests.services.gateway.access.conftest import Served


def ask(served: Served, *arguments: Any, **more: Any) -> Any:
    return asyncio.run(served.ask(*arguments, **more))


def test_gateways_count_together_and_let_go_on_after_a_while(valkey):
    first, second = (Limiter(Leases(valkey).redis, 50, burst_seconds=0.2) for _ in range(2))
    waits = [limiter.wait("together") for limiter in (first, second) * 5]
    assert waits == [0] * 10
    assert first.wait("together") == second.wait("together") == 1
    assert first.wait("another") == 0
    time.sleep(0.05)
    assert second.wait("together") == 0


def test_without_valkey_requests_go_on_and_do_not_wait(tmp_path):
    limiter = Limiter(Leases(f"unix://{tmp_path}/none.sock").redis, 1)
    started = time.monotonic()
    assert [limiter.wait("me") for _ in range(1000)] == [0] * 1000
    assert time.monotonic() - started < 1


def test_too_many_requests_are_told_when_to_come_again(serve, monkeypatch):
    served = serve(require_tokens=True, rate_limit=1)
    token, other = served.token("read"), served.token("read")

    async def many() -> list[Any]:
        return [await served.ask("GET", "/v1/batches", token=token) for _ in range(13)]

    answers = asyncio.run(many())
    assert [a.status_code for a in answers[:10]] == [200] * 10
    last = answers[-1]
    assert last.status_code == 429
    assert last.headers["Content-Type"] == MEDIA_TYPE
    assert int(last.headers["Retry-After"]) >= 1
    assert ask(served, "GET", "/v1/batches", token=other).status_code == 200


def test_without_tokens_nothing_is_counted(serve):
    served = serve(rate_limit=1)

    async def many() -> set[int]:
        return {(await served.ask("GET", "/v1/recipes")).status_code for _ in range(15)}

    assert asyncio.run(many()) == {200}


async def chunks(total: int, sent: list[int] | None = None) -> Any:
    for _ in range(total // 1000):
        if sent is not None:
            sent.append(1000)
        yield bytes(1000)


def uploads(served: Served) -> list[str]:
    return [entry.key for entry in served.store.list("uploads/")]


def test_an_upload_that_says_it_is_too_large_is_not_read(serve):
    served = serve(upload_bytes=10_000)
    sent: list[int] = []
    answer = ask(
        served,
        "POST",
        "/v1/uploads?name=a.gz",
        content=chunks(20_000, sent),
        headers={"Content-Length": "20000"},
    )
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert "10000 bytes" in answer.json()["detail"]
    assert not uploads(served)


def test_an_upload_that_grows_too_large_leaves_nothing(serve):
    served = serve(upload_bytes=10_000)
    sent: list[int] = []
    answer = ask(served, "POST", "/v1/uploads?name=a.gz", content=chunks(10**6, sent))
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert not uploads(served)
    whole = ask(served, "POST", "/v1/uploads?name=a.gz", content=chunks(10_000))
    assert whole.status_code == 201
    assert len(uploads(served)) == 1


def test_bodies_of_json_have_a_limit(serve, monkeypatch):
    monkeypatch.setattr(limits, "BODY_BYTES", 5000)
    monkeypatch.setattr(limits, "BATCH_BYTES", 9000)
    served = serve()
    for path, size in (("/v1/recipes/validate", 5000), ("/v1/runs", 5000), ("/v1/batches", 9000)):
        for content in (bytes(size + 1000), chunks(size + 1000)):
            answer = ask(
                served, "POST", path, content=content, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 413, path
            assert answer.headers["Content-Type"] == MEDIA_TYPE
        small = ask(served, "POST", path, json={"sources": ["x" * (size - 200)]})
        assert small.status_code == 422


def problem(served: Served, **body: Any) -> dict[str, Any]:
    answer = ask(served, "POST", "/v1/batches", json={"recipe": "refinedweb-lite", **body})
    assert answer.status_code == 422, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_batch_has_so_many_sources_of_such_a_size(serve, monkeypatch, tmp_path):
    monkeypatch.setattr(batches, "MOST_SOURCES", 2)
    folder = tmp_path / "crawl"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_bytes(bytes(100))
    served = serve(source_bytes=99)
    assert "more than 2" in problem(served, sources=[f"{folder}/"])["detail"]
    assert "more than 2" in problem(served, sources=[f"{folder}/{n}" for n in "abc"])["detail"]
    told = problem(served, sources=[f"{folder}/a"])
    assert told["field"] == "sources.0"
    assert "100 bytes; a source has 99 at most" in told["detail"]


def test_an_inline_recipe_has_a_limit(serve):
    served = serve()
    recipe = {"name": "r", "steps": [], "description": "x" * limits.RECIPE_BYTES}
    told = problem(served, sources=["/a"], recipe=recipe)
    assert (told["field"], "bytes" in told["detail"]) == ("recipe", True)


@pytest.mark.parametrize(
    "uri",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "/etc/",
        "store:access/tokens/x.json",
        "store:access/tokens/",
        "store:uploads/../access/tokens/x.json",
        "store:uploads/%2e%2e/access/",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:6379/x",
    ],
)
def test_what_a_gateway_for_others_does_not_read(serve, uri):
    served = serve(require_tokens=True, source_prefixes="store:,s3://crawls/,http://")
    token = served.token("submit")
    lists = {
        "name": "r",
        "steps": [
            {"extraction.records_v1": {}},
            {"extraction.url_filter_v1": {"blocklists": [uri]}},
            {"extraction.main_text_v1": {}},
            {"export.dataset_v1": {}},
        ],
    }
    tokenizer = {"export.dataset_v1": {"params": {"tokenizer": uri}}}
    served.store.put("uploads/0/a.gz", b"x")
    good = ["store:uploads/0/a.gz"]
    for body in (
        {"sources": [uri], "recipe": "refinedweb-lite"},
        {"sources": good, "recipe": lists},
        {"sources": good, "recipe": "refinedweb-lite", "overrides": tokenizer},
    ):
        answer = ask(served, "POST", "/v1/batches", token=token, json=body)
        assert answer.status_code == 422, body
        told = answer.json()
        assert re.search("is not read|not public", told["detail"]), (told, body)
        assert told["field"].startswith(("sources.0", "recipe.steps.")), told
    assert not list(served.store.list("batches/"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_headers_of_every_answer(serve, scheme):
    served = serve(require_tokens=True)

    def broken() -> None:
        raise RuntimeError("a defect")

    served.app.add_api_route("/v1/queues/{queue}", broken)
    served.app.router.routes.insert(0, served.app.router.routes.pop())
    token = served.token("admin")
    seen = set()
    for method, path, given in (
        ("GET", "/healthz", None),
        ("GET", "/v1/batches", token),
        ("GET", "/v1/batches", None),
        ("GET", "/v1/batches/none", token),
        ("GET", "/v1/queues/x", token),
        ("PUT", "/v1/batches", token),
        ("GET", "/docs", token),
        ("GET", "/openapi.json", token),
        ("GET", "/ui/login", None),
        ("GET", "/ui/", None),
    ):
        answer = ask(served, method, path, token=given, base=f"{scheme}://mill.example")
        seen.add(answer.status_code)
        headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store", path
        assert ("Strict-Transport-Security" in headers) == (scheme == "https")
    assert seen == {200, 303, 401, 404, 405, 500}


def test_the_page_of_the_api_loads_nothing(serve):
    served = serve()
    answer = ask(served, "GET", "/docs")
    assert answer.status_code == 200
    assert "/v1/batches/{batch_id}/cancel" in answer.text
    assert "<script" not in answer.text
    assert not re.findall(r"(?:src|href)=['\"]?(?:https?:)?//", answer.text)
    document = ask(served, "GET", "/openapi.json").json()
    cancel = document["paths"]["/v1/batches/{batch_id}/cancel"]["post"]
    assert cancel["x-role"] == "submit"
    assert {"401", "403", "413", "422", "429", "503"} <= set(cancel["responses"])
    assert list(cancel["responses"]["429"]["content"]) == [MEDIA_TYPE]
