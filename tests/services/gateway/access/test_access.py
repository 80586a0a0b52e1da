"""Who may do what: each role on each route, cookies, other sites' pages, other machines."""

import asyncio
import re
from typing import Any

import pytest
from fastapi import Response
from starlette.requests import Request

from services.gateway.access import (
    COOKIE,
    ROLES,
    Identity,
    check_start,
    role_of,
    safe_next,
    set_cookie,
    tokens_required,
)
from services.gateway.app import create_app
from services.gateway.problems import MEDIA_TYPE
from services.gateway.tokens import Role, create_token
from shared.errors import UsageError
from shared.settings import Settings
from shared.store import Store

#: What a refused request gets at most: the access check comes before everything else.
REFUSED = {401, 403}


def ask(served: Any, *arguments: Any, **more: Any) -> Any:
    return asyncio.run(served.ask(*arguments, **more))


def routes(app: Any) -> set[tuple[str, str]]:
    """Method and path of every route, however deep it was included."""
    found = set()

    def walk(candidates: Any) -> None:
        for route in candidates:
            if hasattr(route, "effective_candidates"):
                walk(route.effective_candidates())
                walk(route.effective_low_priority_routes())
            else:
                found.update((m, route.path) for m in (route.methods or {"GET"}) - {"HEAD"})

    walk(app.routes)
    return found


def example(path: str) -> str:
    """A path that fits a template."""
    parts = path.replace(":path}", "}").split("/")
    return "/".join("x" if part.startswith("{") else part for part in parts)


def test_every_route_has_a_declared_role():
    known = routes(create_app())
    assert len(known) > 40  # the walk finds what is included
    missing = {(m, p) for m, p in known if not role_of(m, example(p))[0]}
    assert not missing, f"declare a role in services/gateway/access.py for {sorted(missing)}"


def test_every_declared_role_belongs_to_a_route():
    known = routes(create_app())
    declared = {(method, path) for method, path, _ in ROLES}
    wide = {("GET", "/ui/{rest:path}")}
    assert declared - wide <= known, sorted(declared - known)


def test_only_what_must_be_is_open():
    opened = {(method, path) for method, path, role in ROLES if role is None}
    assert opened == {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/ui/static/{name:path}"),
        ("GET", "/ui/login"),
        ("POST", "/ui/login"),
    }


def test_what_changes_things_needs_more_than_reading():
    asks = {"/v1/batches/{batch_id}/preview", "/v1/recipes/validate", "/ui/logout", "/ui/login"}
    for method, path, role in ROLES:
        if method == "DELETE":
            assert role is Role.ADMIN, path
        elif method != "GET" and path not in asks:
            assert role is not None, path
            assert role >= Role.SUBMIT, path


@pytest.mark.parametrize("role", [None, *Role])
def test_each_role_on_each_route(serve, role):
    served = serve(require_tokens=True)
    token = None if role is None else served.token(role.word)

    async def every() -> list[tuple[str, str, Role | None, int]]:
        told = []
        for method, path, needed in ROLES:
            answer = await served.ask(method, example(path), token=token)
            told.append((method, path, needed, answer.status_code))
        return told

    for method, path, needed, status in asyncio.run(every()):
        enough = needed is None or (role is not None and role >= needed)
        if enough:
            # The form for the sign-in answers 401 itself, since it was sent no token.
            assert status not in REFUSED or path == "/ui/login", (method, path, status)
        elif role is None and method == "GET" and (path == "/" or path.startswith("/ui")):
            assert status == 303, (method, path)
        else:
            assert status == (401 if role is None else 403), (method, path, status)


def test_a_route_without_a_declared_role_serves_nobody(serve):
    served = serve(require_tokens=True)
    served.app.get("/v1/forgotten")(lambda: {"secret": "told"})
    answer = ask(served, "GET", "/v1/forgotten", "admin")
    assert answer.status_code == 404
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "path", ["/v1//batches", "/v1/batches/", "//v1/tokens", "/v1/./tokens", "/V1/tokens"]
)
def test_other_spellings_of_a_path_lead_nowhere(serve, path):
    served = serve(require_tokens=True)
    assert ask(served, "GET", path, "read").status_code in (403, 404)
    assert ask(served, "GET", path).status_code == 401


