"""A whole batch: duplicated spans stay in the text and are masked, also where edits moved them."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from shared.dataset import read_manifest
from shared.store import Store
from shared.testing import drive, html_page, make_batch, prose, warc_gz, warc_record

SHARED = "This paragraph stands on every page of the site, word for word, and is long enough. " * 2


def recipe(mode, *steps):
    return {
        "name": "masks",
        "steps": [
            "extraction.records_v1",
            {"extraction.main_text_v1": {"engine": "resiliparse"}},
            {"dedup.substring_duplicates_v1": {"unit": "bytes", "length": 60, "mode": mode}},
            *steps,
            {"export.masked_dataset_v1": {"vocab_size": 400, "partitions": 2}},
        ],
    }


def masked_texts(store, dataset):
    """For each document its text, and what of it is masked, as the dataset's files have it."""
    manifest = read_manifest(store, dataset)
    folder = f"datasets/{dataset}/"
    tokenizer = Tokenizer.from_str(store.get(folder + "tokenizer.json").decode())
    found = {}
    for shard in manifest.shards:
        tokens = np.frombuffer(store.get(folder + shard.tokens_file), "<u2")
        packed = np.frombuffer(store.get(folder + shard.mask_file), np.uint8)
        mask = np.unpackbits(packed, bitorder="little")[: len(tokens)].astype(bool)
        for entry in pq.read_table(io.BytesIO(store.get(folder + shard.index_file))).to_pylist():
            span = slice(entry["start"], entry["end"] - 1)
            masked = tokens[span][mask[span]].tolist()
            text = tokenizer.decode(tokens[span].tolist())
            found[entry["document"]] = text, tokenizer.decode(masked)
    return manifest, list(found.values())


@pytest.fixture
def run(tmp_path):
    """Runs a recipe over pages that share a paragraph and have URLs before and in it."""

    def make(recipe):
        pages = []
        for n in range(6):
            first, *rest = prose(n)
            body = [f"See https://a.test/{n} and {first}", SHARED.replace("site", f"{MARK}site")]
            page = html_page(f"Page {n}", [*body, *rest])
            pages.append(warc_record(f"http://a.test/{n}", page, n=n))
        (tmp_path / "a.warc.gz").write_bytes(warc_gz(pages))
        store = Store(str(tmp_path / "store"))
        batch = make_batch([tmp_path / "a.warc.gz"], recipe, shard_bytes=2048)
        assert len(batch.shards) > 1
        pipeline, _ = drive(store, batch)
        (dataset,) = pipeline.datasets
        folder = f"datasets/{dataset}/"
        files = {entry.key.removeprefix(folder) for entry in store.list(folder)}
        described = {f.name for f in read_manifest(store, dataset).files}
        assert files == described | {"README.md", "manifest.json"}  # and nothing of other phases
        return masked_texts(store, dataset)

    return make


MARK = "www.a.test/same "
#: Characters beside the paragraph that pages may have in common, or in a token with it.
EDGES = 30


def test_duplicated_spans_are_masked_and_stay(run):
    manifest, documents = run(recipe("mark"))
    assert manifest.totals.documents == len(documents) == 6
    assert manifest.totals.masked_tokens > 0
    whole = SHARED.replace("site", f"{MARK}site").strip()
    for text, masked in documents:
        assert masked in text
        assert whole in masked
        assert len(masked) < len(whole) + EDGES


def test_edits_behind_the_step_move_the_spans(run):
    _, documents = run(recipe("mark", "extraction.format_v1"))
    whole = SHARED.replace("site", " site").strip()
    for text, masked in documents:
        assert "http" not in text  # the spans' offsets have changed
        assert masked in text
        assert whole in masked
        assert len(masked) < len(whole) + EDGES


def test_spans_that_were_cut_leave_nothing_to_mask(run):
    manifest, documents = run(recipe("cut"))
    assert manifest.totals.masked_tokens == 0
    assert all("word for word" not in text for text, _ in documents)
