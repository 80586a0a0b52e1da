"""From kept documents to token shards: who goes where, in which order, and what is written.

A document's place follows from a keyed hash of its id alone: the hash modulo the number of
partitions is its token shard, the hash itself its order. So every token shard has the same mixture
of sources (LLM360 deals samples into chunks for the same end, arXiv 2312.06550, section 3.1), a
task needs no plan from a task before it, and one page more or less moves no other page.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.export.bpe import ENCODE_BYTES, Encoder
from services.export.masks import Mask, pack_mask
from shared.dataset import INDEX_SCHEMA
from shared.scope import Scope

TEXT_SCHEMA = pa.schema(
    [
        ("document", pa.string()),
        ("url", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int64()),
        ("text", pa.large_string()),
    ]
)
Tokens = npt.NDArray[np.unsignedinteger]


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


@dataclass
class PackedShard:
    """A token shard with its index, and counts. `characters` are Unicode code points."""

    tokens: bytes
    mask: bytes
    index: bytes
    text: bytes
    documents: int
    empty_documents: int
    token_count: int
    masked_tokens: int
    characters: int


@dataclass
class _Packing:
    """What is held while a partition is packed: tokens, not texts."""

    keys: list[int] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    shards: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    tokens: list[Tokens] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    characters: int = 0


def pack_partition(
    scope: Scope,
    reads: tuple[str, ...],
    partition: int,
    partitions: int,
    seed: int,
    encoder: Encoder,
    dtype: str,
) -> PackedShard:
    """Tokens of the partition's documents in the order of their hashes, each with its EOS.

    Tokens in `spans`, where `reads` names them, are masked; an EOS never is.
    A document without text stands in the index with an empty span. Memory: the partition's tokens
    twice, its compressed text, and one shard's rows; more partitions mean less of the first two.
    """
    packing = _Packing()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, TEXT_SCHEMA, compression="zstd") as writer:
        for shard, table in scope.rows(reads):
            keys = order_keys(table["document"], seed, "order")
            mine = np.flatnonzero(keys % np.uint64(partitions) == partition)
            rows = table.take(mine)
            _encode_rows(packing, shard, rows, keys[mine], encoder, dtype)
            place = pa.array(np.full(len(mine), shard, np.int32))
            placed = rows.append_column("shard", place).select(TEXT_SCHEMA.names)
            writer.write_table(placed.cast(TEXT_SCHEMA))
    return _packed(packing, sink.getvalue().to_pybytes(), dtype)


def _encode_rows(
    packing: _Packing,
    shard: int,
    rows: pa.Table,
    keys: npt.NDArray[np.uint64],
    encoder: Encoder,
    dtype: str,
) -> None:
    for group in _text_groups(rows["text"]):
        texts = [text or "" for text in rows["text"].slice(*group).to_pylist()]
        if "spans" in rows.column_names:
            spans = rows["spans"].slice(*group).to_pylist()
            tokens, masks = encoder.encode_masked(texts, spans, dtype)
            ends = [np.zeros(1 if text else 0, np.bool_) for text in texts]
            packing.masks += [np.append(*both) for both in zip(masks, ends, strict=True)]
        else:
            tokens = encoder.encode(texts, dtype)
        for text, ids in zip(texts, tokens, strict=True):
            eos = [encoder.eos_id] if text else []
            packing.tokens.append(np.append(ids, np.array(eos, dtype)))
            packing.characters += len(text)
    packing.keys += keys.tolist()
    packing.documents += rows["document"].to_pylist()
    packing.shards += [shard] * rows.num_rows
    packing.rows += rows["row"].to_pylist()


def _text_groups(texts: pa.ChunkedArray) -> Iterator[tuple[int, int]]:
    """(offset, length) of runs of rows with about ENCODE_BYTES of text, one row at least."""
    sizes = pc.fill_null(pc.binary_length(texts), 0).to_numpy()
    group = np.cumsum(sizes) // ENCODE_BYTES
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    bounds = [*starts.tolist(), len(sizes)]
    for start, end in pairwise(bounds):
        yield start, end - start


def _packed(packing: _Packing, text: bytes, dtype: str) -> PackedShard:
    """Put the held documents in the order of their hashes; a tie goes by shard and row."""
    order = np.argsort(np.array(packing.keys, np.uint64), kind="stable")
    tokens = [packing.tokens[i] for i in order]
    ends = np.cumsum([len(t) for t in tokens], dtype=np.int64)
    sizes = np.diff(ends, prepend=np.int64(0))
    index = pa.table(
        [
            pa.array([packing.documents[i] for i in order], pa.string()),
            pa.array([packing.shards[i] for i in order], pa.int32()),
            pa.array([packing.rows[i] for i in order], pa.int64()),
            pa.array(ends - sizes, pa.int64()),
            pa.array(ends, pa.int64()),
        ],
        schema=INDEX_SCHEMA,
    )
    sink = pa.BufferOutputStream()
    pq.write_table(index, sink, compression="zstd")
    stream = np.concatenate([np.empty(0, dtype), *tokens])
    masks = [packing.masks[i] for i in order] if packing.masks else []
    mask = np.concatenate([np.empty(0, np.bool_), *masks])
    return PackedShard(
        tokens=stream.astype(np.dtype(dtype).newbyteorder("<")).tobytes(),
        mask=pack_mask(mask),
        index=sink.getvalue().to_pybytes(),
        text=text,
        documents=len(order),
        empty_documents=int((sizes == 0).sum()),
        token_count=len(stream),
        masked_tokens=int(mask.sum()),
        characters=packing.characters,
    )
