"""What one client may ask for: requests a second, bytes a body."""

import logging
import time
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.problems import problem
from shared.errors import UsageError
from shared.leases import PREFIX
from shared.store import to_json

log = logging.getLogger(__name__)

#: A batch may name a million sources, of a hundred characters and more.
BATCH_BYTES: Final = 256 * 2**20
#: Every other body but uploads: an inline recipe, a form.
BODY_BYTES: Final = 4 * 2**20
#: An inline recipe as JSON.
RECIPE_BYTES: Final = 2**20
UPLOADS: Final = "/v1/uploads"
BATCHES: Final = ("/v1/batches", "/ui/submit")
#: A token may use up so many seconds' worth of requests at once.
BURST_SECONDS: Final = 10
#: After a failure Valkey is not asked for this long, so that requests need not wait for it.
_PAUSE_SECONDS: Final = 5.0

#: Generic cell rate algorithm: one number a token, the time at which its burst would be whole
#: again. Times are Valkey's, in microseconds, so that all gateways share one clock and one count.
_GCRA: Final = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local step = 1000000 / tonumber(ARGV[1])
local burst = tonumber(ARGV[2]) * 1000000
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + step
if full - now > burst then return math.ceil(full - now - burst) end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1000)
return 0
"""


def check_recipe(recipe: Any) -> None:
    """Raise UsageError for an inline recipe that is too large."""
    if isinstance(recipe, dict) and len(to_json(recipe)) > RECIPE_BYTES:
        raise UsageError(f"recipe: more than {RECIPE_BYTES} bytes of JSON", field="recipe")


class Limiter:
    """Requests a second by token, counted in Valkey for all gateways together."""

    def __init__(self, redis: "Redis", rate: int, burst_seconds: float = BURST_SECONDS) -> None:
        self._script: Any = redis.register_script(_GCRA)
        self._rate, self._burst_seconds = rate, burst_seconds
        self._asked_again = 0.0

    def wait(self, token: str) -> int:
        """Count a request of a token: 0 where it may go on, else the seconds until one may.

        Without Valkey requests go on: the gateway is of more use than its limit.
        """
        if time.monotonic() < self._asked_again:
            return 0
        try:
            left = self._script(
                keys=[f"{PREFIX}rate:{token}"], args=[self._rate, self._burst_seconds]
            )
        except RedisError as error:
            self._asked_again = time.monotonic() + _PAUSE_SECONDS
            log.warning("requests are not counted for %.0f s: %s", _PAUSE_SECONDS, error)
            return 0
        return -(-int(left) // 1_000_000)


class BodyLimit:
    """The middleware that answers bodies beyond their limit with 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the length that is announced first, and then what comes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit(scope)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            await _too_large(limit)(scope, receive, send)
            return
        had = 0

        async def counted() -> Message:
            nonlocal had
            message = await receive()
            had += len(message.get("body", b""))
            if had > limit:
                raise HTTPException(413, _TOO_LARGE.format(limit))
            return message

        await self._app(scope, counted, send)


_TOO_LARGE: Final = "the body is larger than {} bytes"


def _too_large(limit: int) -> ASGIApp:
    answer = problem(413, "Content too large", _TOO_LARGE.format(limit))
    answer.headers["Connection"] = "close"  # the body is not read
    return answer


def _limit(scope: Scope) -> int:
    if scope["path"] == UPLOADS:
        limit: int = scope["app"].state.gateway.conf.upload_bytes
        return limit
    return BATCH_BYTES if scope["path"] in BATCHES else BODY_BYTES
