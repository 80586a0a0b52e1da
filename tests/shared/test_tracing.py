"""Traces: off, nothing is imported; on, they reach a real receiver; away, nothing fails."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.gateway.cluster import free_port
from shared import tracing
from shared.settings import Settings
from tests.otlp import Receiver, attributes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    tracing.stop()
    found.close()


def test_off_it_is_not_needed():
    code = (
        # FastAPI has the API, and redis looks for the SDK; whoever needs that fails now.
        "import sys; sys.modules['opentelemetry.sdk'] = sys.modules['opentelemetry.exporter'] = None;"
        "from shared import tracing; from shared.settings import Settings;"
        "import shared.run, services.gateway.app;"
        "tracing.start(Settings(), 'worker');"
        "\nwith tracing.batch_span('b') as a, tracing.task_span('t', {}) as b:"
        "\n  with tracing.span('read') as c: [s.set(x=1) for s in (a, b, c)]"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_batch_is_one_trace_whoever_makes_its_spans(receiver):
    conf = Settings(otlp_endpoint=receiver.url)
    # Two processes, one after the other: nothing passes between them but the batch's id.
    tracing.start(conf, "gateway")
    with tracing.batch_span("b-1", recipe="quick"):
        pass
    tracing.start(conf, "worker")
    with tracing.task_span("quality", {"batch": "b-1", "shard": "s-0"}) as task:
        with tracing.span("compute"):
            pass
        task.set(documents=12, outcome="committed")
    with pytest.raises(OSError, match="disk"), tracing.task_span("export", {"batch": "b-2"}):
        raise OSError("disk")
    tracing.stop()
    spans = {s.name: s for s in receiver.spans}
    root, work, part = spans["submit"], spans["quality"], spans["compute"]
    trace, root_id = tracing.trace_ids("b-1")
    assert root.trace_id == work.trace_id == part.trace_id == trace.to_bytes(16)
    assert root.span_id == root_id.to_bytes(8)
    assert root.parent_span_id == b""
    assert work.parent_span_id == root.span_id
    assert part.parent_span_id == work.span_id
    assert attributes(root)["corpusmill.recipe"] == "quick"
    assert attributes(work) == {
        "corpusmill.batch": "b-1",
        "corpusmill.shard": "s-0",
        "corpusmill.documents": 12,
        "corpusmill.outcome": "committed",
    }
    assert spans["export"].trace_id != root.trace_id
    assert spans["export"].status.code == 2
    assert "disk" in spans["export"].status.message


def test_a_collector_that_is_away_delays_nothing(monkeypatch):
    monkeypatch.setattr(tracing, "_EXPORT_SECONDS", 1)
    tracing.start(Settings(otlp_endpoint=f"http://127.0.0.1:{free_port()}"), "worker")
    started = time.monotonic()
    for _ in range(1000):
        with tracing.task_span("quality", {"batch": "b"}):
            pass
    assert time.monotonic() - started < 5
    tracing.stop()
