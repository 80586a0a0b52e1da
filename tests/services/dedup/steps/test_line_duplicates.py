"""Repeated lines: each published code by hand-made cases, and plain Python over the whole corpus."""

import gzip
import json
import re
from collections import defaultdict
from hashlib import md5, sha1

import numpy as np
import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.dedup.index.run import Entries
from services.dedup.kernels.compiled import texts_of
from services.dedup.kernels.line_keys import count_lines, fold_line, line_keys
from services.dedup.line_cuts import CutSorter
from services.dedup.lines import LineParams, copies, folding_of
from services.dedup.steps.line_duplicates import COLUMNS
from services.dedup.steps.url_key import url_key
from shared.columns import read_columns
from shared.index import StoredRun
from shared.rules import KeepRule
from shared.schema import arrow_schema
from shared.store import Store
from shared.table_scope import TableScope, run_group_step
from shared.testing import drive, make_batch
from shared.text.edits import apply_edits

STEP = "dedup.line_duplicates_v1"
CCNET = {"normalization": "ccnet", "keep": "none"}
C4 = {"normalization": "c4", "keep": "min_url_hash", "hash_bits": 128}
MAP_NEO = {"normalization": "none", "keep": "first", "hash_bits": 128}
MODES = pytest.mark.parametrize("mode", [CCNET, C4, MAP_NEO], ids=["ccnet", "c4", "map_neo"])


def shard(texts, urls=None):
    """A shard; its rows are every second of the spine's."""
    urls = urls or [f"http://example.org/{i}" for i in range(len(texts))]
    return pa.table(
        {
            "row": pa.array(range(0, 2 * len(texts), 2), pa.int64()),
            "text": pa.array(texts, pa.large_string()),
            "url": pa.array(urls, pa.string()),
        }
    )


def run(shards, params, *, reverse=False, **scope):
    """The joined tables, and the texts that are left, of all shards in a row."""
    joined = run_group_step(STEP, TableScope(shards, **scope), params, reverse=reverse)
    left = [
        text
        for rows, table in zip(shards, joined, strict=True)
        for text in apply_edits(rows["text"], table["edits"]).to_pylist()
    ]
    return pa.concat_tables(joined), left


def texts_left(texts, params, urls=None):
    """What is left of the texts of one shard."""
    return run([shard(texts, urls)], params)[1]


# --- the three codes over str, as their papers' repositories do it (facebookresearch/cc_net,
# --- tensorflow/datasets text/c4_utils.py, multimodal-art-projection/MAP-NEO), in our own words ---

#: The 34 keys of cc_net's UNICODE_PUNCT; the full-width one among them is a digit before.
PUNCTUATION = [
    *(0xFF0C, 0x3002, 0x3001, 0x201E, 0x201D, 0x201C, 0xAB, 0xBB, 0xFF11, 0x300D, 0x300C, 0x300A),
    *(0x300B, 0xB4, 0x2236, 0xFF1A, 0xFF1F, 0xFF01, 0xFF08, 0xFF09, 0xFF1B, 0x2013, 0x2014),
    *(0xFF0E, 0xFF5E, 0x2019, 0x2026, 0x2501, 0x3008, 0x3009, 0x3010, 0x3011, 0xFF05, 0x25BA),
]
DELETED = dict.fromkeys([*PUNCTUATION, *range(32), *range(127, 160)])


def ccnet_form(line):
    return re.sub(r"\d", "0", line.strip().lower()).translate(DELETED)


FORMS = {
    "ccnet": ccnet_form,
    "c4": lambda line: line.strip().lower(),
    "strip": str.strip,
    "none": str,
}


def lines_of(text):
    """cc_net takes no line of an empty text."""
    return text.split("\n") if text else []


