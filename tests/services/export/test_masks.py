"""From spans of a text to masked tokens, and the mask in the dataset."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.export.bpe import load_encoder, train_tokenizer
from services.export.masks import masked_tokens, pack_mask
from shared.dataset import DatasetManifest
from shared.schema import SPANS_TYPE
from shared.step import load_registry
from shared.table_scope import TableScope

EOS = "<|endoftext|>"
WORDS = "the cat sat on the mat, 空格键 and café 👩‍👩‍👧 "
ENCODER = load_encoder(train_tokenizer([WORDS * 3], 300, EOS), EOS)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((3, 7), [1]),  # exactly a token
        ((0, 3), [0]),
        ((6, 7), [1]),  # its last byte
        ((7, 8), [2]),  # its first
        ((2, 4), [0, 1]),  # the end of one, the start of the next
        ((5, 6), [1]),  # within it
        ((4, 4), []),  # nothing
        ((0, 12), [0, 1, 2]),
    ],
)
def test_a_token_is_masked_where_it_holds_a_byte_of_a_span(span, expected):
    spans = [dict(zip(("start", "end"), span, strict=True))]
    whole = masked_tokens("the cat sat.", [(0, 3), (3, 7), (7, 12)], spans)
    assert np.flatnonzero(whole).tolist() == expected
    # GPT-2's offsets leave out the space that a token begins with.
    trimmed = masked_tokens("the cat sat.", [(0, 3), (4, 7), (8, 12)], spans)
    assert trimmed.tolist() == whole.tolist()


def test_several_spans_and_none():
    offsets = [(0, 3), (3, 7), (7, 12)]
    spans = [{"start": 0, "end": 1}, {"start": 8, "end": 9}]
    assert masked_tokens("the cat sat.", offsets, spans).tolist() == [True, False, True]
    assert masked_tokens("the cat sat.", offsets, []).tolist() == [False] * 3
    assert masked_tokens("", [], []).tolist() == []


def test_characters_of_several_bytes_are_masked_whole():
    text = "a空格b"  # bytes 0, 1-3, 4-6, 7
    offsets = [(0, 1), (1, 2), (1, 2), (2, 3), (3, 4)]  # 空 in two tokens

    def mask(start, end):
        return masked_tokens(text, offsets, [{"start": start, "end": end}]).tolist()

    assert mask(1, 4) == [False, True, True, False, False]
    assert mask(3, 4) == [False, True, True, False, False]  # its last byte
    assert mask(3, 5) == [False, True, True, True, False]
    assert mask(4, 7) == [False, False, False, True, False]
    assert mask(7, 8) == [False, False, False, False, True]


@given(text=st.text(max_size=40), data=st.data())
def test_masked_tokens_hold_the_spans_and_others_hold_nothing_of_them(text, data):
    edges = [len(text[:i].encode()) for i in range(len(text) + 1)]
    chosen = sorted(data.draw(st.lists(st.sampled_from(edges), max_size=6)))
    spans = [{"start": s, "end": e} for s, e in zip(chosen[::2], chosen[1::2], strict=False)]
    ((ids,), (mask,)) = ENCODER.encode_masked([text], [spans], "uint16")
    assert ids.tolist() == ENCODER.encode([text], "uint16")[0].tolist()
    # Byte by byte: this tokenizer's vocabulary has one character a byte (byte-level BPE).
    sizes = [len(ENCODER._tokenizer.id_to_token(i)) for i in ids.tolist()]
    inside = np.zeros(edges[-1], bool)
    for span in spans:
        inside[span["start"] : span["end"]] = True
    ends = np.cumsum(sizes, dtype=int)
    for end, size, masked in zip(ends, sizes, mask.tolist(), strict=True):
        first = max(e for e in edges if e <= end - size)  # of the character that it begins in
        assert masked == inside[first:end].any()


def test_bits_are_packed_from_the_lowest():
    mask = np.zeros(11, np.bool_)
    mask[[0, 3, 9]] = True
    assert pack_mask(mask) == bytes([0b1001, 0b10])
    assert pack_mask(np.empty(0, np.bool_)) == b""


@pytest.fixture
def masked_export():
    """Runs `export.masked_dataset_v1` over shards of (text, spans)."""

    def run(shards, **params):
        number = iter(range(1000))
        tables = []
        for rows in shards:
            ids = [next(number) for _ in rows]
            spans = [s and [{"start": a, "end": b} for a, b in s] for _, s in rows]
            tables.append(
                pa.table(
                    {
                        "row": pa.array(range(len(rows)), pa.int64()),
                        "document": [f"a:{i}" for i in ids],
                        "url": [f"https://e.org/{i}" for i in ids],
                        "text": pa.array([t for t, _ in rows], pa.large_string()),
                        "spans": pa.array(spans, SPANS_TYPE),
                    }
                )
            )
        scope = TableScope(tables)
        scope.funnel = {"documents": 0, "kept": 0, "dropped": 0, "failed": 0, "stages": []}
        step = load_registry()["export.masked_dataset_v1"]
        scope.run(step, step.params.model_validate(params))
        return scope.written(step)

    return run


SHARDS = [
    [("the cat sat on the mat", [(4, 11)]), (None, None), ("空格键 and café", None)],
    [("", []), ("the mat", [(0, 7)]), ("café sat 空格", [(0, 5), (10, 16)]), ("空", [(0, 3)])],
    [],
]


@pytest.mark.parametrize("partitions", [1, 3])
def test_the_mask_of_a_dataset_is_beside_its_tokens(masked_export, partitions):
    files = masked_export(SHARDS, vocab_size=300, partitions=partitions)
    manifest = DatasetManifest.model_validate_json(files["manifest.json"])
    encoder = load_encoder(files["tokenizer.json"], EOS)
    expected = {}
    rows = [row for shard in SHARDS for row in shard]
    for i, (text, spans) in enumerate(rows):
        found = [{"start": s, "end": e} for s, e in spans or []]
        (_, (mask,)) = encoder.encode_masked([text or ""], [found], "uint16")
        expected[f"a:{i}"] = [*mask.tolist(), False] if text else []  # an EOS is learned
    total = 0
    for shard in manifest.shards:
        packed = np.frombuffer(files[shard.mask_file], np.uint8)
        assert len(packed) == -(-shard.tokens // 8)
        bits = np.unpackbits(packed, bitorder="little")[: shard.tokens].astype(bool)
        assert shard.masked_tokens == bits.sum()
        total += shard.masked_tokens
        for entry in pa.parquet.read_table(pa.BufferReader(files[shard.index_file])).to_pylist():
            assert bits[entry["start"] : entry["end"]].tolist() == expected[entry["document"]]
    assert manifest.totals.masked_tokens == total == sum(map(sum, expected.values())) > 0
    masks = {s.mask_file for s in manifest.shards}
    assert masks == {f"mask-{i:05d}.bin" for i in range(partitions)}
    assert masks <= {f.name for f in manifest.files}
    share = f"{100 * total / manifest.totals.tokens:.2f} %"
    assert f"| masked tokens | {total:,} ({share})" in files["README.md"].decode()


def test_without_spans_tokens_are_as_without_a_mask(masked_export, scope_of, export):
    texts = [f"text {i}" for i in range(12)]
    masked = masked_export([[(t, None) for t in texts]], vocab_size=300)
    rows = [(f"a:{i}", f"https://e.org/{i}", t) for i, t in enumerate(texts)]
    plain = export(scope_of([rows]), vocab_size=300)
    for name in plain.keys() - {"manifest.json", "README.md", "text-00000.parquet"}:
        if name.startswith(("tokens", "tokenizer")):
            assert masked[name] == plain[name]
    assert b"mask" not in plain["manifest.json"]
    assert b"mask" not in plain["README.md"]
    manifest = DatasetManifest.model_validate_json(masked["manifest.json"])
    assert manifest.totals.masked_tokens == 0
    assert all(s.mask_file for s in manifest.shards)


def test_the_masked_step_reads_spans():
    steps = load_registry()
    plain, masked = steps["export.dataset_v1"], steps["export.masked_dataset_v1"]
    assert masked.reads == (*plain.reads, "spans")
    assert masked.params is plain.params
    assert masked.sink == "datasets"
