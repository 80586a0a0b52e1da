"""The manifest of an exported dataset: what the export writes and training and the gateway read.

    datasets/<id>/manifest.json        this record; written last, so that it commits the dataset
    datasets/<id>/README.md            the dataset card, from the same values
    datasets/<id>/tokenizer.json
    datasets/<id>/tokens-00000.bin     little-endian tokens, each document followed by the EOS token
    datasets/<id>/mask-00000.bin       optional: a bit a token, set where the loss leaves it out
    datasets/<id>/index-00000.parquet  document, shard, row, and its span [start, end) of tokens
    datasets/<id>/text-00000.parquet   optional: the kept text

A token shard of T tokens holds (T - 1) // L sequences: sequence i is tokens [i L, i L + L + 1), so
that its L inputs have L targets, and a shard's last L tokens at most are never seen.
"""

from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import NotFoundError
from shared.store import Store

#: Where each document's tokens lie: `shard` and `row` are its place in the batch's spine, [start,
#: end) its tokens in the token shard, EOS included; start == end where it has no text.
INDEX_SCHEMA = pa.schema(
    [
        ("document", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
    ]
)
#: Beyond this many entries a token no longer fits 16 bits.
UINT16_VOCAB = 2**16


def dtype_of(vocab_size: int) -> Literal["uint16", "uint32"]:
    """The narrowest type that holds every token."""
    return "uint16" if vocab_size <= UINT16_VOCAB else "uint32"


def sequence_count(tokens: int, sequence_length: int) -> int:
    """How many sequences with their last target a token shard holds."""
    return max(0, (tokens - 1) // sequence_length)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Record):
    """A file of the dataset: name in the dataset's folder, bytes, blake3 (256 bits, hex)."""

    name: str
    bytes: int = Field(ge=0)
    blake3: str


class TokenizerRecord(_Record):
    """The tokenizer: where it is from, its size, its end-of-sequence token.

    `source` is "train" or the file that the recipe names. `sample_documents` and `sample_bytes`
    (UTF-8) say what it was trained on: 0 for a given one.
    """

    source: str
    vocab_size: int = Field(ge=1)
    eos: str
    eos_id: int = Field(ge=0)
    sample_documents: int = Field(ge=0)
    sample_bytes: int = Field(ge=0)


def _absent(value: Any) -> bool:
    """Whether a field is not written, so that manifests without a mask are as they were."""
    return not value


class TokenShard(_Record):
    """A token shard. `empty_documents`, among `documents`, have no text and no tokens.

    Bit i % 8, from the lowest, of byte i // 8 of the mask says whether token i is masked.
    """

    tokens_file: str
    index_file: str
    text_file: str | None = None
    mask_file: str | None = Field(default=None, exclude_if=_absent)
    documents: int = Field(ge=0)
    empty_documents: int = Field(ge=0)
    tokens: int = Field(ge=0)
    masked_tokens: int = Field(default=0, ge=0, exclude_if=_absent)
    sequences: int = Field(ge=0)
    characters: int = Field(ge=0)


class Totals(_Record):
    """Sums over the token shards; characters are Unicode code points."""

    documents: int
    empty_documents: int
    tokens: int
    masked_tokens: int = Field(default=0, exclude_if=_absent)
    sequences: int
    characters: int


class RecipeRecord(_Record):
    """The recipe that made the dataset."""

    name: str
    hash: str
    source: str
    published: dict[str, float]
    deviations: tuple[str, ...]


class DatasetManifest(_Record):
    """`datasets/<id>/manifest.json`. Holds no clock: the same input gives the same bytes."""

    format: Literal[1] = 1
    id: str
    #: How many archives, and the hash of all shards. Batches that share both share the dataset.
    sources: int = Field(ge=1)
    scope: str
    recipe: RecipeRecord
    tokenizer: TokenizerRecord
    sequence_length: int = Field(ge=1)
    dtype: Literal["uint16", "uint32"]
    seed: int
    shards: tuple[TokenShard, ...]
    totals: Totals
    files: tuple[FileRecord, ...]
    licence: str
    funnel: dict[str, Any]

    def file(self, name: str) -> FileRecord:
        """The record of a file; NotFoundError where the dataset has none of that name."""
        for record in self.files:
            if record.name == name:
                return record
        raise NotFoundError(f"dataset {self.id} has no file {name!r}", field="file")


def read_manifest(store: Store, dataset: str) -> DatasetManifest:
    """The manifest of a dataset; NotFoundError where there is no such (committed) dataset."""
    try:
        raw = store.get(f"datasets/{dataset}/manifest.json")
    except NotFoundError as error:
        raise NotFoundError(f"no dataset {dataset!r}", field="dataset") from error
    return DatasetManifest.model_validate_json(raw)


def read_index(store: Store, manifest: DatasetManifest, shard: int) -> pa.Table:
    """Documents of a token shard with their spans: `document`, `start`, `end`."""
    data = store.get(f"datasets/{manifest.id}/{manifest.shards[shard].index_file}")
    columns = ["document", "start", "end"]
    return pq.read_table(pa.BufferReader(data), columns=columns, use_threads=False)


def find_document(store: Store, manifest: DatasetManifest, document: str) -> tuple[int, int, int]:
    """Token shard and span of a document; NotFoundError where the dataset lacks it."""
    for shard in range(len(manifest.shards)):
        index = read_index(store, manifest, shard)
        rows = index.filter(pc.equal(index["document"], document)).to_pylist()
        if rows:
            return shard, rows[0]["start"], rows[0]["end"]
    raise NotFoundError(f"dataset {manifest.id} has no document {document!r}", field="document")
