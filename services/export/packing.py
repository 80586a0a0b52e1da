"""From kept documents to entries: who goes into which token shard, in which order, as what tokens.

A document's place follows from a keyed hash of its id alone: the hash modulo the number of
partitions is its token shard, the hash itself its order. So every token shard has the same mixture
of sources (LLM360 deals samples into chunks for the same end, arXiv 2312.06550, section 3.1), a
task needs no plan from a task before it, and one page more or less moves no other page.
"""

import hashlib
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.export.bpe import ENCODE_BYTES, Encoder
from services.export.masks import Mask
from shared.scope import Scope

#: A document with its tokens: little-endian, its EOS last; none where it has no text. `mask` has a
#: byte a token, 1 where it is masked; null where the dataset has no mask.
ENTRIES = pa.schema(
    [
        ("key", pa.uint64()),
        ("document", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int64()),
        ("characters", pa.int64()),
        ("tokens", pa.large_binary()),
        ("mask", pa.large_binary()),
    ]
)


def order_keys(documents: pa.ChunkedArray, seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """For each document id its keyed 64-bit hash (blake2b, RFC 7693).

    `purpose` separates draws: the tokenizer's sample says nothing about the order.
    """
    base = hashlib.blake2b(
        digest_size=8, key=seed.to_bytes(8, "little"), person=purpose.encode()[:16]
    )
    keys = bytearray()
    for document in documents.to_pylist():
        keyed = base.copy()
        keyed.update(document.encode())
        keys += keyed.digest()
    return np.frombuffer(bytes(keys), "<u8")


def sample_texts(scope: Scope, seed: int, sample_bytes: int) -> list[str]:
    """Texts of the documents with the lowest hashes, until they reach `sample_bytes` of UTF-8.

    Memory: the sample and one shard's rows. In the order of their hashes.
    """
    held: list[tuple[int, str, int]] = []  # a heap by falling hash: (-key, text, bytes)
    total = 0
    for _, rows in scope.rows(("document", "text")):
        keys = order_keys(rows["document"], seed, "tokenizer")
        for key, text in zip(keys.tolist(), rows["text"].to_pylist(), strict=True):
            if not text or (total >= sample_bytes and -key <= held[0][0]):
                continue
            size = len(text.encode())
            heappush(held, (-key, text, size))
            total += size
            while total - held[0][2] >= sample_bytes:
                total -= heappop(held)[2]
    return [text for _, text, _ in sorted(held, reverse=True)]


def encode_rows(
    shard: int, rows: pa.Table, keys: npt.NDArray[np.uint64], encoder: Encoder, dtype: str
) -> pa.Table:
    """ENTRIES of a shard's rows in their order; masked where the rows have `spans`.

    An EOS is never masked.
    """
    characters: list[int] = []
    tokens: list[bytes] = []
    masks: list[bytes | None] = []
    stored = np.dtype(dtype).newbyteorder("<")
    eos = np.array([encoder.eos_id], stored).tobytes()
    for group in _text_groups(rows["text"]):
        texts = [text or "" for text in rows["text"].slice(*group).to_pylist()]
        marks: list[Mask] | list[None] = [None] * len(texts)
        if "spans" in rows.column_names:
            spans = rows["spans"].slice(*group).to_pylist()
            ids, marks = encoder.encode_masked(texts, spans, dtype)
        else:
            ids = encoder.encode(texts, dtype)
        for text, found, mark in zip(texts, ids, marks, strict=True):
            tokens.append(found.astype(stored).tobytes() + (eos if text else b""))
            masks.append(None if mark is None else mark.tobytes() + (b"\0" if text else b""))
            characters.append(len(text))
    arrays = [
        keys,
        rows["document"],
        pa.array(np.full(len(keys), shard, np.int32)),
        rows["row"],
        characters,
        pa.array(tokens, pa.large_binary()),
        pa.array(masks, pa.large_binary()),
    ]
    return pa.table(arrays, schema=ENTRIES)


def _text_groups(texts: pa.ChunkedArray) -> Iterator[tuple[int, int]]:
    """(offset, length) of runs of rows with about ENCODE_BYTES of text, one row at least."""
    sizes = pc.fill_null(pc.binary_length(texts), 0).to_numpy()
    for start, end in groups_of(sizes, ENCODE_BYTES):
        yield start, end - start


def groups_of(sizes: npt.NDArray[np.integer], room: int) -> Iterator[tuple[int, int]]:
    """[start, end) of runs of items whose sizes add up to about `room`, one item at least."""
    group = np.cumsum(sizes) // room
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    yield from pairwise([*starts.tolist(), len(sizes)])
