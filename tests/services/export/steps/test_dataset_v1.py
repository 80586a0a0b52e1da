"""`export.dataset_v1`: every kept document stands once in the tokens, where the index says."""

import hashlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.export.bpe import load_encoder
from services.export.packing import order_keys, sample_texts
from services.export.steps.dataset_v1 import DatasetParams
from shared.dataset import DatasetManifest, dtype_of, sequence_count
from shared.step import load_registry

EOS = "<|endoftext|>"
HOSTILE = [
    None,
    "",
    "\x00\x00",
    " \t\n ",
    "é́́" * 50,
    "שלום عالم",
    "👩‍👩‍👧‍👦" * 20,
    f"{EOS}{EOS}",
    "x" * 1_500_000,
    "a|b",
]


def shards_of(texts, per_shard=4):
    rows = [(f"crawl.jsonl:{i}", f"https://e.org/{i}", text) for i, text in enumerate(texts)]
    return [rows[i : i + per_shard] for i in range(0, len(rows), per_shard)]


def manifest_of(files):
    return DatasetManifest.model_validate_json(files["manifest.json"])


def read(files, shard):
    tokens = np.frombuffer(files[shard.tokens_file], np.dtype("<u2"))
    return tokens, pq.read_table(io.BytesIO(files[shard.index_file])).to_pylist()


def texts_by_document(files):
    """The dataset read back from its files alone."""
    manifest = manifest_of(files)
    tokenizer = load_encoder(files["tokenizer.json"], EOS)._tokenizer
    found = {}
    for shard in manifest.shards:
        tokens, index = read(files, shard)
        for entry in index:
            span = tokens[entry["start"] : entry["end"]].tolist()
            if span:
                assert span[-1] == manifest.tokenizer.eos_id
                assert manifest.tokenizer.eos_id not in span[:-1]
            assert entry["document"] not in found
            found[entry["document"]] = tokenizer.decode(span[:-1], skip_special_tokens=False)
    return found


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.none() | st.text(), max_size=15), partitions=st.integers(1, 4))
def test_every_document_comes_back_from_the_tokens_once(scope_of, export, texts, partitions):
    files = export(scope_of(shards_of(texts)), vocab_size=300, partitions=partitions)
    expected = {f"crawl.jsonl:{i}": text or "" for i, text in enumerate(texts)}
    assert texts_by_document(files) == expected
    totals = manifest_of(files).totals
    assert totals.documents == len(texts)
    assert totals.empty_documents == sum(not t for t in texts)
    assert totals.characters == sum(len(t or "") for t in texts)


@pytest.mark.parametrize("text_type", [pa.string(), pa.large_string()])
def test_hostile_texts_come_back(scope_of, export, text_type):
    scope = scope_of(shards_of(HOSTILE), text_type)
    files = export(scope, vocab_size=300, partitions=2)
    expected = {f"crawl.jsonl:{i}": text or "" for i, text in enumerate(HOSTILE)}
    assert texts_by_document(files) == expected


def test_a_partition_holds_its_hashes_in_order_and_the_index_tiles_its_tokens(scope_of, export):
    files = export(scope_of(shards_of([f"text {i}" for i in range(40)])), partitions=3, seed=5)
    for number, shard in enumerate(manifest_of(files).shards):
        tokens, index = read(files, shard)
        keys = order_keys(pa.chunked_array([[e["document"] for e in index]]), 5, "order")
        assert (keys % 3 == number).all()
        assert (np.diff(keys.astype(object)) > 0).all()
        assert [e["start"] for e in index] == [0, *(e["end"] for e in index[:-1])]
        assert index[-1]["end"] == len(tokens) == shard.tokens
        for entry in index:  # the spine's row: shard of four documents, every third row is kept
            number_of_document = int(entry["document"].split(":")[1])
            assert entry["shard"] == number_of_document // 4
            assert entry["row"] == 3 * (number_of_document % 4)


def test_the_order_is_the_keyed_hash_of_the_id():
    key = (7).to_bytes(8, "little")
    expected = hashlib.blake2b(b"a:1", digest_size=8, key=key, person=b"order").digest()
    keys = order_keys(pa.chunked_array([["a:1"]]), 7, "order")
    assert keys.tolist() == [int.from_bytes(expected, "little")]


def test_the_same_input_gives_the_same_bytes_and_another_seed_another_order(scope_of, export):
    shards = shards_of([f"text {i}" for i in range(40)])
    first = export(scope_of(shards), seed=1)
    assert export(scope_of(shards), seed=1) == first
    assert export(scope_of(shards), seed=2)["index-00000.parquet"] != first["index-00000.parquet"]


