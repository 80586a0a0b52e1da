"""The row steps: hash of the text, key of the URL, bands; alone and in any cut of the rows."""

import re

import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.dedup.kernels.minhash import functions, signature
from services.dedup.shingles import ShingleParams, documents
from shared.compute import compute
from shared.step import load_registry

ROW_STEPS = ("dedup.text_hash_v1", "dedup.url_key_v1", "dedup.minhash_v1")
HOSTILE = [
    None,
    "",
    "\0",
    " \n\t",
    "\u0301" * 5000,
    "x" * 2**20,
    "a b " * 2**17,
    "\u202e\u05e9\u05dc\u05d5\u05dd " * 9,
    "👩‍👩‍👧" * 40,
    "http://",
    "道" * 100,
]
texts = st.lists(st.none() | st.text(max_size=80), max_size=8)


def run(name: str, values: list[str | None], kind: pa.DataType | None = None, **params) -> pa.Table:
    step = load_registry()[name]
    rows = pa.table({step.reads[0]: pa.array(values, kind or pa.large_string())})
    return compute(step, step.params.model_validate(params), rows)


def hashes(values: list[str | None], **params) -> list[bytes | None]:
    return run("dedup.text_hash_v1", values, **params).column("text_hash").to_pylist()


def test_text_hash_compares_bytes_unless_told():
    a, b, again, empty, null = hashes(["Same text.", "same  text", "Same text.", "", None])
    assert a == again == blake3(b"Same text.").digest(16)
    assert a != b
    assert empty is null is None


def test_text_hash_of_the_normal_form():
    a, b, c, nothing = hashes(
        ["Déjà vu, 12", "deja  VU 7!", "deja v", "!?"], normalization="simplify"
    )
    assert a == b == blake3(b"deja vu 0").digest(16)
    assert a != c
    assert nothing is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.example.com/a/", "example.com/a"),
        ("http://example.com/a", "example.com/a"),
        ("http://example.com/a//", "example.com/a"),
        ("http://www2.example.com/", "www2.example.com"),
        ("http://example.com/a/?utm_source=x&id=1", "example.com/a"),
        ("http://example.com/a?id=1&utm_source=x", "example.com/a?id=1&utm_source=x"),
        ("http://example.com/a?reference=1", "example.com/a"),
        ("http://example.com/a?feed=rss", "example.com/a"),
        ("HTTP://example.com", "HTTP://example.com"),
        ("https://web.archive.org/web/http://www.a.org/", "web.archive.org/web/a.org"),
        ("ftp://example.com/", "ftp://example.com"),
        ("https://", ""),
        (None, None),
    ],
)
def test_url_key(url, expected):
    got = run("dedup.url_key_v1", [url], pa.string()).to_pylist()[0]
    assert got["url_normalized"] == expected
    assert got["url_key"] == (blake3(expected.encode()).digest(16) if expected else None)


@given(st.text(st.sampled_from("htps:/w.?utm_refd\né"), max_size=60))
def test_url_equals_the_reference(url):
    """C4's expressions (c4_utils.normalize_url), by Python's engine."""
    expected = re.sub(r"https?:\/\/(www\.)?", "", url)
    expected = re.sub(r"\?(utm_|ref|feed).*", "", expected).rstrip("/")
    got = run("dedup.url_key_v1", [url], pa.string())
    assert got.column("url_normalized").to_pylist() == [expected]


def test_bands_have_the_declared_shape():
    table = run("dedup.minhash_v1", ["one two three four", "one two three four five", None])
    short, long, null = table.column("bands").to_pylist()
    assert short is null is None
    assert len(long) == len(set(long)) == 14
    table = run("dedup.minhash_v1", ["one two three four"], ngram=2, bands=3, rows=4)
    assert len(table.column("bands").to_pylist()[0]) == 3


def test_bands_follow_the_signature():
    """Equal rows of the signature, equal digest; so the step stores what `signature` explains."""
    page, other = "a b c d e f g h i j", "a b c d e f g h i k"
    f = functions("datasketch", 40, 9)
    shingles = {"ngram": 2, "normalization": "none"}
    cut = [
        documents(pa.chunked_array([[t]]), ShingleParams.model_validate(shingles))
        for t in (page, other)
    ]
    mine, its = (signature(d, f).reshape(20, 2) for d in cut)
    params = {**shingles, "bands": 20, "rows": 2, "seed": 9}
    bands, others = run("dedup.minhash_v1", [page, other], **params).column("bands").to_pylist()
    same = [x == y for x, y in zip(bands, others, strict=True)]
    assert same == (mine == its).all(axis=1).tolist()
    assert 0 < sum(same) < 20


@pytest.mark.parametrize("name", ROW_STEPS)
@settings(deadline=None)  # the first call compiles
@given(texts, texts)
def test_steps_are_row_wise(name, left, right):
    kind = pa.string() if name == "dedup.url_key_v1" else pa.large_string()
    both = run(name, left + right, kind)
    assert both.to_pylist() == [
        *run(name, left, kind).to_pylist(),
        *run(name, right, kind).to_pylist(),
    ]


@pytest.mark.parametrize("name", ROW_STEPS)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_slices_and_chunks_do_not_matter(name, kind):
    step = load_registry()[name]
    values = ["a b c d e f", None, "g h i j k l m", "", "n o p q r s"]
    whole = pa.table({step.reads[0]: pa.array(["x", *values], kind)}).slice(1)
    cut = pa.concat_tables([whole.slice(i, 1) for i in range(5)])
    expected = run(name, values, kind)
    for rows in (whole, cut):
        assert compute(step, step.params(), rows).equals(expected)
    assert compute(step, step.params(), whole.slice(0, 0)).num_rows == 0
    empty = pa.table({step.reads[0]: pa.chunked_array([], kind)})
    assert compute(step, step.params(), empty).num_rows == 0


@pytest.mark.parametrize("name", ROW_STEPS)
def test_hostile_texts_give_rows_without_errors(name):
    table = run(name, HOSTILE)
    assert table.num_rows == len(HOSTILE)
    assert table.column("error").null_count == len(HOSTILE)


@pytest.mark.parametrize(
    "params",
    [
        {"bands": 0},
        {"rows": -1},
        {"ngram": 0},
        {"seed": 2**32},
        {"unit": "lines"},
        {"tokenizer": "package:no.txt"},
        {"x": 1},
    ],
)
def test_bad_parameters_are_refused(params):
    with pytest.raises(ValidationError):
        load_registry()["dedup.minhash_v1"].params.model_validate(params)
