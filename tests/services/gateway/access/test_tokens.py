"""Tokens: what is stored, how long they work, and the commands."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from services.gateway import tokens
from services.gateway.cli import app
from services.gateway.tokens import (
    FOLDER,
    Role,
    Tokens,
    create_token,
    list_tokens,
    parse_lifetime,
    revoke_token,
)
from shared.errors import NotFoundError, UsageError
from shared.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def test_the_store_has_no_secret(store, tmp_path):
    token, text = create_token(store, "me", Role.SUBMIT)
    secret = text.split("_", 2)[2]
    files = [p for p in (tmp_path / "store").rglob("*") if p.is_file()]
    assert [p.name for p in files] == [f"{token.id}.json"]
    assert secret not in files[0].read_text()
    assert len(secret) == 43  # 32 bytes


def test_a_token_is_known_at_once_and_a_revoked_one_no_longer_than_stated(store, monkeypatch):
    monkeypatch.setattr(tokens, "CACHE_SECONDS", 0.4)
    known = Tokens(store)
    assert known.find("cm_000000000000_" + "x" * 43) is None
    token, text = create_token(store, "me", Role.READ)
    found = known.find(text)
    assert found is not None
    assert (found.id, found.role) == (token.id, Role.READ)
    revoke_token(store, token.id)
    ends = time.monotonic() + 0.6
    while known.find(text) is not None:
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_the_stated_time_is_what_the_gateway_uses(store):
    assert tokens.CACHE_SECONDS == 5.0
    token, text = create_token(store, "me", Role.READ)
    known = Tokens(store)
    assert known.find(text)
    revoke_token(store, token.id)
    assert known.find(text)  # read from memory
    known._read_at -= tokens.CACHE_SECONDS
    assert known.find(text) is None


def test_guesses_make_little_work_for_the_store(store, monkeypatch):
    known = Tokens(store)
    asked = []

    def watch(name):
        real = getattr(store, name)
        monkeypatch.setattr(store, name, lambda key: asked.append(name) or real(key))

    watch("list")
    watch("get_json")
    started = time.monotonic()
    for n in range(5000):
        assert known.find(f"cm_{n:012x}_" + "x" * 43) is None
    seconds = time.monotonic() - started
    assert asked.count("list") <= 1 + seconds / tokens.CACHE_SECONDS
    assert asked.count("get_json") <= tokens.UNKNOWN_A_SECOND * (1 + seconds)


def test_an_expired_token_is_refused(store):
    _, text = create_token(store, "me", Role.ADMIN, timedelta(seconds=0.2))
    known = Tokens(store)
    assert known.find(text)
    time.sleep(0.25)
    assert known.find(text) is None
    assert [t.is_valid for t in list_tokens(store)] == [False]


@pytest.mark.parametrize(
    "text", ["", "cm_", "x" * 5000, "cm_../../x_" + "y" * 43, "cm_" + "0" * 12 + "_" + "é" * 43]
)
def test_what_is_no_token(store, text):
    assert Tokens(store).find(text) is None


@pytest.mark.parametrize("bad", ["../../batches/b/batch", "x", "0" * 12, ""])
def test_only_tokens_are_revoked(store, bad):
    store.put("batches/b/batch.json", b"{}")
    with pytest.raises(NotFoundError):
        revoke_token(store, bad)
    assert store.exists("batches/b/batch.json")


def test_lifetimes():
    assert parse_lifetime("90d") == timedelta(days=90)
    assert parse_lifetime("12h") == timedelta(hours=12)
    for bad in ("", "0d", "90", "-1d", "1y", "999999d", "1.5h", "٣d"):
        with pytest.raises(UsageError):
            parse_lifetime(bad)


def run(*arguments):
    return CliRunner().invoke(app, ["token", *arguments], catch_exceptions=False)


def test_the_commands_work_on_the_store(tmp_path, store):
    where = ("--store", store.url)
    text = run("create", "a script", "--role", "submit", "--expires", "90d", *where).output.strip()
    found = Tokens(store).find(text)
    assert found is not None
    assert (found.name, found.role) == ("a script", Role.SUBMIT)
    assert text.split("_", 2)[2] not in run("list", *where).output
    listed = json.loads(run("list", "--json", *where).output)
    assert [(t["id"], t["role"], t["valid"]) for t in listed] == [(found.id, "submit", True)]
    made = json.loads(run("create", "me", "--role", "admin", "--json", *where).output)
    assert Tokens(store).find(made["token"])
    assert json.loads(run("revoke", made["id"], "--json", *where).output) == {"revoked": made["id"]}
    assert Tokens(store).find(made["token"]) is None
    assert [t.id for t in list_tokens(store)] == [found.id]


def test_wrong_roles_and_names_are_refused(store):
    for arguments in (("me", "--role", "root"), ("", "--role", "read")):
        with pytest.raises(UsageError):
            run("create", *arguments, "--store", store.url)
    assert list(store.list(FOLDER)) == []


def test_the_process_refuses_to_start_and_says_which_command_helps(tmp_path):
    environment = {
        **os.environ,
        "CORPUSMILL_HOST": "0.0.0.0",
        "CORPUSMILL_STORE": str(tmp_path / "store"),
    }
    command = [sys.executable, "-m", "services.gateway"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "corpusmill token create NAME --role admin" in done.stderr
    assert "Traceback" not in done.stderr
