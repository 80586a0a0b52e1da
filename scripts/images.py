"""Build the images of the services: `python -m scripts.images [--tag TAG] [SERVICE ...]`.

pip's configuration of this machine (`pip config list`) goes into the builds as a secret, and the
folders and certificates that it names as volumes, so that the Dockerfile names no package index.
Where the base image cannot be pulled, Debian's packages make one (mmdebstrap). BASE names another.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("gateway", "extraction", "langid", "quality", "dedup", "export", "training")
DEFAULT_BASE = "python:3.11-slim-bookworm"
LOCAL_BASE = "localhost/corpusmill-base:bookworm"
DEBIAN = "bookworm"
#: What a base needs: Python, its venv module for the builders, and certificates.
DEBIAN_PACKAGES = "python3,python3-venv,ca-certificates,tzdata"


@dataclass(frozen=True)
class Engine:
    """podman or docker, with what it needs in its environment."""

    program: str = "podman"
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, check: bool = True) -> str:
        """Run it; returns what it writes to standard output. RuntimeError where it fails."""
        done = subprocess.run(
            [self.program, *arguments],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise RuntimeError(f"{self.program} {shlex.join(arguments[:4])} ...:\n{said}")
        return done.stdout.strip()


def pip_settings() -> dict[str, str]:
    """The options of pip on this machine; those of the environment hold over those of files."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    options: dict[str, str] = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if name.startswith((":env:", "global.", "install.")) and option != "config-file":
            options[option] = value.strip("'\"")
    return options


def local_paths(options: Mapping[str, str]) -> list[Path]:
    """Files and folders of this machine that pip's options name: certificates, local indexes."""
    words = [word.removeprefix("file://") for value in options.values() for word in value.split()]
    found = {Path(word) for word in words if word.startswith("/")}
    # A local index may link to files beside its folder.
    found |= {path.parent for path in found if path.name == "simple"}
    return sorted(path for path in found if path.exists())


@contextmanager
def pip_arguments(engine: Engine) -> Iterator[list[str]]:
    """The arguments of a build that give it this machine's pip configuration."""
    options = pip_settings()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("\n".join(["[global]", *(f"{k} = {v}" for k, v in options.items()), ""]))
        file.flush()
        arguments = ["--secret", f"id=pip,src={file.name}"]
        if engine.program == "podman":  # Docker's builds take no volumes
            arguments += ["--format=docker", "--network=host"]
            arguments += [f"--volume={path}:{path}:ro" for path in local_paths(options)]
        yield arguments


def find_base(engine: Engine) -> str:
    """$BASE, else the usual image, else one made here of Debian's packages."""
    if "BASE" in os.environ:
        return os.environ["BASE"]
    if engine("images", "--quiet", LOCAL_BASE):
        return LOCAL_BASE
    for reach in (("image", "inspect", DEFAULT_BASE), ("pull", "--quiet", DEFAULT_BASE)):
        try:
            engine(*reach)
        except RuntimeError as error:
            last = str(error).splitlines()[-1]
        else:
            return DEFAULT_BASE
    print(f"the base image cannot be pulled, so Debian's packages make one ({last})")
    with tempfile.TemporaryDirectory() as folder:
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{d}/*" for d in ("doc", "man", "locale")]
        make = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={DEBIAN_PACKAGES}"]
        subprocess.run([*make, *excluded, DEBIAN, f"{folder}/base.tar"], check=True)
        engine("import", "--quiet", f"{folder}/base.tar", LOCAL_BASE)
    return LOCAL_BASE


def build(engine: Engine, base: str, service: str, tag: str) -> float:
    """Build a service's image; returns the seconds that it took."""
    started = time.monotonic()
    arguments = {
        "BASE": base,
        "VERSION": version("corpusmill"),
        "REVISION": _git("rev-parse", "HEAD") or "unknown",
        "SOURCE": os.environ.get("SOURCE", "unknown"),
    }
    if "TORCH" in os.environ:
        arguments["TORCH"] = os.environ["TORCH"]
    name = f"localhost/corpusmill-{service}:{tag}"
    given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    with pip_arguments(engine) as pip:
        engine("build", "--target", service, "--tag", name, *given, *pip, ".")
    return time.monotonic() - started


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()


def main() -> None:
    """Build some or all images, and tell their sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("services", nargs="*", default=SERVICES, metavar="SERVICE")
    parser.add_argument("--tag", default="latest")
    parser.add_argument("--engine", default="podman", choices=("podman", "docker"))
    options = parser.parse_args()
    engine = Engine(options.engine)
    base = find_base(engine)
    for service in options.services:
        seconds = build(engine, base, service, options.tag)
        size = int(
            engine(
                "image",
                "inspect",
                "--format={{.Size}}",
                f"localhost/corpusmill-{service}:{options.tag}",
            )
        )
        print(f"{service:12} {size / 1e6:7.0f} MB {seconds:7.0f} s", flush=True)


if __name__ == "__main__":
    main()
