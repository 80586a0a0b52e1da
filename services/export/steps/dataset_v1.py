"""`export.dataset_v1`: the kept documents as a tokenised dataset with provenance.

`export.masked_dataset_v1` is the same with a loss mask: it reads `spans` too.
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from blake3 import blake3
from pydantic import Field

from services.export.encoding import encode_tasks
from shared.dataset import (
    DatasetManifest,
    FileRecord,
    RecipeRecord,
    TokenizerRecord,
    TokenShard,
    Totals,
    dtype_of,
    sequence_count,
)
from shared.resources import READ_FROM
from shared.scope import Scope
from shared.step import GroupOutput, Params, Phase, group_step
from shared.store import to_json

TOKENIZER_FILE = "tokenizer.json"
#: What the steps read of each kept row.
READS = ("document", "url", "text")
MASKED_READS = (*READS, "spans")


class DatasetParams(Params):
    """What decides a dataset beside its documents."""

    #: "train", or an absolute path or URI of a tokenizer.json. A dataset's id follows from the
    #: path; the manifest has the file's hash.
    tokenizer: Annotated[str, READ_FROM] = "train"
    #: The token after each document; a trained tokenizer gets it, a given one must have it.
    eos: str = Field(default="<|endoftext|>", min_length=1)
    #: Of a trained tokenizer: 256 bytes and the EOS token at least.
    vocab_size: int = Field(default=4096, ge=257, le=2**20)
    #: UTF-8 bytes of text that the tokenizer is trained on, held in memory.
    tokenizer_sample_bytes: int = Field(default=32 * 2**20, ge=1)
    #: Tokens that a model sees at once.
    sequence_length: int = Field(default=512, ge=1)
    #: Of the order of the documents and of the tokenizer's sample.
    seed: int = Field(default=0, ge=0, lt=2**63)
    #: Token shards.
    partitions: int = Field(default=4, ge=1, le=99_999)
    #: Of the selection, as the card says it.
    licence: str = "not stated"
    #: Whether the dataset holds the kept text beside its tokens.
    text_parquet: bool = True


#: What a task hands to the manifest: counts by name, and its files.
COUNTS_SCHEMA = pa.schema(
    [
        ("counts", pa.map_(pa.string(), pa.int64())),
        (
            "files",
            pa.list_(
                pa.struct([("name", pa.string()), ("bytes", pa.int64()), ("blake3", pa.string())])
            ),
        ),
    ]
)


def _output(files: dict[str, Path] | dict[str, bytes], **counts: int) -> GroupOutput:
    records = [{"name": name, **_described(data)} for name, data in files.items()]
    row = {"counts": list(counts.items()), "files": records}
    return GroupOutput(pa.Table.from_pylist([row], schema=COUNTS_SCHEMA), files)


def _described(data: Path | bytes) -> dict[str, Any]:
    """Size and hash of a file."""
    if isinstance(data, bytes):
        return {"bytes": len(data), "blake3": blake3(data).hexdigest()}
    return {"bytes": data.stat().st_size, "blake3": blake3().update_mmap(data).hexdigest()}


def make_tokenizer(scope: Scope, _partition: int, params: DatasetParams) -> GroupOutput:
    """Phase 1: train the tokenizer on a bounded sample of the kept text, or fetch the given one."""
    from services.export.bpe import fetch_tokenizer, load_encoder, train_tokenizer
    from services.export.packing import sample_texts

    sample: list[str] = []
    if params.tokenizer == "train":
        sample = sample_texts(scope, params.seed, params.tokenizer_sample_bytes)
        data = train_tokenizer(sample, params.vocab_size, params.eos)
    else:
        data = fetch_tokenizer(params.tokenizer)
    load_encoder(data, params.eos)  # a file without the EOS token fails here, before any writing
    return _output(
        {TOKENIZER_FILE: data},
        sample_documents=len(sample),
        sample_bytes=sum(len(text.encode()) for text in sample),
    )


def encode(scope: Scope, task: int, params: DatasetParams, *, masked: bool) -> GroupOutput:
    """Phase 2, once for some shards: their tokens and text, for each token shard apart."""
    from services.export.bpe import load_encoder
    from services.export.encoding import encode_shards

    encoder = load_encoder(scope.file("tokenizer", TOKENIZER_FILE), params.eos)
    file = encode_shards(
        scope,
        MASKED_READS if masked else READS,
        task,
        encoder=encoder,
        dtype=dtype_of(encoder.vocab_size),
        seed=params.seed,
        partitions=params.partitions,
        text=params.text_parquet,
    )
    return GroupOutput(pa.table({}), {"encoded.bin": file})


def write_shard(
    scope: Scope, partition: int, params: DatasetParams, *, masked: bool
) -> GroupOutput:
    """Phase 3, once a token shard: tokens, their mask, index, text."""
    from services.export.bpe import load_encoder
    from services.export.writing import write_partition

    encoder = load_encoder(scope.file("tokenizer", TOKENIZER_FILE), params.eos)
    names = _file_names(partition, params, masked=masked)
    files, counts = write_partition(scope, partition, dtype_of(encoder.vocab_size), names)
    return _output(
        {names[kind]: path for kind, path in files.items()},
        **asdict(counts),
        sequences=sequence_count(counts.tokens, params.sequence_length),
    )


def _file_names(partition: int, params: DatasetParams, *, masked: bool) -> dict[str, str]:
    """The fields of a TokenShard that name its files."""
    names = {
        "tokens_file": f"tokens-{partition:05d}.bin",
        "index_file": f"index-{partition:05d}.parquet",
    }
    if params.text_parquet:
        names["text_file"] = f"text-{partition:05d}.parquet"
    if masked:
        names["mask_file"] = f"mask-{partition:05d}.bin"
    return names


def write_manifest(
    scope: Scope, _partition: int, params: DatasetParams, *, masked: bool
) -> GroupOutput:
    """Phase 4: the manifest, and the card from the same values. No clock, no host."""
    from services.export.card import dataset_card

    manifest = _manifest(scope, params, masked=masked)
    files = {
        "README.md": dataset_card(manifest).encode(),
        "manifest.json": to_json(manifest.model_dump(mode="json")),
    }
    return GroupOutput(pa.table({}), files)


def _manifest(scope: Scope, params: DatasetParams, *, masked: bool) -> DatasetManifest:
    from services.export.bpe import load_encoder

    encoder = load_encoder(scope.file("tokenizer", TOKENIZER_FILE), params.eos)
    sampled, tokenizer_files = _counted(scope.table("tokenizer"))
    shards: list[TokenShard] = []
    files = tokenizer_files
    for partition, table in enumerate(scope.tables("write")):
        counts, written = _counted(table)
        names = _file_names(partition, params, masked=masked)
        shards.append(TokenShard.model_validate(names | counts))
        files += written
    recipe = scope.recipe.recipe
    return DatasetManifest(
        id=scope.output_id,
        sources=len(scope.batch.sources),
        scope=scope.batch.scope,
        recipe=RecipeRecord(
            hash=recipe.hash,
            **recipe.model_dump(include={"name", "source", "published", "deviations"}),
        ),
        tokenizer=TokenizerRecord(
            source=params.tokenizer,
            vocab_size=encoder.vocab_size,
            eos=params.eos,
            eos_id=encoder.eos_id,
            **sampled,
        ),
        sequence_length=params.sequence_length,
        dtype=dtype_of(encoder.vocab_size),
        seed=params.seed,
        shards=tuple(shards),
        totals=Totals(
            **{name: sum(getattr(s, name) for s in shards) for name in Totals.model_fields}
        ),
        files=tuple(files),
        licence=params.licence,
        funnel=scope.describe(),
    )


def _counted(table: pa.Table) -> tuple[dict[str, Any], list[FileRecord]]:
    (row,) = table.to_pylist()
    return dict(row["counts"]), [FileRecord(**f) for f in row["files"]]


def _phases(*, masked: bool) -> tuple[Phase, ...]:
    return (
        Phase("tokenizer", make_tokenizer),
        Phase(
            "encode",
            partial(encode, masked=masked),
            partitions=lambda _params, shards: encode_tasks(shards),
            scratch=True,
        ),
        Phase(
            "write",
            partial(write_shard, masked=masked),
            partitions=lambda params, _shards: params.partitions,
        ),
        Phase("manifest", partial(write_manifest, masked=masked)),
    )


group_step(
    "export.dataset_v1",
    reads=READS,
    phases=_phases(masked=False),
    doc="""Writes the kept documents as a dataset: tokens, index, text, tokenizer, manifest, card.

    Documents are ordered by a keyed hash of their ids, each is followed by the EOS token, and the
    stream is cut into sequences (packing as in LLM360 Amber, arXiv 2312.06550, section 3.1, but
    neighbouring sequences share the token that is the one's last target).
    """,
    params=DatasetParams,
    sink="datasets",
)
group_step(
    "export.masked_dataset_v1",
    reads=MASKED_READS,
    phases=_phases(masked=True),
    doc="""As `export.dataset_v1`, with a mask of the tokens that training is not to learn.

    They are those that hold a byte of `spans`, which an earlier step has found in the text (mode
    MASK of exact substrings, RefinedWeb, arXiv 2306.01116): they stay in the text and the tokens,
    and are no targets of the loss.
    """,
    params=DatasetParams,
    sink="datasets",
)
