"""What must hold of images, of a running container, and of the objects that come out."""

import json
from typing import Any

from scripts.images import SERVICES, Engine
from services.gateway.client import Client
from services.gateway.cluster import Cluster
from shared.store import STORE_SCHEME, Store
from tests.cluster.support import data_objects, finish

#: What only some images may hold: module to services.
OWN_MODULES = {
    "torch": {"training"},
    "kubernetes": {"training"},
    "fastapi": {"gateway"},
    "numba": {"extraction", "langid", "quality", "dedup"},
    "trafilatura": {"extraction"},
    "fasttext": {"extraction", "langid"},
    "jieba": {"dedup"},
    "celery": set(SERVICES),
}


def image_facts(podman: Engine, service: str, tag: str) -> dict[str, Any]:
    """Size, modules and rights of an image; raises AssertionError where it is not as it should."""
    image = f"localhost/corpusmill-{service}:{tag}"
    config = json.loads(podman("image", "inspect", image))[0]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == f"corpusmill-{service}"
    assert labels["org.opencontainers.image.version"] != "0.0.0"
    assert labels["org.opencontainers.image.revision"] != "unknown"
    assert config["Config"]["StopSignal"] in ("SIGTERM", "15")
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    code = (
        "import importlib.util, json, os\n"
        f"names = {sorted(OWN_MODULES)}\n"
        "print(json.dumps([os.getuid(), [n for n in names if importlib.util.find_spec(n)]]))"
    )
    lock = ["--read-only", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp:mode=1777"]
    user, modules = json.loads(podman("run", "--rm", *lock, image, "python", "-c", code))
    assert user == 10001
    expected = {name for name, services in OWN_MODULES.items() if service in services}
    assert set(modules) == expected, f"{service} holds {modules}, not {sorted(expected)}"
    return {"bytes": config["Size"], "modules": modules}


def read_only(podman: Engine, container: str) -> None:
    """A container can write to its temporary folder alone, and its health check holds."""
    probe = (
        "import pathlib\n"
        "for place in ('/', '/opt/venv', '/opt/prepared', '/etc'):\n"
        "    try: pathlib.Path(place, 'x').write_text('x')\n"
        "    except OSError: continue\n"
        "    raise SystemExit(place + ' can be written to')\n"
        "import tempfile; pathlib.Path(tempfile.gettempdir(), 'x').write_text('x')"
    )
    podman("exec", container, "python", "-c", probe)
    podman("healthcheck", "run", container)
    compiled = (
        "import os, pathlib\n"
        "folder = pathlib.Path(os.environ['NUMBA_CACHE_DIR'])\n"
        "print(sum(p.is_file() and not p.is_symlink() for p in folder.rglob('*')))"
    )
    anew = podman("exec", container, "python", "-c", compiled)
    assert anew == "0", f"{container} has compiled {anew} files anew: not all are in the image"


def embedded_objects(
    url: str, other: str, sources: list[str], body: dict[str, Any]
) -> dict[str, bytes]:
    """The same batch by processes on this machine, at another place of the same S3.

    There, so that the sources have the same address, size and etag, and shards the same names.
    """
    theirs, ours = Store(url), Store(other)
    for source in sources:
        key = source.removeprefix(STORE_SCHEME)
        ours.put_stream(key, [theirs.get(key)])
    with Cluster(other, workers=2) as cluster, Client(cluster.url) as client:
        state = finish(client, client.post("/v1/batches", {**body, "sources": sources})["id"], 600)
        assert state["state"] == "finished", state
    return data_objects(ours)