def left_by_reference(texts, urls, params):
    """Every text without the lines that go, over dicts of the whole corpus."""
    form = FORMS[params["normalization"]]
    owners = defaultdict(list)
    for i, text in enumerate(texts):
        for line in dict.fromkeys(form(line) for line in lines_of(text)):
            owners[line].append(i)
    normalised = url_key(pa.table({"url": pa.array(urls, pa.string())}), None)["url_normalized"]
    ranks = [md5((u or "").encode()).hexdigest() for u in normalised.to_pylist()]
    choose = {
        "none": lambda ids: ids[0] if len(ids) == 1 else None,
        "first": min,
        "min_url_hash": lambda ids: min(ids, key=lambda i: (ranks[i], i)),
    }[params["keep"]]
    keeper = {line: choose(ids) for line, ids in owners.items()}
    left = []
    for i, text in enumerate(texts):
        seen, lines = set(), []
        for line in lines_of(text):
            key = form(line)
            if (params.get("blank") == "keep" and not key) or (
                keeper[key] == i and key not in seen
            ):
                lines.append(line)
            seen.add(key)
        left.append("\n".join(lines) if text is not None else None)
    return left


LINES = ["a", "A", " a ", "a.", "“a”", "b 1", "b 2", "b ２", "", " ", "\x0b", "Σίσυφος ΟΔΟΣ", "é", "字", "字。", "x\r"]  # fmt: skip
some_texts = st.lists(st.sampled_from(LINES), min_size=1, max_size=8).map("\n".join)
corpora = st.lists(
    st.lists(st.none() | some_texts.filter(bool), max_size=5), min_size=1, max_size=5
)


@settings(deadline=None, max_examples=70)
@given(
    corpora,
    st.sampled_from([CCNET, C4, MAP_NEO, {**MAP_NEO, "normalization": "strip", "hash_bits": 64}]),
    st.sampled_from(["compare", "keep"]),
    st.integers(1, 5),
    st.sampled_from([2**9, 2**12, 2**26]),
    st.booleans(),
)
def test_equals_plain_python_however_it_is_cut(batch, mode, blank, partitions, memory, reverse):
    texts = [text for part in batch for text in part]
    urls = [f"http://www.example.org/{i % 7}/" for i in range(len(texts))]
    shards, at = [], 0
    for part in batch:
        shards.append(shard(part, urls[at : at + len(part)]))
        at += len(part)
    params = {**mode, "blank": blank, "partitions": partitions}
    joined, left = run(shards, params, memory=memory, reverse=reverse)
    assert left == left_by_reference(texts, urls, params)
    for row, before, after in zip(joined.to_pylist(), texts, left, strict=True):
        if before is None:
            assert row == dict.fromkeys(joined.column_names)
            continue
        edited = [before.encode()[e["start"] : e["end"]].decode() for e in row["edits"]]
        assert row["lines"] + row["lines_removed"] == before.count("\n") + 1
        assert row["lines"] == (after.count("\n") + 1 if row["lines"] else 0)
        assert (row["characters"], row["characters_removed"]) == (len(after), len("".join(edited)))


