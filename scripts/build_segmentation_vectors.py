"""Writes tests/shared/text/segmentation_vectors.json: what the reference makes of short texts.

    .venv/bin/python scripts/build_segmentation_vectors.py

The texts are those of segmentation_texts.yaml beside it, the answers those of datatrove 0.10.1 in
`.venv-bench`.
"""

import json
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests/shared/text"
SERVER = [".venv-bench/bin/python", "scripts/parity/segmentation_server.py"]


def answers(texts: list[str]) -> list[list[list[str]]]:
    """Words and sentences of each text."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run(SERVER, cwd=ROOT, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Write the file."""
    kinds = yaml.safe_load((FOLDER / "segmentation_texts.yaml").read_text())
    vectors = {
        kind: [
            {"text": text, "words": words, "sentences": sentences}
            for text, (words, sentences) in zip(texts, answers(texts), strict=True)
        ]
        for kind, texts in kinds.items()
    }
    body = json.dumps(vectors, ensure_ascii=True, indent=0)
    (FOLDER / "segmentation_vectors.json").write_text(body + "\n")


if __name__ == "__main__":
    main()
