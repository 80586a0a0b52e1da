"""API tokens: `cm_<id>_<secret>`, kept in the store under `access/tokens/<id>.json`.

The store has the SHA-256 of the secret and never the secret. A slow hash would add nothing: it
slows the guessing of words that people choose, and the secret is 32 random bytes, beyond guessing
at any speed. A token object never changes; revoking a token removes it. The time of its last use is
not recorded, since that would be a write to the store for each request.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from shared.errors import NotFoundError, UsageError
from shared.store import Store, to_json

FOLDER = "access/tokens/"
SECRET_BYTES = 32
#: A gateway reads the tokens again after this: a revoked token is refused that much later at most.
CACHE_SECONDS = 5.0
#: A token that is not known may be new, and is looked for at once; but no more often than this, so
#: that who guesses tokens makes no work for the store.
UNKNOWN_A_SECOND = 20
_TEXT = re.compile(r"cm_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_ID = re.compile(r"[0-9a-f]{12}", re.ASCII)


class Role(IntEnum):
    """What a token may do; each role may do what the lower ones may."""

    READ = 1
    SUBMIT = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As people write it."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Self:
        """The role of that name; UsageError where there is none."""
        try:
            return cls[word.upper()]
        except KeyError as error:
            known = ", ".join(r.word for r in cls)
            raise UsageError(f"role {word!r} is none of {known}", field="role") from error


class Token(BaseModel):
    """A token as the store has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    name: str = Field(min_length=1, max_length=128)
    role: Role
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: datetime
    expires: datetime | None = None

    @field_validator("role", mode="before")
    @classmethod
    def _from_word(cls, value: object) -> object:
        return Role.of(value) if isinstance(value, str) else value

    @field_serializer("role")
    def _to_word(self, role: Role) -> str:
        return role.word

    @property
    def is_valid(self) -> bool:
        """Whether it has not expired."""
        return self.expires is None or datetime.now(UTC) < self.expires

    def describe(self) -> dict[str, object]:
        """What people may see of it."""
        return {**self.model_dump(mode="json", exclude={"sha256"}), "valid": self.is_valid}


def create_token(
    store: Store, name: str, role: Role, lifetime: timedelta | None = None
) -> tuple[Token, str]:
    """A new token and its text, which nobody can read again."""
    if not name.strip() or len(name) > 128 or not name.isprintable():
        raise UsageError("name: 1 to 128 printable characters", field="name")
    now = datetime.now(UTC)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    token = Token(
        id=secrets.token_hex(6),
        name=name,
        role=role,
        sha256=_hash(secret),
        created=now,
        expires=None if lifetime is None else now + lifetime,
    )
    if not store.put_if_absent(_key(token.id), to_json(token.model_dump(mode="json"))):
        raise UsageError(f"token {token.id} is there already; try again")
    return token, f"cm_{token.id}_{secret}"


def list_tokens(store: Store) -> list[Token]:
    """All tokens, oldest first; expired ones are among them."""
    found = [Token.model_validate(store.get_json(e.key)) for e in store.list(FOLDER)]
    return sorted(found, key=lambda t: (t.created, t.id))


def revoke_token(store: Store, token_id: str) -> None:
    """Remove a token; NotFoundError where there is none."""
    if not _ID.fullmatch(token_id) or not store.exists(_key(token_id)):
        raise NotFoundError(f"no token {token_id}")
    store.delete(_key(token_id))


def parse_lifetime(text: str) -> timedelta:
    """`90d`, `12h` or `30m` as a duration."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([dhm])", text, re.ASCII)
    if found is None:
        raise UsageError(f"expires: {text!r} is no duration such as 90d, 12h, 30m", field="expires")
    unit = {"d": "days", "h": "hours", "m": "minutes"}[found[2]]
    lifetime = timedelta(**{unit: int(found[1])})
    if lifetime > timedelta(days=36_500):
        raise UsageError("expires: at most 36500d; leave it out for ever", field="expires")
    return lifetime


class Tokens:
    """The store's tokens, read again every few seconds.

    One listing at a time, whatever the number of requests, and a bounded number of looks for tokens
    that are not in it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Token] = {}
        self._read_at = -CACHE_SECONDS
        self._looks: deque[float] = deque(maxlen=UNKNOWN_A_SECOND)
        self._lock = threading.Lock()

    def find(self, text: str) -> Token | None:
        """The valid token with this text, or None. TransientError where the store is away."""
        parsed = _TEXT.fullmatch(text)
        if parsed is None:
            return None
        self._refresh()
        token = self._known.get(parsed[1]) or self._look_for(parsed[1])
        # An unknown id costs the same comparison, so that time does not tell which ids exist.
        expected = "0" * 64 if token is None else token.sha256
        is_right = hmac.compare_digest(_hash(parsed[2]), expected)
        return token if token is not None and is_right and token.is_valid else None

    def _look_for(self, token_id: str) -> Token | None:
        """A token that was made since the last reading."""
        now = time.monotonic()
        with self._lock:
            if len(self._looks) == UNKNOWN_A_SECOND and now - self._looks[0] < 1.0:
                return None
            self._looks.append(now)
        token = self._read(token_id)
        if token is not None:
            with self._lock:
                self._known = {**self._known, token_id: token}
        return token

    def _refresh(self) -> None:
        """Read the store's tokens again where that was long ago."""
        if time.monotonic() - self._read_at < CACHE_SECONDS:
            return
        with self._lock:
            if time.monotonic() - self._read_at < CACHE_SECONDS:
                return
            now = time.monotonic()
            names = [e.key.removeprefix(FOLDER) for e in self._store.list(FOLDER)]
            ids = [n.removesuffix(".json") for n in names]
            # Token objects never change, so that those known are not read again.
            self._known = {i: t for i in ids if (t := self._known.get(i) or self._read(i))}
            self._read_at = now

    def _read(self, token_id: str) -> Token | None:
        try:
            return Token.model_validate(self._store.get_json(_key(token_id)))
        except NotFoundError:  # revoked since it was listed
            return None


def _key(token_id: str) -> str:
    return f"{FOLDER}{token_id}.json"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
