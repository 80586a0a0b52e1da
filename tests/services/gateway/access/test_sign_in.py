"""The dashboard's sign-in: from a token to a cookie and back, and what each role is shown."""

import asyncio
from typing import Any

import pytest

from services.gateway.access import COOKIE

SITE = "http://gateway.example"
OURS = {"Origin": SITE, "Sec-Fetch-Site": "same-origin"}


def ask(served: Any, method: str, path: str, cookie: str | None = None, **more: Any) -> Any:
    headers = {**OURS} if method == "POST" else {}
    if cookie:
        headers["Cookie"] = f"{COOKIE}={cookie}"
    return asyncio.run(served.ask(method, path, base=SITE, headers=headers, **more))


@pytest.fixture
def served(serve):
    return serve(host="0.0.0.0")


def test_a_token_becomes_a_cookie_that_scripts_cannot_read(served):
    token = served.token("submit")
    sent = {"token": f" {token}\n", "next": "/ui/runs"}
    answer = ask(served, "POST", "/ui/login", data=sent)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/runs")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert answer.cookies[COOKIE] == token
    assert ask(served, "GET", "/ui/", token).status_code == 200
    out = ask(served, "POST", "/ui/logout", token)
    assert out.status_code == 303
    assert f'{COOKIE}=""' in out.headers["Set-Cookie"]


@pytest.mark.parametrize("token", ["", "cm_no_such", "<script>"])
def test_a_wrong_token_is_asked_for_again(served, token):
    answer = ask(served, "POST", "/ui/login", data={"token": token, "next": "//evil.example"})
    assert answer.status_code == 401
    assert "wrong, revoked or expired" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert "evil.example" not in answer.text
    assert "<script>" not in answer.text.replace('<script src="', "")


def test_the_sign_in_needs_no_token_and_its_files_neither(served):
    assert ask(served, "GET", "/ui/login?next=/ui/runs").status_code == 200
    assert ask(served, "GET", "/ui/static/app.css").status_code == 200


@pytest.mark.parametrize(("role", "sees"), [("read", False), ("submit", True)])
def test_who_may_only_read_sees_no_buttons(served, role, sees):
    page = ask(served, "GET", "/ui/", served.token(role)).text
    assert ("Submit a batch" in page) == sees
    assert f'title="Signed in as a {role}"' in page


def test_a_queue_that_does_not_answer_is_a_page(served):
    token = served.token("read")
    served.gateway.leases.redis.connection_pool.disconnect()
    served.gateway.leases.redis.connection_pool.connection_kwargs["path"] = "/nowhere.sock"
    answer = ask(served, "GET", "/ui/", token)
    assert answer.status_code == 503
    assert "What is committed is safe" in answer.text