def test_refusals_are_problem_documents(serve):
    served = serve(require_tokens=True)
    nobody = ask(served, "GET", "/v1/batches")
    assert nobody.status_code == 401
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
    assert nobody.headers["Content-Type"] == MEDIA_TYPE
    reader = ask(served, "POST", "/v1/runs", "read", json={})
    assert reader.status_code == 403
    assert reader.json()["detail"] == "this needs the role submit; the token has read"
    wrong = ask(served, "PUT", "/v1/batches", "admin")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, POST")
    assert ask(served, "GET", "/v1/nothing", "admin").status_code == 404
    assert ask(served, "GET", "/v1/nothing").status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer cm_0123456789ab_x", "Bearer \u00e9", "cm_x"],
)
def test_what_is_no_token_is_401(serve, header):
    served = serve(require_tokens=True)
    headers = {"Authorization": header.encode("latin-1")}
    assert ask(served, "GET", "/v1/batches", headers=headers).status_code == 401


def test_a_wrong_secret_with_a_right_id(serve):
    served = serve(require_tokens=True)
    right, other = served.token("admin"), served.token("admin")
    mixed = "_".join([*right.split("_")[:2], other.split("_", 2)[2]])
    assert ask(served, "GET", "/v1/tokens", token=right).status_code == 200
    assert ask(served, "GET", "/v1/tokens", token=mixed).status_code == 401


def test_administrators_make_and_revoke_tokens(serve, monkeypatch):
    served = serve(require_tokens=True)
    admin = served.token("admin")
    body = {"name": "a script", "role": "submit", "expires": "90d"}
    made = ask(served, "POST", "/v1/tokens", token=admin, json=body).json()
    assert ask(served, "GET", "/v1/batches", token=made["token"]).status_code == 200
    listed = ask(served, "GET", "/v1/tokens", token=admin).json()["items"]
    assert {t["name"] for t in listed} == {"a admin", "a script"}
    assert made["token"].split("_", 2)[2] not in str(listed)
    assert "sha256" not in str(listed)
    path = f"/v1/tokens/{made['id']}"
    assert ask(served, "DELETE", path, token=admin).json() == {"revoked": made["id"]}
    monkeypatch.setattr("services.gateway.tokens.CACHE_SECONDS", 0.0)
    assert ask(served, "GET", "/v1/batches", token=made["token"]).status_code == 401
    assert ask(served, "DELETE", path, token=admin).status_code == 404
    for wrong in ({"role": "root"}, {"name": ""}, {"expires": "soon"}, {"more": 1}):
        answer = ask(served, "POST", "/v1/tokens", token=admin, json={**body, **wrong})
        assert answer.status_code == 422
        assert answer.json()["field"] == next(iter(wrong))


def test_without_tokens_only_this_machine_is_served(serve):
    served = serve()
    for base in ("http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"):
        assert ask(served, "GET", "/v1/batches", base=base).status_code == 200
    # The socket is loopback, the name is another site's (DNS rebinding).
    for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.5", "", "[", "a@127.0.0.1.b"):
        answer = ask(served, "GET", "/v1/batches", headers={"Host": host})
        assert answer.status_code == 403, host
    # The name is loopback, the socket is not.
    far = ask(served, "GET", "/v1/batches", base="http://10.0.0.5", headers={"Host": "localhost"})
    assert far.status_code == 403


def test_with_tokens_any_name_will_do(serve):
    served = serve(require_tokens=True)
    answer = ask(served, "GET", "/v1/batches", "read", base="http://mill.example")
    assert answer.status_code == 200


ELSEWHERE = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"},
]
HERE = [{"Origin": "http://127.0.0.1:8000"}, {"Sec-Fetch-Site": "same-origin"}]


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_other_sites_pages_change_nothing(serve, headers):
    """Also where no token is needed, and for the sign-in."""
    for served in (serve(), serve(require_tokens=True)):
        cookies = {"Cookie": f"{COOKIE}={served.token('admin')}"}
        for path in ("/v1/batches/x/cancel", "/ui/login", "/v1/uploads?name=x"):
            answer = ask(served, "POST", path, headers={**headers, **cookies}, content=b"x")
            assert answer.status_code == 403, path


