"""`make e2e-compose`: the shipped sample through the composition, with workers dying in the middle.

Builds the base (by mmdebstrap where none can be pulled) and the images, starts compose.yaml by
podman-compose, kills one worker's container, stops another, and compares what comes out with what
processes on this machine make of the same batch. Writes the tables of docs/compose.md.
"""

import argparse
import os
import signal
import sys
import time
from typing import Any

from scripts.e2e_compose import checks, machine, report
from scripts.e2e_compose.composition import (
    GRACE_SECONDS,
    Composition,
    remove,
    scratch,
    wait_for,
)
from scripts.images import ROOT, SERVICES, build, find_base
from shared.store import Store
from tests.cluster.support import balance, data_objects, finish

TAG = "e2e"
STORE = "s3://corpusmill/store"
RECIPE = "refinedweb-lite"
#: Small enough that the sample gives a dozen tasks a stage: something to kill in the middle of.
SHARD_BYTES = 250_000
#: podman-compose takes one `--scale`.
WORKERS = {"extraction": 2}


class Times(dict[str, float]):
    """Seconds by what took them, told as they come."""

    def note(self, what: str, started: float) -> None:
        """`what` took from `started` until now."""
        self[what] = time.monotonic() - started
        print(f"{self[what]:7.1f} s  {what}", flush=True)


def main() -> None:
    """Run it all; an AssertionError or an exit code says that it failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-report", action="store_true", help="leave docs/compose.md alone")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is taken down
    folder, times, begun = scratch(), Times(), time.monotonic()
    try:
        started = time.monotonic()
        machine.install()
        podman = machine.engine(folder)
        base = find_base(podman)
        standins = machine.standin_variables(podman, base, TAG, folder)
        times.note("tools, base image and stand-ins", started)
        images: dict[str, dict[str, Any]] = {}
        for service in SERVICES:
            started = time.monotonic()
            build(podman, base, service, TAG)
            images[service] = checks.image_facts(podman, service, TAG)
            images[service]["seconds"] = time.monotonic() - started
            times.note(f"image {service}: {images[service]['bytes'] / 1e6:.0f} MB", started)
        started = time.monotonic()
        with Composition(podman, {**standins, "TAG": TAG}, folder) as composition:
            told = story(composition, times)
        told["left"] = podman("ps", "--all", "--quiet", "--filter", "name=corpusmill-e2e")
        assert not told["left"], "containers are left"
    finally:
        remove(folder)
    times.note("all", begun)
    if not options.no_report:
        report.write(images, times, told)


def story(composition: Composition, times: Times) -> dict[str, Any]:
    """Start, submit, kill and stop in the middle, compare."""
    started = time.monotonic()
    composition.start(**WORKERS)
    wanted = dict.fromkeys(SERVICES[1:], 1) | WORKERS
    wait_for(
        lambda: {n: q["workers"] for n, q in composition.queues().items()} == wanted,
        300,
        f"workers {wanted}",
    )
    times.note("composition up, all workers ready", started)
    for service in SERVICES:
        checks.read_only(composition.podman, composition.containers(service)[0])
    archives = sorted((ROOT / "sample").glob("*.warc.gz"))
    body = {"recipe": RECIPE, "shard_bytes": SHARD_BYTES}
    started = time.monotonic()
    with composition.client() as client:
        sources = [client.upload(path) for path in archives]
        batch = client.post("/v1/batches", {**body, "sources": sources})["id"]
        deaths = die_in_the_middle(composition, batch)
        state = finish(client, batch, 600)
        assert state["state"] == "finished", state
        balance(state)
        queues = composition.queues()
    times.note("batch, with a kill and a stop in the middle", started)
    up = wait_for(lambda: complete(composition), 60, "Prometheus to see every process")
    started = time.monotonic()
    os.environ |= composition.s3()
    ours = data_objects(Store(STORE))
    expected = checks.embedded_objects(STORE, f"{STORE}-embedded", sources, body)
    times.note("the same batch by processes on this machine", started)
    different = {k for k in ours.keys() | expected.keys() if ours.get(k) != expected.get(k)}
    assert not different, f"{len(different)} of {len(expected)} objects: {sorted(different)[:5]}"
    funnel = state["funnel"]
    return {
        **deaths,
        "objects": len(ours),
        "documents": funnel["documents"],
        "kept": funnel["kept"],
        "dropped": funnel["dropped"],
        "careful": sum(q["careful"] for q in queues.values()),
        "targets": sum(map(len, up.values())),
    }


def die_in_the_middle(composition: Composition, batch: str) -> dict[str, Any]:
    """SIGKILL to one container of extraction, SIGTERM to the other, both at work."""
    first, second = composition.containers("extraction")

    def busy() -> bool:
        return bool(composition.queues().get("extraction", {}).get("in_flight", 0) >= 2)

    wait_for(busy, 120, "two extraction tasks at once")
    composition.podman("kill", "--signal", "KILL", first)
    started = time.monotonic()
    composition.podman("stop", "--time", str(GRACE_SECONDS + 10), second)
    seconds = time.monotonic() - started
    end = composition.state(second)
    assert end == "ended 0", f"a stopped worker: {end}"
    assert seconds < GRACE_SECONDS + 2, f"a stopped worker took {seconds:.0f} s"
    with composition.client() as client:
        state = client.get(f"/v1/batches/{batch}")["state"]
    assert state in ("queued", "running"), "the batch ended before anything was killed"
    for container in (first, second):
        if composition.state(container) != "running":
            composition.podman("start", container)
    return {"stop_seconds": seconds}


def complete(composition: Composition) -> dict[str, list[str]] | None:
    """Prometheus' targets once all are up."""
    up = composition.targets()
    wanted = dict.fromkeys(SERVICES, 1) | WORKERS
    return up if {name: len(instances) for name, instances in up.items()} == wanted else None


if __name__ == "__main__":
    main()