def test_cutting_the_batch_otherwise_changes_no_token(scope_of, export):
    texts = [f"text {i}" for i in range(40)]
    few, many = (export(scope_of(shards_of(texts, n))) for n in (40, 3))
    for name in ("tokenizer.json", "tokens-00000.bin", "tokens-00003.bin"):
        assert few[name] == many[name]


def test_the_text_file_holds_what_was_kept(scope_of, export):
    texts = ["eins", None, "drei", ""]
    files = export(scope_of(shards_of(texts, 2)), partitions=1)
    rows = pq.read_table(io.BytesIO(files["text-00000.parquet"])).to_pylist()
    assert [r["text"] for r in rows] == texts
    assert rows[2] == {
        "document": "crawl.jsonl:2",
        "url": "https://e.org/2",
        "shard": 1,
        "row": 0,
        "text": "drei",
    }
    without = export(scope_of(shards_of(texts, 2)), partitions=1, text_parquet=False)
    assert "text-00000.parquet" not in without
    assert manifest_of(without).shards[0].text_file is None


def test_the_manifest_describes_every_file(scope_of, export):
    files = export(scope_of(shards_of([f"text {i}" for i in range(40)])), sequence_length=8)
    manifest = manifest_of(files)
    assert list(files)[-1] == "manifest.json"  # written last: its presence commits the dataset
    assert {f.name for f in manifest.files} == set(files) - {"manifest.json", "README.md"}
    for record in manifest.files:
        assert record.bytes == len(files[record.name])
        assert record.blake3 == blake3(files[record.name]).hexdigest()
    for shard in manifest.shards:
        assert len(files[shard.tokens_file]) == 2 * shard.tokens
        assert shard.sequences == (shard.tokens - 1) // 8
    assert manifest.totals.tokens == sum(s.tokens for s in manifest.shards)
    assert (manifest.id, manifest.sources) == ("web-0123456789abcdef", 10)
    assert manifest.tokenizer.sample_documents == 40
    assert json.loads(files["manifest.json"])["funnel"]["kept"] == 5


def test_the_card_says_what_the_manifest_says(scope_of, export):
    files = export(scope_of(shards_of(["one text"] * 6)), licence="ODC-By 1.0")
    card = files["README.md"].decode()
    assert card.startswith('---\nlicense: other\nlicense_name: "ODC-By 1.0"\n---\n')
    assert "| **extraction** | 8 | 1 |  | 5 (62.5 %) |" in card
    assert "| `main_text_v1.words` |  |  | 2 (25.0 %) |  |" in card
    assert "8 documents: 5 kept, 2 dropped by a rule, 1 failed." in card
    assert "| after language | 48 % |" in card
    assert "- one | two" in card
    for record in manifest_of(files).files:
        assert record.blake3 in card


def test_a_sample_is_the_lowest_hashes_until_it_is_full(scope_of):
    texts = [f"{i:04d}" for i in range(50)]
    scope = scope_of(shards_of([*texts, None, ""]))
    documents = pa.chunked_array([[f"crawl.jsonl:{i}" for i in range(50)]])
    ranked = [texts[i] for i in np.argsort(order_keys(documents, 3, "tokenizer"))]
    assert sample_texts(scope, 3, 40) == ranked[:10]
    assert sample_texts(scope, 3, 37) == ranked[:10]  # the last one overshoots
    assert sample_texts(scope, 3, 36) == ranked[:9]
    assert sample_texts(scope, 3, 10**9) == ranked


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(257, "uint16"), (65_536, "uint16"), (65_537, "uint32")]
)
def test_the_token_type_is_the_narrowest_that_holds_the_vocabulary(vocab_size, dtype):
    assert dtype_of(vocab_size) == dtype


@pytest.mark.parametrize(("tokens", "expected"), [(0, 0), (1, 0), (8, 0), (9, 1), (16, 1), (17, 2)])
def test_a_sequence_has_its_last_target(tokens, expected):
    assert sequence_count(tokens, 8) == expected


@pytest.mark.parametrize(
    "params", [{"vocab_size": 256}, {"partitions": 0}, {"seed": -1}, {"sequence_length": 0}]
)
def test_parameters_out_of_range_are_refused(params):
    with pytest.raises(ValidationError):
        DatasetParams(**params)


def test_real_pages_come_back_from_their_tokens(data_path, scope_of, export):
    import gzip

    with gzip.open(data_path / "text/train_small_zh.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(150), strict=False)]
    files = export(scope_of(shards_of(texts, 50)), vocab_size=2000, tokenizer_sample_bytes=50_000)
    assert texts_by_document(files) == {f"crawl.jsonl:{i}": t for i, t in enumerate(texts)}


def test_the_registry_knows_the_sink():
    step = load_registry()["export.dataset_v1"]
    assert step.sink == "datasets"
    assert [p.name for p in step.phases] == ["tokenizer", "encode", "write", "manifest"]