@MODES
def test_equals_plain_python_on_real_texts(data_path, mode):
    with gzip.open(data_path / "text" / "train_small_en.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(600), strict=False)]
    texts += texts[::7]
    urls = [f"https://example.org/{i}" for i in range(len(texts))]
    shards = [shard(texts[i : i + 97], urls[i : i + 97]) for i in range(0, len(texts), 97)]
    _, left = run(shards, {**mode, "partitions": 3}, memory=2**18)
    assert left == left_by_reference(texts, urls, mode)
    assert sum(a != b for a, b in zip(texts, left, strict=True)) > 80


def test_more_sort_tasks_than_matching_opens():
    texts = [f"line {i}\nshared\nline {i // 2}" for i in range(40)]
    shards = [shard([text], [f"http://example.org/{i}"]) for i, text in enumerate(texts)]
    for mode in (CCNET, C4, MAP_NEO):
        scope = TableScope(shards, memory=2**14)
        run_group_step(STEP, scope, mode)
        assert (scope.units("sort"), scope.units("merge")) == (40, 2)
        urls = [f"http://example.org/{i}" for i in range(40)]
        assert run(shards, mode)[1] == left_by_reference(texts, urls, mode)


# --- keys ---


@settings(deadline=None, max_examples=400)
@given(
    st.text(max_size=40) | st.text("aΑΣσς.' \u0301\u00adɂİß1١1２“。\x00\x1c\x85\u2028", max_size=12)
)
@example("ΑΣ'")
@example("Σ")
@example("Α\u00adΣ\u0301")
@example("ǅΣ")
def test_forms_are_those_of_the_codes(line):
    line = line.replace("\n", " ")
    for name, form in FORMS.items():
        texts = texts_of(pa.chunked_array([[line, f"{line}\n{line}"]], pa.large_string()))
        bounds = count_lines(texts)
        keys, checks, blank = line_keys(texts, bounds, folding_of(name))
        expected = form(line)
        digest = sha1(expected.encode()).digest()
        count = 1 if line else 0
        assert keys.tolist() == [int.from_bytes(digest[:8], "little")] * (count + 2)
        assert checks.tolist() == [int.from_bytes(digest[8:16], "big")] * (count + 2)
        assert blank.tolist() == [expected == ""] * (count + 2)


def test_every_code_point_is_folded_as_python_does():
    out = np.empty(64, np.uint8)
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for name in ("c4", "ccnet"):
        folding = folding_of(name)
        for character in (
            every[:0x3000] + every[0xA000:0xAC00] + every[0xF000:0x11000] + every[0x1D400:0x1F000]
        ):
            data = np.frombuffer(("a" + character + "b").encode(), np.uint8)
            size = fold_line(data, 0, len(data), folding, out)
            assert out[:size].tobytes().decode() == FORMS[name]("a" + character + "b"), character


def test_lines_of_a_key_are_told_apart_by_the_check():
    """Two lines with one key: with 64 bits they are the same, with the check they are not."""
    keys = np.array([7, 7, 7, 7, 9], np.uint64)
    places = np.arange(5)
    short = copies(Entries(keys, places, {}))
    assert (short.heads.tolist(), short.rest.tolist()) == ([0], [1, 2, 3])
    check = np.array([1, 2, 1, 3, 1], np.uint64)
    told = copies(Entries(keys, places, {"check": check}))
    assert (told.heads.tolist(), told.rest.tolist()) == ([0], [2])
    ranked = copies(
        Entries(keys, places, {"check": check, "rank": np.array([5, 0, 4, 0, 0], np.uint64)})
    )
    assert (ranked.heads.tolist(), ranked.rest.tolist()) == ([2], [0])


# --- each code, by hand ---


def test_ccnet_every_copy_goes():
    """Case, digits, marks of the table and outer space do not matter; accents and inner space do."""
    first = "Home\nPage 1 of 9\nCafé “au lait”\nonly here\nmy  dog"
    second = "HOME \nPage 2 of 3\nCafe au lait\ncafé au lait\nmy dog"
    assert texts_left([first, second], CCNET) == ["only here\nmy  dog", "Cafe au lait\nmy dog"]
    # ASCII's own punctuation stays in the form.
    assert texts_left(["don't", "dont"], CCNET) == ["don't", "dont"]


def test_ccnet_repeats_of_one_document_keep_the_first():
    """Its set of hashes counts documents, `finalize_doc` then drops what it has seen."""
    assert texts_left(["x 1\ny\nx 2", "z"], CCNET) == ["x 1\ny", "z"]
    assert texts_left(["x 1\ny\nx 2", "X 3"], CCNET) == ["y", ""]


def test_blank_lines_are_lines_unless_they_are_kept():
    texts = ["a\n\nb\n\nc", "d\n \n…\ne"]
    assert texts_left(texts, CCNET) == ["a\nb\nc", "d\ne"]
    assert texts_left(texts, {**CCNET, "blank": "keep"}) == texts
    assert texts_left(texts, MAP_NEO) == ["a\n\nb\nc", "d\n \n…\ne"]
    assert texts_left(["a\n\nb\n\nc", "d\n\ne"], MAP_NEO) == ["a\n\nb\nc", "d\ne"]


def test_map_neo_the_first_copy_stays():
    """Byte for byte: case and white space tell paragraphs apart."""
    texts = ["One.\nTwo.\nOne.", "Two.\ntwo.\nTwo. ", "Two."]
    assert texts_left(texts, MAP_NEO) == ["One.\nTwo.", "two.\nTwo. ", ""]


def test_c4_the_url_with_the_least_md5_keeps_the_line():
    """Of the normalised URL, so that scheme, www. and tracking do not count."""
    urls = [f"https://www.example.org/{i}/?utm_source=x" for i in range(6)]
    ranks = [md5(f"example.org/{i}".encode()).hexdigest() for i in range(6)]
    urls = [u.replace("/?", "?") for u in urls]
    best = ranks.index(min(ranks))
    assert best > 0  # or it would be the first anyhow
    left = texts_left([f"Shared line.\nOwn {i}.\nSHARED LINE. " for i in range(6)], C4, urls)
    assert left == [("Shared line.\n" if i == best else "") + f"Own {i}." for i in range(6)]


@pytest.mark.parametrize(
    ("text", "other", "left"),
    [
        ("x\nb\nc", "x", "b\nc"),
        ("b\nx\nc", "x", "b\nc"),
        ("b\nc\nx", "x", "b\nc"),
        ("b\nx\nx\nc\nx", "x", "b\nc"),
        ("x\nx", "x", ""),
        ("x\n", "x", ""),
        ("\nx", "x", ""),
        ("x\ny\nb\nx\ny", "y\nx", "b"),
        ("字\nb\n字", "字", "b"),
    ],
)
def test_what_stays_is_joined_by_line_feeds(text, other, left):
    assert texts_left([text, other, "\n"], CCNET)[0] == left


@pytest.mark.parametrize(("size", "kept"), [(19, False), (20, True)])
def test_the_recipe_drops_short_rests(size, kept):
    own = "ü" * size
    joined, left = run([shard(["seen before", f"seen before\n{own}"])], MAP_NEO)
    assert left[1] == own
    columns = {name: joined[name] for name in joined.column_names}
    assert KeepRule("long", "characters >= 20").holds(columns).to_pylist()[1] is kept


@pytest.mark.parametrize(("text", "kept"), [("seen\nown", True), ("seen\nSEEN", False)])
def test_the_recipe_drops_what_ends_empty(text, kept):
    joined, _ = run([shard(["Seen", text])], CCNET)
    columns = {name: joined[name] for name in joined.column_names}
    assert KeepRule("left", "characters > 0").holds(columns).to_pylist()[1] is kept


def test_lines_are_compared_within_a_crawl():
    names = ["CC-MAIN-2019-18-a.warc.gz", "CC-MAIN-2019-18-b.warc.gz", "CC-MAIN-2019-22-a.warc.gz"]
    shards = [shard(["x\na"]), shard(["x\nb"]), shard(["x\nc"])]
    assert run(shards, {**CCNET, "within": "crawl"}, names=names)[1] == ["a", "b", "x\nc"]
    assert run(shards, CCNET, names=names)[1] == ["a", "b", "c"]
    apart = run(shards, {**CCNET, "within": "part", "parts": 65536}, names=names)[1]
    assert apart == ["x\na", "x\nb", "x\nc"]


# --- an index ---


class Earlier:
    """The index as a batch sees it after another one: that one's runs."""

    def __init__(self, scope=None):
        self.base = len(scope.shards) if scope else 0
        names = [(p, n) for p in range(self.base) for n in scope.files("sort", p)] if scope else []
        self._runs = [StoredRun(scope.opened("sort", n, p), 0) for p, n in names]

    def runs(self):
        return self._runs


def in_turn(first, second, params):
    """The texts left of two batches, one after the other."""
    params = {**params, "index": "lines"}
    scope = TableScope(first, indexes={"lines": Earlier()})
    joined = run_group_step(STEP, scope, params)
    left = [
        text
        for rows, table in zip(first, joined, strict=True)
        for text in apply_edits(rows["text"], table["edits"]).to_pylist()
    ]
    return left + run(second, params, indexes={"lines": Earlier(scope)})[1]


@settings(deadline=None, max_examples=25)
@given(corpora, corpora)
def test_two_batches_in_turn_keep_what_both_keep_at_once(first, second):
    first, second = [shard(part) for part in first], [shard(part) for part in second]
    assert in_turn(first, second, MAP_NEO) == run(first + second, MAP_NEO)[1]


def test_an_earlier_batch_keeps_what_comes_back():
    """Every copy of this batch goes, of the earlier one none is taken back."""
    left = in_turn(
        [shard(["a\nb\nb"]), shard(["c\nd", "c"])], [shard(["B\nc\ne"]), shard(["f\nF"])], CCNET
    )
    assert left == ["a\nb", "d", "", "e", "f"]


# --- memory, parameters, schema, a store ---


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2**33), st.integers(0, 3)), max_size=20), max_size=9
    ),
    st.integers(0, 2000),
)
def test_cuts_are_sorted_whatever_the_memory(parts, memory):
    sorter = CutSorter(memory)
    for part in parts:
        places, lines = np.array(part, np.int64).reshape(-1, 2).T
        sorter.add(places, lines.astype(np.int32))
    found = [tuple(row.values()) for batch in sorter.batches() for row in batch.to_pylist()]
    cuts = sorted(cut for part in parts for cut in part)
    assert found == [(place >> 32, place % 2**32, line) for place, line in cuts]


