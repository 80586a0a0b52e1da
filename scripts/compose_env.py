"""Write an environment file for compose.yaml with new secrets, to standard output.

python3 -m scripts.compose_env > compose.env
"""

import re
import secrets
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[1] / "deploy" / "compose.env.example"


def environment() -> str:
    """The example with a secret of 192 bits wherever it leaves one out."""
    return re.sub(
        r"^([A-Z0-9_]+)=$",
        lambda match: f"{match[1]}={secrets.token_hex(24)}",
        EXAMPLE.read_text(),
        flags=re.MULTILINE,
    )


if __name__ == "__main__":
    print(environment(), end="")
