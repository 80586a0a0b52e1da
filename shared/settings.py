"""Settings of every process, from environment variables with the prefix CORPUSMILL_.

Units live in the types: durations are timedeltas (seconds, or ISO 8601 like PT30S), sizes are
bytes.
"""

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.shards import DEFAULT_EXPANSION, DEFAULT_SHARD_BYTES


def _plain_seconds(value: Any) -> Any:
    """Environment variables are strings; a bare number in one is seconds."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Duration = Annotated[timedelta, BeforeValidator(_plain_seconds)]


class Settings(BaseSettings):
    """What a worker or the gateway needs to know."""

    model_config = SettingsConfigDict(env_prefix="CORPUSMILL_", frozen=True)

    store: str = "./corpusmill-data"
    """URL of the store: a folder, s3://bucket/prefix, gs://.., az://.."""

    redis: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Messages and leases; redis://, rediss:// or unix:///path/to.sock"""

    shard_bytes: int = Field(default=DEFAULT_SHARD_BYTES, ge=1024)
    """Compressed bytes a shard, for batches that do not say."""

    cache: Path = Path("~/.cache/corpusmill").expanduser()
    """Folder for lists and models of recipes, by content; may be removed at any time."""

    warm: bool = True
    """A worker runs its steps on a few rows when it starts, so that no task waits for compilers."""

    window: int = Field(default=64, ge=1)
    """Tasks that wait in a queue at most: a million shards never sit in Redis."""

    tick: Duration = timedelta(seconds=0.5)
    """How often the conductor looks."""

    lease: Duration = timedelta(seconds=15)
    """How long a running task counts as running after its worker's last sign of life."""

    task_time_limit: Duration = timedelta(minutes=30)
    """After this a task's process is killed, and the task is tried again in careful mode."""

    visibility_timeout: Duration = timedelta(hours=1)
    """After this Redis hands an unacknowledged message to another worker."""

    document_time_limit: Duration = timedelta(seconds=60)
    """Careful mode: wall-clock time of one step on one document."""

    document_memory: int = 2 * 2**30
    """Careful mode: bytes of data that the guarded process may allocate."""

    dedup_memory: int = Field(default=512 * 2**20, ge=256 * 2**20)
    """Bytes that the arrays of one deduplication task may take; what is more lies on disk."""

    index_fanout: int = Field(default=8, ge=2)
    """So many runs of an index in a row, and of one size, are merged into one."""

    task_tries: int = Field(default=5, ge=1)
    """How often a task may fail for a transient reason before it is marked as failed."""

    run_slice: Duration = timedelta(minutes=10)
    """A training run is advanced by at most this much in one task."""

    host: str = "127.0.0.1"
    """Address that the gateway binds to; anything but loopback needs access tokens."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port of the gateway."""

    require_tokens: bool | None = None
    """Whether requests need an access token; unset: as soon as `host` is not loopback."""

    rate_limit: int = Field(default=100, ge=1)
    """Requests a second that one token may make, on average; bursts of ten seconds' worth."""

    source_prefixes: Annotated[tuple[str, ...], NoDecode] = ()
    """Beginnings of URIs that sources may have, comma-separated; empty: see docs/operations.md."""

    source_bytes: int = Field(default=2**40, ge=1)
    """Bytes that one source may have."""

    upload_bytes: int = Field(default=20 * 2**30, ge=1)
    """Bytes that one upload may have."""

    decompression_ratio: int = Field(default=DEFAULT_EXPANSION, ge=10)
    """Bytes out for one byte in, after which a compressed record counts as an attack."""

    metrics_host: str = "127.0.0.1"
    """Address of the port for metrics and probes."""

    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port where a process tells its metrics and its health, apart from the API; 0: none."""

    otlp_endpoint: str = ""
    """Where OpenTelemetry traces go (OTLP over HTTP, http://collector:4318); empty: nowhere."""

    log_lines: int = Field(default=2000, ge=0)
    """Log lines a batch that Redis keeps for `corpusmill logs`, for three days."""

    stop_grace: Duration = timedelta(minutes=5)
    """After SIGTERM a worker ends its task within this, or hands it back."""

    training_backend: Literal["local", "kubernetes"] = "local"
    """Where training runs: in the worker's own machine, or as Jobs that it creates."""

    @field_validator("source_prefixes", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _limits_fit(self) -> Self:
        """A task that outlives the visibility time-out would run twice at once."""
        if self.task_time_limit >= self.visibility_timeout:
            raise ValueError("task_time_limit must be below visibility_timeout")
        if self.run_slice >= self.task_time_limit:
            raise ValueError("run_slice must be below task_time_limit")
        return self


@cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
