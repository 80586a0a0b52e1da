"""Programs that tests run beside Python: fetched by `make tools`, or skipped with the reason."""

import os
from pathlib import Path

import pytest

BIN = Path(__file__).parent.parent / ".tools" / "bin"


def program(name: str) -> str:
    """The path of a program in `.tools/bin`.

    Skips the test where `make tools` could not get it; with CORPUSMILL_REQUIRE_TOOLS (set by CI)
    that is a failure.
    """
    path = BIN / name
    if path.exists():
        return str(path)
    why = f"{name} is not in .tools/bin: run `make tools` and read why"
    if os.environ.get("CORPUSMILL_REQUIRE_TOOLS"):
        pytest.fail(why)
    pytest.skip(why)
