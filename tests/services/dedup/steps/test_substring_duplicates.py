"""Columns, rules and modes of substring duplicates; both engines on real texts."""

import gzip
import json
import random
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from services.dedup.substrings.params import SubstringParams
from shared.columns import read_columns
from shared.rules import KeepRule
from shared.store import Store
from shared.table_scope import TableScope, run_group_step
from shared.testing import drive, make_batch
from shared.text.bpe import GPT2
from shared.text.edits import apply_edits

STEP = "dedup.substring_duplicates_v1"
#: RefinedWeb's variants (specs 1.8) as keep rules.
CUT = KeepRule("remaining", "remaining_characters >= 20 if spans_count > 0")
DROP_PARTIAL = KeepRule("partial", "duplicate_frac <= 0.20")
DROP_ANY = KeepRule("any", "spans_count == 0")


def run(texts: list[str | None], shards: int = 1, memory: int = 2**22, **params: Any) -> pa.Table:
    """The step's columns for texts that lie in some shards."""
    cut = [range(i * len(texts) // shards, (i + 1) * len(texts) // shards) for i in range(shards)]
    tables = [
        pa.table(
            {
                "row": pa.array(range(len(r)), pa.int64()),
                "text": pa.array([texts[i] for i in r], pa.string()),
            }
        )
        for r in cut
    ]
    return pa.concat_tables(run_group_step(STEP, TableScope(tables, memory=memory), params))


def kept(rule: KeepRule, table: pa.Table) -> list[bool]:
    return rule.holds({name: table[name] for name in table.column_names}).to_pylist()


def test_columns_by_hand():
    """Bytes are counted in windows; columns count characters."""
    shared = "数据清洗很重要"  # 7 characters, 21 bytes
    found = run([f"前{shared}后后", shared, None, "", "short"], unit="bytes", length=21)
    assert found.drop(["error"]).to_pylist() == [
        {
            "edits": [{"start": 3, "end": 24, "text": ""}],
            "spans": [{"start": 3, "end": 24}],
            "spans_count": 1,
            "duplicate_characters": 7,
            "remaining_characters": 3,
            "duplicate_frac": 0.7,
        },
        {
            "edits": [{"start": 0, "end": 21, "text": ""}],
            "spans": [{"start": 0, "end": 21}],
            "spans_count": 1,
            "duplicate_characters": 7,
            "remaining_characters": 0,
            "duplicate_frac": 1.0,
        },
        dict.fromkeys(found.column_names[:-1]),
        nothing(0),
        nothing(5),
    ]


def nothing(characters: int) -> dict[str, Any]:
    return {
        "edits": [],
        "spans": [],
        "spans_count": 0,
        "duplicate_characters": 0,
        "remaining_characters": characters,
        "duplicate_frac": 0.0,
    }


def test_spans_never_split_characters():
    """The bytes in common reach into a character on both sides: 文 and 斈 share two of three."""
    left, right = "文".encode(), "斈".encode()
    assert left[:2] == right[:2]
    found = run(
        ["xx abcdefgh文", "yy abcdefgh斈", "é12345678", "ĩ12345678"], unit="bytes", length=8
    )
    spans = [[(s["start"], s["end"]) for s in row] for row in found["spans"].to_pylist()]
    assert spans == [[(2, 11)], [(2, 11)], [(2, 10)], [(2, 10)]]
    texts = pa.chunked_array([["xx abcdefgh文", "yy abcdefgh斈", "é12345678", "ĩ12345678"]])
    cut = apply_edits(texts, found["edits"]).to_pylist()
    assert cut == ["xx文", "yy斈", "é", "ĩ"]


@pytest.mark.parametrize(("alone", "stays"), [(20, True), (19, False)])
def test_what_must_remain_after_a_cut(alone, stays):
    shared = "this sentence stands in two documents"
    found = run([shared + "x" * alone, shared, "a short one"], unit="bytes", length=37)
    assert kept(CUT, found) == [stays, False, True]


@pytest.mark.parametrize(("alone", "stays"), [(40, True), (39, False)])
def test_drop_partial_and_drop_any(alone, stays):
    """10 of 50 characters are a fifth, of 49 more than that."""
    own = "".join(chr(0x4E00 + i) for i in range(alone))
    texts: list[str | None] = ["0123456789" + own, "0123456789", "another"]
    found = run(texts, unit="bytes", length=10, mode="mark")
    assert kept(DROP_PARTIAL, found) == [stays, False, True]
    assert kept(DROP_ANY, found) == [False, False, True]
    first = run(texts, unit="bytes", length=10, mode="mark", keep="first")
    assert kept(DROP_ANY, first) == [True, False, True]


def test_mode_mark_leaves_the_text():
    texts: list[str | None] = ["twice the same words", "twice the same words", "other"]
    cut, mark = (run(texts, unit="bytes", length=12, mode=mode) for mode in ("cut", "mark"))
    assert mark["edits"].to_pylist() == [[], [], []]
    assert mark.drop(["edits"]).equals(cut.drop(["edits"]))


def test_the_unit_must_be_said():
    with pytest.raises(ValidationError, match="unit"):
        SubstringParams.model_validate({})
    with pytest.raises(ValidationError, match="bytes need no tokenizer"):
        SubstringParams.model_validate({"unit": "bytes", "tokenizer": GPT2})
    params = SubstringParams.model_validate({"unit": "tokens"})
    assert params.tokenizer is not None
    assert params.tokenizer.uri == GPT2
    assert params.length == 50


def planted(data_path: Any, language: str, count: int, seed: int = 3) -> list[str | None]:
    """Real texts; into half of them a passage of another is copied, cut at any character."""
    draw = random.Random(seed)
    with gzip.open(data_path / f"text/train_small_{language}.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(count), strict=False)]
    for i in range(0, count, 2):
        source = draw.choice(texts)
        begin = draw.randrange(len(source))
        passage = source[begin : begin + draw.choice([40, 150, 600])]
        at = draw.randrange(len(texts[i]))
        texts[i] = texts[i][:at] + passage + texts[i][at:]
    return texts


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("unit", "length"), [("bytes", 50), ("bytes", 100), ("tokens", 50)])
def test_engines_agree_on_real_texts(data_path, language, unit, length):
    texts = planted(data_path, language, 120)
    for keep in ("none", "first"):
        params = {"unit": unit, "length": length, "keep": keep}
        found = run(texts, 5, **params, partitions=3)
        assert found.equals(run(texts, 2, 2**26, **params, engine="suffix_array"))
        assert sum(found["spans_count"].to_pylist()) > 20


def test_tokens_against_the_definition(data_path):
    """Windows of token ids, counted by hand."""
    from services.dedup.substrings.units import units_of

    texts = planted(data_path, "zh", 60)
    length = 20
    params = SubstringParams.model_validate({"unit": "tokens", "length": length})
    units = units_of(pa.chunked_array([texts]), params)
    places: dict[bytes, list[tuple[int, int]]] = {}
    for d, (begin, end) in enumerate(zip(units.begins, units.ends, strict=True)):
        for i in range(end - begin - length + 1):
            window = units.values[begin + i : begin + i + length].tobytes()
            places.setdefault(window, []).append((d, i))
    marked: list[set[int]] = [set() for _ in texts]
    for found in places.values():
        for d, i in found if len(found) > 1 else []:
            for token in range(units.begins[d] + i, units.begins[d] + i + length):
                last = token + 1 == units.ends[d]
                stop = len(texts[d].encode()) if last else units.starts[token + 1]
                marked[d].update(range(units.starts[token], stop))
    got = run(texts, 3, unit="tokens", length=length)["spans"].to_pylist()
    for text, spans, wanted in zip(texts, got, marked, strict=True):
        data = text.encode()
        whole = set()
        for at in (i for i in range(len(data)) if data[i] & 0xC0 != 0x80):
            size = next(
                n for n in range(1, 5) if at + n == len(data) or data[at + n] & 0xC0 != 0x80
            )
            if wanted.issuperset(range(at, at + size)):
                whole.update(range(at, at + size))
        assert {i for s in spans for i in range(s["start"], s["end"])} == whole


def test_a_second_pass_finds_almost_nothing(data_path):
    """Lee et al.'s own test (specs 9.1): of 3.4 million duplicate positions 374 were left."""
    texts = planted(data_path, "en", 200)
    before = run(texts, 3, unit="bytes", length=100)
    after = apply_edits(pa.chunked_array([texts]), before["edits"])
    again = run(after.to_pylist(), 3, unit="bytes", length=100)
    first, second = (sum(t["duplicate_characters"].to_pylist()) for t in (before, again))
    assert first > 10_000
    assert second < first / 1000


def test_a_batch_on_a_store(tmp_path):
    """Both engines in shards of a few documents, in any order of tasks: the same text is left."""
    pages = [f"Page {n:03d}. {n % 7} is what a few of these pages say. {n}{n}" for n in range(60)]
    paths = []
    for part in range(2):
        path = tmp_path / f"pages-{part}.jsonl"
        lines = [{"text": t, "url": f"http://e.org/{t[:8]}"} for t in pages[part::2]]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        paths.append(path)
    left = []
    for seed, engine in enumerate(("fingerprints", "fingerprints", "suffix_array")):
        params = {"unit": "bytes", "length": 20, "keep": "first", "engine": engine}
        recipe = {
            "name": "spans",
            "source": "none",
            "steps": [
                {"extraction.records_v1": {}},
                {"extraction.main_text_v1": {"engine": "plain_text"}},
                {STEP: {**params, "partitions": 3}, "keep": {"some": "remaining_characters >= 12"}},
                {"dedup.text_hash_v1": {}},
            ],
        }
        batch = make_batch(paths, recipe, shard_bytes=1024)
        assert len(batch.shards) > 5
        store = Store(str(tmp_path / f"store{seed}"))
        pipeline, _ = drive(store, batch, seed=seed)
        found = [
            pa.concat_tables(
                read_columns(store, pipeline.column_folder(pipeline.recipe.steps[i]), shard.id)
                for shard in batch.shards
            )
            for i in (2, 3)
        ]
        assert set(found[0]["spans_count"].to_pylist()) == {0, 1}
        assert None in found[1]["text_hash"].to_pylist()
        left.append(found)
    assert left[0] == left[1] == left[2]
