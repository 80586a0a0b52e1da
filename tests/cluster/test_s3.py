"""The same line on a real S3 server with signatures and conditional writes."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from services.gateway.client import Client
from services.gateway.cluster import Cluster, free_port
from shared.errors import PermanentError, TransientError
from shared.store import Store
from tests.cluster.support import QUICK, RECIPE, balance, finish

KEY, SECRET, BUCKET = "corpusmilltest", "a-secret-of-the-test", "corpus"


def start_server(folder: Path) -> tuple[subprocess.Popen, int]:
    """SeaweedFS with every port set and bound to loopback."""
    config = {
        "identities": [
            {
                "name": "test",
                "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }
    (folder / "s3.json").write_text(json.dumps(config))
    (folder / "data").mkdir()
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    grpc = {f"{name}.port.grpc": free_port() for name in ports}
    weed = shutil.which("weed") or str(Path(os.sys.executable).with_name("weed"))
    command = [weed, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [
        "-s3",
        f"-s3.config={folder / 's3.json'}",
        "-volume.max=20",
        "-volume.port.public=0",
    ]
    command += ["-master.volumeSizeLimitMB=64", "-volume.preStopSeconds=0"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += [f"-{name}={port}" for name, port in grpc.items()]
    with (folder / "weed.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{ports['s3']}/", timeout=2)
            # A bucket is a folder of the filer.
            made = httpx.post(f"http://127.0.0.1:{ports['filer']}/buckets/{BUCKET}/", timeout=5)
            if made.is_success:
                return server, ports["s3"]
        except httpx.TransportError:
            assert server.poll() is None, (folder / "weed.log").read_text()[-2000:]
            time.sleep(0.2)
    raise AssertionError((folder / "weed.log").read_text()[-2000:])


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s3")
    server, port = start_server(folder)
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield f"s3://{BUCKET}/corpusmill"
    server.kill()  # a graceful end waits for heartbeats
    server.wait(20)


def test_first_writer_wins(s3):
    store = Store(s3)
    store.check_conditional_writes()
    assert store.put_if_absent("once.json", b"1")
    assert not store.put_if_absent("once.json", b"2")
    assert store.get("once.json") == b"1"


def test_objects_in_parts_and_ranges(s3, tmp_path):
    store = Store(s3)
    data = os.urandom(20_000_000)
    store.put_stream("big", (data[i : i + 999_999] for i in range(0, len(data), 999_999)))
    assert store.stat("big").size == len(data)
    assert store.get_range("big", 19_999_990, 100) == data[-10:]
    store.download("big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == data
    assert [e.key for e in store.list("bi/")] == []


def test_a_wrong_secret_is_refused(s3, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises((TransientError, PermanentError)):
        Store(s3).put("x", b"x")


def test_the_line_on_s3(s3, archives):
    """Archives, columns and dataset on S3, from upload to export."""
    with Cluster(s3, workers=2, environment=QUICK) as cluster:
        client = Client(cluster.url)
        uploaded = client.upload(archives[0])
        direct = Store(f"s3://{BUCKET}")
        direct.upload(archives[1], "crawl/one.warc.gz")
        body = {"sources": [uploaded, f"s3://{BUCKET}/crawl/one.warc.gz"], "recipe": RECIPE}
        state = finish(client, client.post("/v1/batches", body)["id"])
        balance(state)
        assert state["state"] == "finished"
        assert state["funnel"]["documents"] == 48
        dataset = client.get(f"/v1/datasets/{state['datasets'][0]}")
        assert dataset["totals"]["documents"] == state["funnel"]["kept"]
        client.close()
