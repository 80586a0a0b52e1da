"""Lists of words and phrases as files hold them."""

import json
from pathlib import Path

from shared.errors import UsageError


def read_word_list(path: Path) -> tuple[str, ...]:
    """The different words of a JSON list, or the lines of a text file, without space around them.

    Raises UsageError where the file is JSON but no list of words.
    """
    text = path.read_text(encoding="utf-8-sig")
    try:
        words = json.loads(text)
    except json.JSONDecodeError:
        words = text.splitlines()
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{path.name} is neither a JSON list of words nor a line a word")
    return tuple(sorted({word.strip() for word in words} - {""}))
