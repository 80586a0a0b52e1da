"""The design's rules about who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "shared").rglob("*.py"), *(ROOT / "services").rglob("*.py")])


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return names


def importers(package: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in FILES
        if any(n == package or n.startswith(package + ".") for n in imports(path))
    }


def test_shared_knows_no_service():
    # The registry's import of the namespace is how steps are found, without naming a service.
    assert {f for f in importers("services") if f.startswith("shared/")} <= {"shared/step.py"}
    assert not any(n.startswith("services.") for n in imports(ROOT / "shared/step.py"))


@pytest.mark.parametrize(
    "service",
    sorted(p.name for p in (ROOT / "services").iterdir() if p.is_dir() and p.name != "__pycache__"),
)
def test_a_service_imports_no_other(service):
    users = {f.split("/")[1] for f in importers(f"services.{service}")}
    assert users <= {service}


@pytest.mark.parametrize(
    ("package", "files"),
    [
        ("obstore", {"shared/store.py"}),
        ("celery", {"shared/worker.py"}),
        ("kombu", {"shared/worker.py"}),
    ],
)
def test_one_file_owns_a_framework(package, files):
    assert importers(package) == files


#: `shared/language.py` is for the services that identify languages.
@pytest.mark.parametrize("package", ["torch", "fasttext", "trafilatura", "lxml", "shared.language"])
def test_the_gateway_does_without_heavy_libraries(package):
    users = {f for f in importers(package) if f.startswith(("services/gateway", "shared"))}
    assert not users - {"shared/language.py"}


def test_importing_all_steps_loads_no_heavy_library():
    import subprocess
    import sys

    code = (
        "import sys; from shared.step import load_registry; load_registry();"
        "import services.gateway.app;"
        "bad = {'torch', 'fasttext', 'trafilatura', 'resiliparse', 'lxml'} & set(sys.modules);"
        "sys.exit(f'loaded {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_files_are_of_a_size_that_can_be_read():
    too_long = {
        str(p.relative_to(ROOT)): n for p in FILES if (n := len(p.read_text().splitlines())) > 400
    }
    assert not too_long
