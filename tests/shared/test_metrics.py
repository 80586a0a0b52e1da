"""Names and bounds of metrics; counts of processes that come and go; probes; what the store tells."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily

from shared import metrics
from shared.errors import NotFoundError, TransientError
from shared.metrics import FAMILIES
from shared.metrics_server import KeptCheck, MetricsServer, Pulse
from shared.store import Store

ROOT = Path(__file__).resolve().parents[2]
#: A parent that serves what its forked children count, as a worker does.
TREE = """
import os, signal, sys
from pathlib import Path
from prometheus_client import CollectorRegistry, generate_latest
from shared import metrics
from shared.chunk import Tally
from shared.metrics_server import ProcessTree

folder = Path(sys.argv[1])
registry = CollectorRegistry()
registry.register(ProcessTree(folder))

def child(n):
    process = os.fork()
    if process == 0:
        metrics.observe_task("quality", "committed", 1.5, documents=n)
        for i in range(60):
            tally = Tally(kept=n)
            tally.dropped[f"rule {i}"] = 1
            metrics.count_verdicts(f"recipe {n}", tally, last=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return process

seen = []
for n in range(1, 21):
    os.waitpid(child(n), 0)
    text = generate_latest(registry).decode()
    def sum_of(name):
        return sum(float(l.rsplit(" ", 1)[1]) for l in text.splitlines() if l.startswith(name))
    verdicts = "corpusmill_verdicts_total{"
    seen.append((sum_of("corpusmill_documents_total{"), sum_of(verdicts),
                 sum_of("corpusmill_task_seconds_count{")))
    assert sum_of('corpusmill_task_seconds_bucket{le="2.5"') == n, text
assert seen == [(n * (n + 1) / 2, 60 * n + 60 * n * (n + 1) / 2, n) for n in range(1, 21)], seen
series = [l for l in text.splitlines() if l.startswith(verdicts)]
assert len(series) <= metrics.VERDICT_SERIES + 2, len(series)
assert any('recipe="other"' in l for l in series)
files = sorted(p.name for p in folder.iterdir())
assert files == ["counter_0.db", "histogram_0.db"], files
"""


def test_names_follow_the_conventions():
    for name, family in FAMILIES.items():
        assert re.fullmatch(r"corpusmill(_[a-z]+)+", name)
        assert name.endswith("_total") == (family.kind == "counter")
        assert bool(family.buckets) == (family.kind == "histogram")
        assert not {"document", "shard", "path", "url"} & set(family.labels)


def test_the_docs_list_every_metric_as_it_is():
    text = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(
        r"^\| `(corpusmill_\w+)` \| (\w+) \| (.*?) \| (\w+) \| (.*?) \|$", text, re.MULTILINE
    )
    told = [(name, kind, labels, source, what) for name, kind, labels, source, what in rows]
    assert told == [
        (f.name, f.kind, ", ".join(f"`{n}`" for n in f.labels), f.source, f.help)
        for f in FAMILIES.values()
    ]


def test_counts_outlive_the_processes_that_made_them(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", TREE, str(tmp_path / "metrics")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def served():
    """A server over one gauge; its checks say what the test puts here."""
    answers = {"alive": None, "ready": None}
    registry = CollectorRegistry()

    class Fixed:
        def collect(self):
            yield GaugeMetricFamily("corpusmill_fixed", "7", value=7)

    registry.register(Fixed())
    server = MetricsServer(
        "127.0.0.1", 0, registry, lambda: answers["alive"], lambda: answers["ready"]
    )
    yield answers, f"http://127.0.0.1:{server.port}"
    server.close()


def test_metrics_and_probes_over_http(served):
    answers, url = served
    assert "corpusmill_fixed 7.0" in httpx.get(f"{url}/metrics").text
    openmetrics = httpx.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text"})
    assert openmetrics.text.endswith("# EOF\n")
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    answers["ready"] = "no answer"
    assert httpx.get(f"{url}/healthz").status_code == 200
    refused = httpx.get(f"{url}/readyz")
    assert refused.status_code == 503
    assert refused.json() == {"status": "failed", "reason": "no answer"}
    answers["alive"] = "stopped"
    assert httpx.get(f"{url}/healthz").status_code == 503
    assert httpx.get(f"{url}/v1").status_code == 404


def test_a_check_is_made_once_a_while_and_nobody_waits_long():
    calls, go = [], threading.Event()

    def check():
        calls.append(1)
        go.wait(5)
        if len(calls) > 1:
            raise OSError("gone")

    kept = KeptCheck(check, keep=0.3, patience=0.1)
    assert kept() == "no answer within 0.1 s"
    assert kept() == "no answer within 0.1 s"
    go.set()
    deadline = time.monotonic() + 5
    while kept() is not None:
        assert time.monotonic() < deadline
    assert [kept() for _ in range(5)] == [None] * 5
    assert len(calls) == 1
    time.sleep(0.35)
    assert kept() == "OSError: gone"
    assert len(calls) == 2


def test_a_pulse_is_missed_only_where_there_should_be_one():
    pulse = Pulse(0.05)
    assert pulse.missing() is None  # nothing has begun
    pulse.turn()
    assert pulse.missing() is None
    time.sleep(0.08)
    assert "not turned" in pulse.missing()
    pulse.pause()
    assert pulse.missing() is None


def sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_the_store_tells_time_errors_and_bytes(tmp_path):
    store = Store(str(tmp_path))
    gets = sample("corpusmill_store_seconds_count", operation="get")
    failed = sample("corpusmill_store_errors_total", operation="put", kind="transient")
    read = sample("corpusmill_bytes_total", queue="export", direction="read")
    written = sample("corpusmill_bytes_total", queue="export", direction="written")
    store.put("a/b", b"12345")  # of no task
    with metrics.task_of("export"):
        store.put("d", b"123")
        with store.writer("c") as write:
            write(b"1234")
        assert store.get("a/b") == b"12345"
        assert store.get_range("a/b", 1, 2) == b"23"
        with pytest.raises(NotFoundError):
            store.get("none")
    assert sample("corpusmill_bytes_total", queue="export", direction="read") == read + 7
    assert sample("corpusmill_bytes_total", queue="export", direction="written") == written + 7
    assert sample("corpusmill_store_seconds_count", operation="get") == gets + 2
    assert sample("corpusmill_store_errors_total", operation="get", kind="transient") == 0
    with pytest.raises(TransientError):
        store.put("a/b/c", b"1")  # a/b is a file
    told = sample("corpusmill_store_errors_total", operation="put", kind="transient")
    assert told == failed + 1