@pytest.mark.parametrize(
    "bad", [{"index": "a", "keep": "min_url_hash"}, {"hash_bits": 32}, {"keep": "last"}]
)
def test_parameters_without_meaning_are_refused(bad):
    with pytest.raises(ValidationError):
        LineParams(**bad)


def test_no_rows_and_nulls():
    for shards in ([shard([])], [shard([None]), shard([])], [shard([""]), shard(["", "a"])]):
        joined, left = run(shards, CCNET)
        assert joined.schema.equals(arrow_schema(COLUMNS), check_metadata=False)
        assert left == [text for rows in shards for text in rows["text"].to_pylist()]


def test_later_steps_read_what_is_left(tmp_path):
    """On a store, in shards of a few documents, in any order of tasks."""
    pages = [
        {"text": f"Menu\nThe page number {n % 5} is here.\n字{n}", "url": f"http://e.org/{n}"}
        for n in range(40)
    ]
    paths = []
    for part in range(2):
        path = tmp_path / f"pages-{part}.jsonl"
        path.write_text("".join(json.dumps(page) + "\n" for page in pages[part::2]))
        paths.append(path)
    recipe = {
        "name": "lines",
        "source": "none",
        "steps": [
            {"extraction.records_v1": {}},
            {"extraction.main_text_v1": {"engine": "plain_text"}},
            {STEP: {**MAP_NEO, "partitions": 3}, "keep": {"left": "characters > 2"}},
            {"dedup.text_hash_v1": {}},
        ],
    }
    batch = make_batch(paths, recipe, shard_bytes=1024)
    assert len(batch.shards) > 2
    texts = [page["text"] for part in range(2) for page in pages[part::2]]
    left = left_by_reference(texts, [""] * len(texts), MAP_NEO)
    expected = [blake3(text.encode()).digest(16) if len(text) > 2 else None for text in left]
    hashes = []
    for seed in (1, 2):
        store = Store(str(tmp_path / f"store{seed}"))
        pipeline, funnel = drive(store, batch, seed=seed)
        folder = pipeline.column_folder(pipeline.recipe.steps[3])
        parts = [read_columns(store, folder, shard.id) for shard in batch.shards]
        hashes.append(pa.concat_tables(parts)["text_hash"].to_pylist())
    assert hashes == [expected, expected]
    assert None in expected
    stages = {s["stage"]: s.get("counts") for s in funnel.to_dict(pipeline)["stages"]}
    sort, match = (stages[f"{STEP}.{phase}"] for phase in ("sort", "match"))
    assert (sort["lines"], sort["repeated_in_document"]) == (120, 0)
    assert sort["removed"] + match["removed"] == 39 + 35
