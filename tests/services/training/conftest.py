"""A small dataset in a store, as the export leaves it: real tokens of a real tokenizer."""

import io
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from shared.dataset import INDEX_SCHEMA, DatasetManifest, sequence_count
from shared.store import Store, to_json
from shared.training_run import RunSpec, submit_run

LENGTH = 16
EOS = 0
#: Tokens of the documents of each token shard, EOS included; 0 is a document without text.
DOCUMENTS = ((40, 7, 0, 90, 1), (200,), (), (33, 33, 33))


def tokenizer_json() -> bytes:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["the cat sat on the mat"], trainer)
    return tokenizer.to_str().encode()


def write_dataset(
    store: Store, dataset: str = "cats", masks: Sequence[slice] = ()
) -> DatasetManifest:
    """With masks, one for each token shard: the tokens in the slice are masked."""
    files = {"tokenizer.json": tokenizer_json()}
    vocab_size = 257 + 20
    rng = np.random.default_rng(0)
    shards = []
    for number, sizes in enumerate(DOCUMENTS):
        # A stream that a model can learn: each token follows from the one before.
        tokens = (np.cumsum(rng.integers(1, 3, sum(sizes))) % vocab_size).astype("<u2")
        ends = np.cumsum(sizes, dtype=np.int64)
        tokens[ends[np.array(sizes, int) > 0] - 1] = EOS
        index = pa.table(
            {
                "document": [f"crawl.warc.gz:{number}-{i}" for i in range(len(sizes))],
                "shard": np.full(len(sizes), number, np.int32),
                "row": np.arange(len(sizes)),
                "start": ends - np.array(sizes, np.int64),
                "end": ends,
            },
            schema=INDEX_SCHEMA,
        )
        sink = io.BytesIO()
        pq.write_table(index, sink)
        names = {"tokens_file": f"tokens-{number}.bin", "index_file": f"index-{number}.parquet"}
        files |= dict(zip(names.values(), (tokens.tobytes(), sink.getvalue()), strict=True))
        masked = np.zeros(len(tokens), np.bool_)
        if masks:
            masked[masks[number]] = True
            names["mask_file"] = f"mask-{number}.bin"
            files[names["mask_file"]] = np.packbits(masked, bitorder="little").tobytes()
        counts = {
            "documents": len(sizes),
            "empty_documents": sum(s == 0 for s in sizes),
            "tokens": len(tokens),
            "masked_tokens": int(masked.sum()),
            "sequences": sequence_count(len(tokens), LENGTH),
            "characters": 0,
        }
        shards.append(names | counts)
    totals = {name: sum(s[name] for s in shards) for name in counts}
    raw = {
        "id": dataset,
        "sources": 1,
        "scope": "0",
        "recipe": {"name": "web", "hash": "0", "source": "", "published": {}, "deviations": []},
        "tokenizer": {
            "source": "train",
            "vocab_size": vocab_size,
            "eos": "<|endoftext|>",
            "eos_id": EOS,
            "sample_documents": 1,
            "sample_bytes": 1,
        },
        "sequence_length": LENGTH,
        "dtype": "uint16",
        "seed": 0,
        "shards": shards,
        "totals": totals,
        "files": [
            {"name": name, "bytes": len(data), "blake3": blake3(data).hexdigest()}
            for name, data in files.items()
        ],
        "licence": "none",
        "funnel": {},
    }
    manifest = DatasetManifest.model_validate(raw)
    for name, data in files.items():
        store.put(f"datasets/{dataset}/{name}", data)
    store.put(f"datasets/{dataset}/manifest.json", to_json(manifest.model_dump(mode="json")))
    return manifest


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def manifest(store) -> DatasetManifest:
    return write_dataset(store)


@pytest.fixture
def submit(store, manifest) -> Callable[..., RunSpec]:
    """Submits a run of a minimal model."""

    def make(**changes: Any) -> RunSpec:
        raw = {
            "id": "r1",
            "dataset": manifest.id,
            "preset": "nano",
            "steps": 12,
            "batch_size": 4,
            "warmup_steps": 3,
            "checkpoint_every": 5,
            "threads": 1,
            "sample_prompt": "the cat",
            "sample_tokens": 20,
        }
        spec = RunSpec(**(raw | changes))
        submit_run(store, spec)
        return spec

    return make


@pytest.fixture
def process_settings() -> Iterator[None]:
    """Puts back what the training program settles for its whole process."""
    import torch

    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=False)
