"""Load on a gateway with tokens while batches run; writes docs/load.md.

    python -m scripts.load.run
    python -m scripts.load.run --submissions 100 --statuses 2000 --sources 5000   # a quick one

A real embedded cluster (gateway, Valkey, one worker process) on this machine. First thousands of
requests from 64 clients, then one batch of many sources. Somebody looks at queues, list and
dashboard all the time.
"""

import argparse
import random
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from scripts.load import report
from scripts.load.clients import Request, Taken, Viewer, drive
from scripts.load.cluster import GuardedCluster, Watch, make_token
from services.gateway.client import Client
from shared.errors import ConflictError
from shared.testing import html_page, prose, warc_gz, warc_record

CLIENTS, PROCESSES = 64, 2
#: The settings that differ from the defaults.
ENVIRONMENT = {"CORPUSMILL_REQUIRE_TOKENS": "true", "CORPUSMILL_RATE_LIMIT": "1000000"}
RECIPE = {
    "name": "load",
    "steps": [
        {"extraction.records_v1": {}},
        {"extraction.main_text_v1": {"engine": "resiliparse"}},
        {"langid.fasttext_v1": {}, "keep": {"language": "language == en"}},
        {"quality.gopher_quality_v1": {}},
    ],
}
LOOKS = [
    Request("GET /v1/queues", "GET", "/v1/queues"),
    Request("GET /v1/batches", "GET", "/v1/batches"),
    Request("dashboard: overview", "GET", "/ui/"),
    Request("GET /metrics", "GET", "/metrics"),
]


@dataclass
class Phase:
    """What happened while something was asked."""

    name: str
    taken: Taken
    seen: Taken
    watch: Watch
    wall: float = 0.0
    client_cpu: float = 0.0
    facts: dict[str, float] = field(default_factory=dict)


def write_archives(folder: Path, count: int) -> None:
    """Archives of two pages each, no two alike."""
    folder.mkdir()
    for i in range(count):
        records = [
            warc_record(f"http://site-{i % 97}.example/{i}/{j}", html_page(f"{i}", prose(i)), n=j)
            for j in range(2)
        ]
        (folder / f"load-{i:06d}.warc.gz").write_bytes(warc_gz(records))


def write_copies(folder: Path, count: int) -> None:
    """Archives of one short page, alike but for their names: what counts is how many."""
    folder.mkdir()
    data = warc_gz([warc_record("http://x.example/", html_page("A page", prose(1)[:1]))])
    for i in range(count):
        (folder / f"many-{i:06d}.warc.gz").write_bytes(data)


def ask(
    cluster: GuardedCluster, name: str, requests: list[Request], *, keep: bool = False
) -> Phase:
    """All requests from 64 clients, while somebody looks."""
    viewer = Viewer(cluster.url, cluster.token, LOOKS)
    with Watch(cluster) as watch:
        taken, wall, cpu = viewer.while_doing(
            lambda: drive(cluster.url, cluster.token, requests, CLIENTS, PROCESSES, keep=keep)
        )
    return Phase(name, taken, viewer.taken, watch, wall, cpu)


def many_requests(
    cluster: GuardedCluster, folder: Path, submissions: int, statuses: int
) -> list[Phase]:
    """Submissions, then states of what was submitted; before, what the clients can do at most."""
    write_archives(folder, submissions)
    health = [Request("GET /healthz", "GET", "/healthz")] * 5000
    phases = [ask(cluster, "nothing to do", health)]
    submit = [
        Request(
            "POST /v1/batches",
            "POST",
            "/v1/batches",
            {"sources": [str(path)], "recipe": RECIPE},
        )
        for path in sorted(folder.iterdir())
    ]
    phases.append(ask(cluster, "submissions", submit, keep=True))
    ids = [answer["id"] for answer in phases[-1].taken.answers]
    rng = random.Random(1)
    status = [
        Request("GET /v1/batches/{id}", "GET", f"/v1/batches/{rng.choice(ids)}")
        for _ in range(statuses)
    ]
    with Client(cluster.url, token=cluster.token) as client:
        before = done_tasks(client)
        phases.append(ask(cluster, "states", status))
        phases[-1].facts["tasks done meanwhile"] = done_tasks(client) - before
        for batch in ids:  # what is left of them would be in the way of the next
            if client.get(f"/v1/batches/{batch}")["state"] in ("queued", "running"):
                with suppress(ConflictError):  # it has ended meanwhile
                    client.post(f"/v1/batches/{batch}/cancel")
        while client.get("/v1/queues/extraction")["backlog"]:
            time.sleep(0.5)
    return phases


def done_tasks(client: Client) -> int:
    """Of all queues."""
    return sum(queue["done"] for queue in client.get("/v1/queues")["items"])


def many_sources(cluster: GuardedCluster, folder: Path, count: int, seconds: float) -> Phase:
    """One batch of many sources: submitted, planned and fed for some time, then cancelled."""
    write_copies(folder, count)
    viewer = Viewer(cluster.url, cluster.token, LOOKS)
    facts: dict[str, float] = {}

    def feed() -> None:
        with Client(cluster.url, timeout=600, token=cluster.token) as client:
            before, started = done_tasks(client), time.monotonic()
            body = {"sources": [f"{folder}/"], "recipe": RECIPE}
            batch = client.post("/v1/batches", body)["id"]
            facts["seconds to submit"] = time.monotonic() - started
            while done_tasks(client) == before:
                time.sleep(0.2)
            facts["seconds to the first committed task"] = time.monotonic() - started
            viewer.requests = [
                *LOOKS,
                Request("its GET /v1/batches/{id}", "GET", f"/v1/batches/{batch}"),
            ]
            time.sleep(seconds)
            facts["tasks done"] = done_tasks(client) - before
            facts["tasks a second"] = facts["tasks done"] / (time.monotonic() - started)
            facts["shards"] = client.get(f"/v1/batches/{batch}")["shards"]
            client.post(f"/v1/batches/{batch}/cancel")

    started = time.monotonic()
    with Watch(cluster) as watch:
        viewer.while_doing(feed)
    wall = time.monotonic() - started
    return Phase("many sources", Taken(), viewer.taken, watch, wall, 0.0, facts)


def main() -> None:
    """Measure, write, and fail where a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--statuses", type=int, default=20_000)
    parser.add_argument("--sources", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=120.0, help="to feed the large batch")
    parser.add_argument("--out", type=Path, default=report.OUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        folder, store = Path(name), f"{name}/store"
        token = make_token(store)
        with GuardedCluster(store, workers=1, environment=ENVIRONMENT, token=token) as cluster:
            phases = many_requests(
                cluster, folder / "archives", options.submissions, options.statuses
            )
            phases.append(many_sources(cluster, folder / "many", options.sources, options.seconds))
    options.out.write_text(report.document(phases, CLIENTS, PROCESSES))
    errors = [e for p in phases for e in (*p.taken.errors, *p.seen.errors)]
    print(f"{len(errors)} errors", *errors[:10], sep="\n")
    if errors:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
