"""Traces, off by default: one trace a batch, from the REST call to the last commit.

The ids of a batch's trace and of its root span follow from the batch's id, so that messages carry
nothing: the gateway makes the root (the submission), and a worker its task's span below it. Where
`otlp_endpoint` is empty, nothing here imports OpenTelemetry, and a span costs a microsecond.

Spans go out in batches from a thread, over OTLP/HTTP. A collector that is away costs spans, and
never a task; so does a worker that is killed.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from blake3 import blake3

from shared.settings import Settings

#: Seconds for one request to the collector, and for the last one at the process's end.
_EXPORT_SECONDS = 5
#: Seconds after which spans are sent.
_DELAY_SECONDS = 2.0
_PATH = "/v1/traces"

_provider: Any = None
_lock = threading.Lock()
#: The ids of the span that is being made, where they are given: (trace, span).
_GIVEN: ContextVar[tuple[int, int] | None] = ContextVar("given_ids", default=None)


class Span:
    """A span, or nothing where traces are off."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def set(self, **attributes: str | float | bool) -> None:
        """Say more about it; names get the prefix `corpusmill.`."""
        if self._span is not None:
            self._span.set_attributes({f"corpusmill.{k}": v for k, v in attributes.items()})


def start(conf: Settings, process: str) -> None:
    """Send spans from this process (after its fork), where the settings say so."""
    global _provider  # noqa: PLW0603 (one a process, as OpenTelemetry's own)
    if not conf.otlp_endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    stop()
    url = conf.otlp_endpoint.rstrip("/").removesuffix(_PATH) + _PATH
    exporter = OTLPSpanExporter(endpoint=url, timeout=_EXPORT_SECONDS)
    resource = Resource.create({"service.name": f"corpusmill-{process}"})
    with _lock:
        _provider = TracerProvider(id_generator=_ids(), resource=resource, shutdown_on_exit=False)
        _provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=1000 * _DELAY_SECONDS)
        )


def stop() -> None:
    """Send what is left."""
    global _provider
    with _lock:
        provider, _provider = _provider, None
    if provider is not None:
        provider.shutdown()


def _ids() -> Any:
    """Makes random ids, but where they are given."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            given = _GIVEN.get()
            return given[0] if given else super().generate_trace_id()

        def generate_span_id(self) -> int:
            given = _GIVEN.get()
            return given[1] if given else super().generate_span_id()

    return Ids()


def trace_ids(batch: str) -> tuple[int, int]:
    """The ids of a batch's trace (128 bits) and of its root span (64 bits)."""
    ids = blake3(f"corpusmill trace {batch}".encode()).digest(24)
    return int.from_bytes(ids[:16]), int.from_bytes(ids[16:])


@contextmanager
def batch_span(batch: str, **attributes: str | float | bool) -> Iterator[Span]:
    """The root of a batch's trace: its submission."""
    if _provider is None:
        yield Span()
        return
    from opentelemetry.context import Context

    tracer = _provider.get_tracer("corpusmill")
    given = _GIVEN.set(trace_ids(batch))
    try:
        span = tracer.start_span("submit", context=Context())
    finally:
        _GIVEN.reset(given)
    with _current(span, batch=batch, **attributes) as told:
        yield told


@contextmanager
def task_span(name: str, attributes: Mapping[str, str | float | bool]) -> Iterator[Span]:
    """A task's span: below the root of its `batch`, or the root of a trace of its own."""
    if _provider is None:
        yield Span()
        return
    from opentelemetry import trace
    from opentelemetry.context import Context

    context = Context()
    if "batch" in attributes:
        ids = trace_ids(str(attributes["batch"]))
        root = trace.SpanContext(*ids, is_remote=True, trace_flags=trace.TraceFlags(1))
        context = trace.set_span_in_context(trace.NonRecordingSpan(root), context)
    span = _provider.get_tracer("corpusmill").start_span(name, context=context)
    with _current(span, **attributes) as told:
        yield told


@contextmanager
def span(name: str) -> Iterator[Span]:
    """A part of the present span."""
    if _provider is None:
        yield Span()
        return
    with _provider.get_tracer("corpusmill").start_as_current_span(name) as inner:
        yield Span(inner)


@contextmanager
def _current(span: Any, **attributes: str | float | bool) -> Iterator[Span]:
    """Make a span the present one, with attributes; it ends with the block."""
    from opentelemetry import trace

    told = Span(span)
    told.set(**attributes)
    with trace.use_span(span, end_on_exit=True):
        yield told
