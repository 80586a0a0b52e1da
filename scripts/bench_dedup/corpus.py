"""Documents for measuring deduplication: made from real prose by seeded edits.

Document i is a function of (seed, i) alone, so any range of any size is made without the rest. An
original is a row of sentences of the prose, drawn at random, of which one word in twenty is
exchanged, until it has 1,050 bytes. One document in four is a copy of an original, with 0 to 8 %
of its words exchanged; one in a hundred is a copy of document 0, so that one cluster grows with
the corpus. Exchanged words come from the prose.
"""

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.reference import DATA

ByteArray = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]

PROSE = DATA / "text/train_small_en.jsonl.gz"
LEAST_BYTES = 1050
MOST_BYTES = 2048
#: Shares of words that copies exchange: at five words a shingle these give a Jaccard similarity of
#: about 1, .95, .91, .83, .69 and .49 to the original.
RATES = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08)
#: Share of words that originals exchange, so that two with a sentence in common differ in it.
ORIGINAL_RATE = 0.05
COPIES, OF_THE_FIRST = 0.25, 0.01
DOCUMENTS_A_FILE = 50_000


class Prose(NamedTuple):
    """Sentences and words of the prose: `data[starts[i]:starts[i + 1]]` each."""

    sentences: ByteArray
    sentence_starts: Int64Array
    words: ByteArray
    word_starts: Int64Array


@cache
def prose() -> Prose:
    """Sentences of 40 to 300 bytes, and all words of 3 to 12 letters, each once, sorted."""
    sentences: set[str] = set()
    words: set[str] = set()
    with gzip.open(PROSE, "rt") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            words.update(re.findall(r"\b[a-z]{3,12}\b", text))
            for sentence in re.split(r"(?<=[.!?])\s+", text):
                plain = " ".join(sentence.split())
                if 40 <= len(plain.encode()) <= 300:
                    sentences.add(plain + " ")
    return Prose(*_joined(sorted(sentences)), *_joined(sorted(words)))


def _joined(texts: list[str]) -> tuple[ByteArray, Int64Array]:
    encoded = [t.encode() for t in texts]
    starts = np.concatenate(([0], np.cumsum([len(t) for t in encoded]))).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), starts


@numba.njit(cache=True, nogil=True)
def _next(state: np.uint64) -> tuple[np.uint64, np.uint64]:
    """SplitMix64: the next state and its number."""
    state = np.uint64(state + np.uint64(0x9E3779B97F4A7C15))
    z = state
    z = np.uint64((z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    z = np.uint64((z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return state, np.uint64(z ^ (z >> np.uint64(31)))


@numba.njit(cache=True, nogil=True)
def _exchange(
    text: ByteArray,
    size: int,
    rate: float,
    state: np.uint64,
    words: ByteArray,
    starts: Int64Array,
    out: ByteArray,
) -> int:
    """Copy a text, each word exchanged with probability `rate`; returns its bytes."""
    to, at = 0, 0
    while at < size:
        end = at
        while end < size and text[end] != 32:
            end += 1
        state, drawn = _next(state)
        if (drawn >> np.uint64(11)) * 2.0**-53 < rate:
            state, drawn = _next(state)
            word = np.int64(drawn % np.uint64(len(starts) - 1))
            for i in range(starts[word], starts[word + 1]):
                out[to] = words[i]
                to += 1
        else:
            for i in range(at, end):
                out[to] = text[i]
                to += 1
        if end < size:
            out[to] = 32
            to += 1
        at = end + 1
    return to


@numba.njit(cache=True, nogil=True)
def _original(seed: np.uint64, i: int, prose: Prose, scratch: ByteArray, out: ByteArray) -> int:
    """Write document i as if it were an original; returns its bytes."""
    state = np.uint64(seed ^ np.uint64(i) * np.uint64(0xD6E8FEB86659FD93))
    size = 0
    while size < LEAST_BYTES:
        state, drawn = _next(state)
        s = np.int64(drawn % np.uint64(len(prose.sentence_starts) - 1))
        for at in range(prose.sentence_starts[s], prose.sentence_starts[s + 1]):
            scratch[size] = prose.sentences[at]
            size += 1
    return _exchange(scratch, size, ORIGINAL_RATE, state, prose.words, prose.word_starts, out)


@numba.njit(cache=True, nogil=True)
def origin(seed: np.uint64, i: int) -> tuple[int, float]:
    """Which document i is a copy of (itself: an original), and at what rate words are exchanged."""
    state, drawn = _next(np.uint64(~seed ^ np.uint64(i) * np.uint64(0xA0761D6478BD642F)))
    share = (drawn >> np.uint64(11)) * 2.0**-53
    if i == 0 or share >= COPIES:
        return i, 0.0
    state, drawn = _next(state)
    rate = RATES[np.int64(drawn % np.uint64(len(RATES)))]
    if share < OF_THE_FIRST:
        return 0, rate
    state, drawn = _next(state)
    return np.int64(drawn % np.uint64(i)), rate


@numba.njit(cache=True, nogil=True)
def _make(
    seed: np.uint64, first: int, count: int, prose: Prose, out: ByteArray, ends: Int64Array
) -> None:
    """Documents [first, first + count), one after the other."""
    scratch, text = np.empty(2 * MOST_BYTES, np.uint8), np.empty(2 * MOST_BYTES, np.uint8)
    to = 0
    for n in range(count):
        of, rate = origin(seed, first + n)
        size = _original(seed, of, prose, scratch, text)
        state = np.uint64(seed + np.uint64(first + n) * np.uint64(0xE7037ED1A0B428DB))
        to += _exchange(text, size, rate, state, prose.words, prose.word_starts, out[to:])
        ends[n] = to


def documents(seed: int, first: int, count: int) -> pa.Array:
    """Texts of documents [first, first + count), a string each."""
    out, ends = np.empty(count * MOST_BYTES, np.uint8), np.empty(count, np.int64)
    _make(np.uint64(seed), first, count, prose(), out, ends)
    offsets = np.concatenate(([0], ends)).astype(np.int64)
    data = pa.py_buffer(out[: offsets[-1]].tobytes())
    return cast("pa.Array", pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), data))


def write_files(folder: Path, seed: int, count: int) -> list[Path]:
    """Documents [0, count) as Parquet files; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for first in range(0, count, DOCUMENTS_A_FILE):
        path = folder / f"{seed}-{first:09d}.parquet"
        paths.append(path)
        if not path.exists():
            size = min(DOCUMENTS_A_FILE, count - first)
            ids = pa.array([f"d{i}" for i in range(first, first + size)])
            table = pa.table({"id": ids, "text": documents(seed, first, size)})
            partial = path.with_suffix(".partial")
            pq.write_table(table, partial, compression="zstd", row_group_size=5000)
            partial.replace(path)
    return paths
