"""datatrove's words and sentences, for who runs in another environment.

    .venv-bench/bin/python scripts/parity/segmentation_server.py

Reads texts as JSON, one a line; answers each with a line `[words, sentences]`: what
`split_into_words(text, "en")` and `split_into_sentences(text, "en")` return. Ends with its input.
"""

import json
import sys

from datatrove.utils.text import split_into_sentences, split_into_words  # type: ignore[import-not-found]


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        text = json.loads(line)
        answer = [split_into_words(text, "en"), split_into_sentences(text, "en")]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