@pytest.mark.parametrize("headers", HERE)
def test_a_cookie_serves_our_own_pages(serve, headers):
    served = serve(require_tokens=True)
    cookie = {"Cookie": f"{COOKIE}={served.token('submit')}"}
    assert ask(served, "GET", "/v1/batches", headers=cookie).status_code == 200
    path = "/v1/batches/x/cancel"
    assert ask(served, "POST", path, headers={**cookie, **headers}).status_code == 404
    # A browser that says nothing of where a page is from is not believed.
    assert ask(served, "POST", path, headers=cookie).status_code == 403


def test_a_header_goes_before_a_cookie(serve):
    served = serve(require_tokens=True)
    headers = {"Cookie": f"{COOKIE}={served.token('admin')}", "Authorization": "Bearer wrong"}
    assert ask(served, "GET", "/v1/batches", headers=headers).status_code == 401


def test_people_without_a_token_are_sent_to_the_sign_in(serve):
    served = serve(require_tokens=True)
    answer = ask(served, "GET", "/ui/batches/b?x=1&y=//evil")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/ui/login?next=/ui/batches/b%3Fx%3D1%26y%3D//evil"


@pytest.mark.parametrize(
    ("asked", "onward"),
    [
        ("/ui/batches/b?x=1", "/ui/batches/b?x=1"),
        ("/ui", "/ui"),
        (None, "/ui/"),
        ("//evil.example/ui/", "/ui/"),
        ("https://evil.example/ui/", "/ui/"),
        ("/\\evil.example", "/ui/"),
        ("/ui/\\..\\x", "/ui/"),
        ("javascript:alert(1)", "/ui/"),
        ("/v1/tokens", "/ui/"),
        ("/ui/login", "/ui/"),
        ("/uix", "/ui/"),
        ("/ui/\r\nSet-Cookie: x", "/ui/"),
        ("http://[", "/ui/"),
    ],
)
def test_after_the_sign_in_people_stay_here(asked, onward):
    assert safe_next(asked) == onward


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_cookie_is_for_this_site_and_no_script(scheme):
    request = Request(
        {"type": "http", "scheme": scheme, "path": "/", "headers": [], "server": ("a", 1)}
    )
    response = Response()
    set_cookie(request, response, "cm_x", Identity("me", Role.READ))
    cookie = response.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert ("Secure" in cookie) == (scheme == "https")


@pytest.mark.parametrize(
    ("host", "asked", "needed"),
    [
        ("127.0.0.1", None, False),
        ("localhost", None, False),
        ("::1", False, False),
        ("127.0.0.1", True, True),
        ("0.0.0.0", None, True),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("10.1.2.3", None, True),
        ("mill.example", None, True),
    ],
)
def test_when_tokens_are_needed(host, asked, needed):
    assert tokens_required(Settings(host=host, require_tokens=asked)) == needed


def test_a_gateway_for_others_does_not_start_without_a_token(tmp_path):
    store = Store(str(tmp_path))
    conf = Settings(host="0.0.0.0", store=store.url)
    with pytest.raises(UsageError, match="corpusmill token create"):
        check_start(conf, store)
    check_start(Settings(store=store.url), store)
    create_token(store, "me", Role.ADMIN)
    check_start(conf, store)


def test_the_documentation_has_the_same_table(request):
    text = (request.config.rootpath / "docs" / "access.md").read_text()
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| (\w+) \|$", text, re.MULTILINE)
    told = [(m, p, None if role == "open" else Role.of(role)) for m, p, role in rows]
    assert told == list(ROLES)
