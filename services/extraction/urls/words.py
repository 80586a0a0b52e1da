"""Words in URLs: what each convention takes for a word, and lists of whole words (hard, soft).

Whole words are runs of the convention's word bytes, hashed and looked up. Parts of words are for
`automaton`.
"""

import gzip
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from services.extraction.urls.blocklists import Convention
from services.extraction.urls.keys import (
    ABSENT,
    Bytes,
    Collector,
    Int64Array,
    Table,
    UInt64Array,
    append_byte,
    hash_strings,
)

Int16Array = npt.NDArray[np.int16]

#: In a byte table: not part of a word, or passed over.
_NONE: Final = -1
_NOT_WORD: Final = re.compile(r"\W+")
_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-zA-Z0-9]+")


def word_texts(urls: Sequence[str], convention: Convention) -> Sequence[str]:
    """What `whole_word_bytes` is for: URLs whose words are told apart by bytes alone."""
    if convention != "dclm":
        return urls
    return [_NOT_WORD.sub(" ", url.lower()) for url in urls]


def part_texts(urls: Sequence[str], convention: Convention) -> Sequence[str]:
    """What `part_bytes` is for."""
    return [url.lower() for url in urls] if convention == "dclm" else urls


@cache
def whole_word_bytes(convention: Convention) -> Int16Array:
    """For each byte the one it counts as in a whole word, or _NONE between words.

    `datatrove` keeps the case of the URL, though its lists are in lower case: "FOO" is no "foo".
    """
    table = _alphanumeric(fold=convention != "datatrove")
    if convention == "dclm":
        table[ord("_")] = ord("_")
        table[128:] = np.arange(128, 256)
    return table


@cache
def part_bytes(convention: Convention) -> Int16Array:
    """For each byte the one it counts as in a strict word, or _NONE where it is passed over."""
    if convention != "dclm":
        return _alphanumeric(fold=True)
    table = np.arange(256, dtype=np.int16)
    table[[ord("-"), ord(".")]] = _NONE
    return table


def _alphanumeric(*, fold: bool) -> Int16Array:
    table = np.full(256, _NONE, np.int16)
    for byte in range(128):
        if chr(byte).isalnum():
            table[byte] = ord(chr(byte).lower()) if fold else byte
    return table


def read_words(path: Path, convention: Convention, name: str) -> list[str]:
    """The distinct words of a list, a line each; lines that start with `#` are comments.

    Of a bundle the file `<name>.txt`, no words where it has none.
    """
    raw = _bundled(path, f"{name}.txt") if tarfile.is_tarfile(path) else path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    lines = [line for line in text.split("\n") if not line.startswith("#")]
    if convention == "dclm":
        words = [line.strip().lower() for line in lines]
    else:
        words = [_NOT_ALPHANUMERIC.sub("", line).lower() for line in lines]
    return sorted({word for word in words if word})


def _bundled(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        for member in tar:
            if Path(member.name).name == name and (file := tar.extractfile(member)) is not None:
                return file.read()
    return b""


@dataclass(frozen=True)
class WholeWords:
    """A list of whole words; labels number them."""

    table: Table
    size: int

    def count(self, tokens: "Tokens") -> Int64Array:
        """How many different words of the list each URL has."""
        found = self.table.find((tokens.first, tokens.second))
        return np.asarray(count_distinct(tokens.bounds, found, self.size))


@dataclass(frozen=True)
class Tokens:
    """Both hashes of the words of all URLs; URL i has those from `bounds[i]` to `bounds[i + 1]`."""

    first: UInt64Array
    second: UInt64Array
    bounds: Int64Array

    @classmethod
    def of(cls, data: Bytes, starts: Int64Array, ends: Int64Array, counts: Int16Array) -> "Tokens":
        """The words of each text."""
        return cls(*hash_tokens(data, starts, ends, counts))


@cache
def whole_words_parser(convention: Convention, name: str) -> Callable[[Path], WholeWords]:
    """The function that reads a list of hard or soft words, called `name` in a bundle."""

    def parse(path: Path) -> WholeWords:
        words = read_words(path, convention, name)
        collector = Collector(np.int32)
        collector.add(hash_strings(words), np.arange(len(words), dtype=np.int32))
        return WholeWords(collector.table(), len(words))

    return parse


@njit(cache=True, nogil=True)
def hash_tokens(
    data: Bytes, starts: Int64Array, ends: Int64Array, counts: Int16Array
) -> tuple[UInt64Array, UInt64Array, Int64Array]:
    """Hashes of the runs of bytes that count, and where each text's begin."""
    most = (np.sum(ends - starts) + len(starts)) // 2 + 1
    firsts, seconds = np.empty(most, np.uint64), np.empty(most, np.uint64)
    bounds = np.zeros(len(starts) + 1, np.int64)
    found = 0
    for i in range(len(starts)):
        first = second = np.uint64(0)
        inside = False
        for at in range(starts[i], ends[i] + 1):
            byte = counts[data[at]] if at < ends[i] else _NONE
            if byte != _NONE:
                first, second = append_byte(first, second, byte)
                inside = True
            elif inside:
                firsts[found], seconds[found] = first, second
                found += 1
                first = second = np.uint64(0)
                inside = False
        bounds[i + 1] = found
    return firsts[:found].copy(), seconds[:found].copy(), bounds


@njit(cache=True, nogil=True)
def count_distinct(bounds: Int64Array, labels: Int64Array, size: int) -> Int64Array:
    """How many different labels each text has; ABSENT counts as none."""
    counts = np.zeros(len(bounds) - 1, np.int64)
    seen = np.full(size, -1, np.int64)
    for row in range(len(counts)):
        for i in range(bounds[row], bounds[row + 1]):
            if labels[i] != ABSENT and seen[labels[i]] != row:
                seen[labels[i]] = row
                counts[row] += 1
    return counts
