"""Files of byte-level BPE tokenizers as the arrays that the compiled loops read.

A file of merges in GPT-2's form (`vocab.bpe`) says all: ids 0 to 255 are the bytes in GPT-2's
order, each line's merge has the next id. A tokenizer.json is taken where it means the same loops:
GPT-2's pattern over whole texts, no normalisation, tokens of bytes.
"""

import gzip
import json
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import UsageError
from shared.text.bpe_kernels import (
    ID_BITS,
    LETTER,
    NUMBER,
    SPACE,
    Vocabulary,
    merge_table,
    word_table,
)

_CLASSES: Final = {"L": LETTER, "N": NUMBER, "S": SPACE}
_CLASS_FILE: Final = Path(__file__).with_name("data") / "unicode_classes.txt"
_GZIP: Final = b"\x1f\x8b"
Merges = list[tuple[str, str]]


def read_tokenizer(path: Path) -> "Vocabulary | str":
    """The vocabulary of a file, or the text of a tokenizer.json that the loops do not serve.

    Raises UsageError for a file of neither kind.
    """
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if data.startswith(_GZIP) else data).decode()
        if text.lstrip().startswith("{"):
            return _from_json(json.loads(text)) or text
        return _from_merges(text)
    except (OSError, EOFError, KeyError, ValueError) as error:
        message = f"{path.name} is neither a tokenizer.json nor a file of merges: {error!r}"
        raise UsageError(message) from error


def _from_merges(text: str) -> Vocabulary:
    """The vocabulary of a file of merges; its first line may be a comment."""
    lines = text.splitlines()
    if lines and lines[0].startswith("#version"):
        lines = lines[1:]
    merges = [_pair(line) for line in lines if line]
    ids = {character: i for i, character in enumerate(byte_characters())}
    for left, right in merges:
        ids.setdefault(left + right, len(ids))
    return _vocabulary(ids, merges)


def _pair(line: str | list[str]) -> tuple[str, str]:
    left, right = line.split(" ") if isinstance(line, str) else line
    return left, right


def _from_json(document: dict[str, Any]) -> Vocabulary | None:
    """The vocabulary of a tokenizer.json, None where it means other words or other merges."""
    model, cut = document["model"], document.get("pre_tokenizer") or {}
    served = (
        model.get("type", "BPE") == "BPE"
        and not any(model.get(key) for key in _OTHER_MERGES)
        and document.get("normalizer") is None
        and cut.get("type") == "ByteLevel"
        and not cut.get("add_prefix_space", True)
        and cut.get("use_regex", True)
        and all(token["special"] for token in document.get("added_tokens") or ())
        and all(character in model["vocab"] for character in byte_characters())
        and max(*model["vocab"].values(), len(model["merges"])) < 1 << ID_BITS
    )
    return _vocabulary(model["vocab"], [_pair(m) for m in model["merges"]]) if served else None


#: Options of a BPE model with which it is not plain merging by rank.
_OTHER_MERGES: Final = (
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "byte_fallback",
    "ignore_merges",
)


def _vocabulary(ids: dict[str, int], merges: Merges) -> Vocabulary:
    pairs = np.array([(ids[a], ids[b]) for a, b in merges], np.uint32).reshape(-1, 2)
    merged = np.array([ids[a + b] for a, b in merges], np.uint32)
    alphabet = {ord(character): byte for byte, character in by_byte().items()}
    tokens = {i: t for t, i in ids.items() if all(ord(c) in alphabet for c in t)}
    count = max(ids.values()) + 1
    spelled = [bytes(alphabet[ord(c)] for c in tokens.get(i, "")) for i in range(count)]
    sizes = np.array([len(token) for token in spelled], np.int64)
    vocabulary = Vocabulary(
        classes=_code_point_classes(),
        byte_ids=np.array([ids[by_byte()[byte]] for byte in range(256)], np.uint32),
        sizes=sizes,
        merges=merge_table(pairs),
        merged=merged,
        words=np.zeros(1, np.uint32),
        blob=np.frombuffer(b"".join(spelled), np.uint8),
        at=np.cumsum(sizes) - sizes,
    )
    return vocabulary._replace(words=word_table(vocabulary))


@cache
def by_byte() -> dict[int, str]:
    """The character that stands for each byte: itself where it prints, else one from U+0100 on."""
    printing = list(chain(range(0x21, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x100)))
    others = [byte for byte in range(256) if byte not in printing]
    return {b: chr(b) for b in printing} | {b: chr(256 + i) for i, b in enumerate(others)}


def byte_characters() -> list[str]:
    """These characters in the order of GPT-2's ids: the printing ones first."""
    return list(by_byte().values())


@cache
def _code_point_classes() -> npt.NDArray[np.uint8]:
    """Letter, number or white space, of each code point."""
    classes = np.zeros(0x110000, np.uint8)
    for line in _CLASS_FILE.read_text().splitlines():
        kind, *ranges = line.split(" ")
        if kind in _CLASSES:
            for span in ranges:
                first, _, last = span.partition("-")
                classes[int(first, 16) : int(last or first, 16) + 1] = _CLASSES[kind]
    classes.flags.writeable = False
    return classes
