"""Candidate pairs against plain Python: what passes, what is refuted, what stars have hidden."""

import random
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.dedup.edges import edge_table
from services.dedup.pairs import Pairs, in_order
from services.dedup.sections import SectionWriter
from services.dedup.shingles import ShingleParams
from services.dedup.verification import (
    Verification,
    gather,
    gather_tasks,
    shingle_params,
    verify,
    verify_tasks,
)
from shared.errors import UsageError
from shared.index import ROW_BITS
from shared.recipe import BoundStep, ResolvedRecipe
from shared.step import GroupOutput, Params, Phase, Step
from shared.table_scope import TableScope

SHINGLES = ShingleParams(ngram=2, normalization="none")
#: Documents of a shard.
ROWS = 4


class VerifiedParams(Params):
    """As `near_duplicates_v1` has them."""

    verify: Verification | None


def place(number: int) -> int:
    return (number // ROWS) << ROW_BITS | number % ROWS


def step_over(edges: list[tuple[int, int]], count: int) -> Step:
    """A step whose candidates are given: half of them found by `sort`, half by `match`."""

    def given_edges(part: int):
        chosen = edges[part::2]
        left, right = (np.array([place(e[i]) for e in chosen], np.int64) for i in (0, 1))
        table = edge_table(left, right, np.ones(len(chosen), np.int32))
        return lambda _scope, _partition, _params: GroupOutput(table)

    def clusters(_scope, _partition, _params):
        label = {i: i for i in range(count)}
        for a, b in edges:
            old, new = max(label[a], label[b]), min(label[a], label[b])
            label = {i: new if at == old else at for i, at in label.items()}
        members = sorted({i for e in edges for i in e})
        columns = {
            "shard": pa.array([i // ROWS for i in members], pa.int32()),
            "row": pa.array([i % ROWS for i in members], pa.int64()),
            "label": pa.array([place(label[i]) for i in members], pa.int64()),
        }
        return GroupOutput(pa.table(columns))

    phases = (
        Phase("sort", given_edges(0)),
        Phase("match", given_edges(1)),
        Phase("cluster", clusters),
        Phase("gather", gather, gather_tasks),
        Phase("verify", verify, verify_tasks),
    )
    return Step("dedup.tested_v1", (), (), VerifiedParams, "", phases=phases)


def run(
    texts: list[str], edges: list[tuple[int, int]], *, memory: int = 2**26, **verification: Any
) -> tuple[dict[tuple[int, int], tuple[float, float | None]], dict[str, int]]:
    """The pairs that pass with their similarities, and the counts of all partitions."""
    tables = [
        pa.table(
            {
                "row": pa.array(range(len(texts[at : at + ROWS])), pa.int64()),
                "text": pa.array(texts[at : at + ROWS], pa.large_string()),
            }
        )
        for at in range(0, len(texts), ROWS)
    ]
    params = VerifiedParams(verify=Verification(**verification))
    step = step_over(edges, len(texts))
    scope = TableScope(tables, memory=memory)
    nothing: dict[str, int] = {}
    made = BoundStep(0, step, SHINGLES, (), nothing, (), "")
    here = BoundStep(1, step, params, (), {"bands": 0}, (), "")
    scope.recipe = ResolvedRecipe(scope.recipe.recipe, (made, here))
    scope.run(step, params)
    table = pa.concat_tables(scope.tables("verify"))
    ends = [table.column(n).to_pylist() for n in ("left", "right")]
    pairs = [
        tuple((p >> ROW_BITS) * ROWS + p % 2**ROW_BITS for p in e) for e in zip(*ends, strict=True)
    ]
    assert len(set(pairs)) == len(pairs)
    found = zip(table.column("jaccard").to_pylist(), table.column("edit").to_pylist(), strict=True)
    counts: dict[str, int] = {}
    for partition in range(scope.units("verify")):
        for name, count in scope.counts("verify", partition).items():
            counts[name] = counts.get(name, 0) + count
    return dict(zip(pairs, found, strict=True)), counts


def grams(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return set(pairwise(words))


def jaccard(a: str, b: str) -> float:
    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


def edit_similarity(a: str, b: str) -> float:
    x, y = a.split(), b.split()
    before = list(range(len(y) + 1))
    for i, word in enumerate(x, 1):
        row = [i]
        for k, other in enumerate(y, 1):
            row.append(min(before[k] + 1, row[-1] + 1, before[k - 1] + (word != other)))
        before = row
    return 1 - before[-1] / max(len(x), len(y))


def with_changes(words: list[str], changes: int, seed: int) -> str:
    """The words with the last few replaced by words of no other text."""
    return " ".join([*words[: len(words) - changes], *(f"n{seed}x{i}" for i in range(changes))])


WORDS = [f"w{i}" for i in range(46)]
TEXT = " ".join(WORDS)


@pytest.mark.parametrize(("changes", "passes"), [(5, True), (6, False)])
def test_planted_pairs_at_the_threshold(changes, passes):
    """45 shingles; five changed words leave 40 of 50 in common, 0.8, six leave 39 of 51."""
    found, counts = run([TEXT, with_changes(WORDS, changes, 1)], [(0, 1)])
    assert (found == {(0, 1): (pytest.approx(0.8), None)}) == passes
    assert counts == {
        "pairs": 1,
        "refuted_jaccard": int(not passes),
        "refuted_edit": 0,
        "recovered": 0,
    }


@pytest.mark.parametrize(("moved", "passes"), [(4, True), (5, False)])
def test_edit_similarity_sees_the_order(moved, passes):
    """Of 46 words, four moved from the front to the end are 8 edits, 0.826; five are 10, 0.783.

    Their shingles are nearly the same: but two.
    """
    other = " ".join(WORDS[moved:] + WORDS[:moved])
    found, counts = run([TEXT, other], [(0, 1)], edit=0.8)
    similar = pytest.approx(44 / 46), pytest.approx(1 - 2 * moved / 46)
    assert found == ({(0, 1): similar} if passes else {})
    assert (counts["refuted_jaccard"], counts["refuted_edit"]) == (0, int(not passes))
    assert run([TEXT, other], [(0, 1)])[0] == {(0, 1): (pytest.approx(44 / 46), None)}


def test_edit_similarity_alone():
    texts = [TEXT, with_changes(WORDS, 9, 1), with_changes(WORDS, 10, 2)]
    found, counts = run(texts, [(0, 1), (0, 2)], jaccard=None, edit=0.8)
    assert found == {(0, 1): (pytest.approx(jaccard(*texts[:2])), pytest.approx(37 / 46))}
    assert (counts["refuted_jaccard"], counts["refuted_edit"]) == (0, 1)


@st.composite
def batches(draw):
    """Some originals, each with versions that differ by up to half; random candidate pairs."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    texts = []
    for original in range(draw(st.integers(1, 4))):
        words = [f"o{original}w{i}" for i in range(chance.randrange(5, 60))]
        for version in range(draw(st.integers(1, 5))):
            changes = chance.randrange(len(words) // 2)
            texts.append(with_changes(words, changes, 100 * original + version))
    chance.shuffle(texts)
    pairs = list(combinations(range(len(texts)), 2))
    return texts, chance.sample(pairs, chance.randrange(len(pairs) + 1))


def components(pairs, count):
    label = list(range(count))
    for a, b in pairs:
        old, new = max(label[a], label[b]), min(label[a], label[b])
        label = [new if at == old else at for at in label]
    return label


@settings(deadline=None, max_examples=40)
@given(batch=batches(), least=st.sampled_from([0.5, 0.8, 0.95]), edit=st.sampled_from([None, 0.8]))
def test_equals_plain_python(batch, least, edit):
    """What passes does; and every similar pair of a component that a refuted document is in."""
    texts, edges = batch
    found, counts = run(texts, edges, jaccard=least, edit=edit, partitions=3)

    def passes(a, b):
        similar = jaccard(texts[a], texts[b]) >= least
        return similar and (edit is None or edit_similarity(texts[a], texts[b]) >= edit)

    verified = {e for e in edges if passes(*e)}
    component, linked = components(edges, len(texts)), components(verified, len(texts))
    refuted = {i for e in edges if e not in verified for i in e}
    hidden = {
        (a, b)
        for a, b in combinations(range(len(texts)), 2)
        if component[a] == component[b] and linked[a] != linked[b] and refuted & {a, b}
        if passes(a, b)
    }
    assert set(found) == verified | hidden
    for (a, b), (measured, also) in found.items():
        assert measured == pytest.approx(jaccard(texts[a], texts[b]))
        if edit is None:
            assert also is None
        else:
            assert also == pytest.approx(edit_similarity(texts[a], texts[b]))
    assert counts["pairs"] == len(edges)
    assert counts["refuted_jaccard"] + counts["refuted_edit"] == len(edges) - len(verified)
    assert counts["recovered"] == len(hidden)


@settings(deadline=None, max_examples=8)
@given(batch=batches(), partitions=st.integers(1, 9), memory=st.sampled_from([1000, 20_000]))
def test_partitions_and_memory_change_nothing(batch, partitions, memory):
    texts, edges = batch
    expected = run(texts, edges, partitions=1, edit=0.7)
    assert run(texts, edges, partitions=partitions, edit=0.7, memory=memory) == expected


def test_a_false_centre_of_a_hot_bucket_hides_nothing():
    """Forty pages share a band with one unlike them all; of these 24 are alike, 16 in pairs."""
    centre = with_changes(WORDS, 20, 0)
    alike = [with_changes(WORDS, 2, n) for n in range(1, 25)]
    pairs = []
    for n in range(8):
        words = WORDS[:20] + [f"p{n}w{i}" for i in range(26)]
        pairs += [" ".join(words), with_changes(words, 3, n)]
    texts = [centre, *alike, *pairs]
    found, counts = run(texts, [(0, i) for i in range(1, len(texts))])
    assert counts["refuted_jaccard"] == 40
    linked = components(found, len(texts))
    assert linked == [0, *[1] * 24, *(25 + 2 * (i // 2) for i in range(16))]


def test_where_nothing_is_verified_there_are_no_tasks():
    params = VerifiedParams(verify=None)
    assert gather_tasks(params, 100) == verify_tasks(params, 100) == 0
    params = VerifiedParams(verify=Verification(partitions=7))
    assert (gather_tasks(params, 100), verify_tasks(params, 100)) == (100, 7)
    with pytest.raises(ValidationError, match="jaccard, edit or both"):
        Verification(jaccard=None)


def test_bands_of_unknown_shingles_are_refused():
    with pytest.raises(UsageError, match="minhash_v1"):
        shingle_params(TableScope([]), VerifiedParams(verify=Verification()))


def test_a_document_of_all_pairs_does_not_fill_the_memory():
    """The first of a hot bucket: its pairs come a window at a time, each once."""
    count, memory = 50_000, 2**20
    star = Pairs(np.zeros(count, np.int64), np.arange(1, count + 1), np.ones(count, np.int32))
    with in_order([star] * 4, count + 1, memory) as ordered:
        windows = list(ordered)
    assert max(len(w.right) for w in windows) <= memory // 64
    assert np.concatenate([w.right for w in windows]).tolist() == list(range(1, count + 1))
    assert {*np.concatenate([w.shared for w in windows]).tolist()} == {4}
    assert not any(w.left.any() for w in windows)


def test_a_task_that_fails_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail():
        with SectionWriter(100):
            assert len(list(tmp_path.iterdir())) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(tmp_path.iterdir())
