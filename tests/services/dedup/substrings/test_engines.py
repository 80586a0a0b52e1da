"""Both engines against the definition: every window of every text, by hand in Python."""

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import UsageError
from shared.table_scope import TableScope, run_group_step

STEP = "dedup.substring_duplicates_v1"
Shards = list[list[str | None]]

pieces = st.sampled_from(["a", "b", "ab", "aaaa", "abcd", "é", "中文", "😀a", "xyzw"])
texts = st.none() | st.lists(pieces, max_size=12).map("".join)
batches = st.lists(st.lists(texts, max_size=4), min_size=1, max_size=4)


def tables(shards: Shards) -> list[pa.Table]:
    """Shards whose rows are every second of the spine."""
    return [
        pa.table({"row": pa.array(range(1, 2 * len(s), 2), pa.int64()), "text": pa.array(s, "str")})
        for s in shards
    ]


def spans(shards: Shards, params: dict[str, Any], **scope: Any) -> list[Any]:
    """What an engine finds: each text's spans."""
    joined = run_group_step(STEP, TableScope(tables(shards), **scope), {"unit": "bytes", **params})
    return [
        [(s["start"], s["end"]) for s in row or []]
        for t in joined
        for row in t["spans"].to_pylist()
    ]


def whole_characters(text: bytes, marked: set[int]) -> list[tuple[int, int]]:
    """Maximal runs of marked bytes, shrunk to whole characters."""
    runs: list[list[int]] = []
    for i in sorted(marked):
        if runs and runs[-1][1] == i:
            runs[-1][1] = i + 1
        else:
            runs.append([i, i + 1])
    for run in runs:
        while run[0] < run[1] and text[run[0]] & 0xC0 == 0x80:
            run[0] += 1
        while run[0] < run[1] < len(text) and text[run[1]] & 0xC0 == 0x80:
            run[1] -= 1
    return [(begin, end) for begin, end in runs if begin < end]


def expected(shards: Shards, length: int, keep: str) -> list[Any]:
    """The spans by definition."""
    documents = [(t or "").encode() for shard in shards for t in shard]
    places = defaultdict(list)
    for d, data in enumerate(documents):
        for i in range(len(data) - length + 1):
            places[data[i : i + length]].append((d, i))
    marked = defaultdict(set)
    for found in places.values():
        if len(found) > 1:
            for d, i in found if keep == "none" else found[1:]:
                marked[d].update(range(i, i + length))
    return [whole_characters(data, marked[d]) for d, data in enumerate(documents)]


@settings(deadline=None, max_examples=20)  # the first call compiles
@given(
    batches,
    st.integers(2, 9),
    st.sampled_from(["none", "first"]),
    st.integers(1, 4),
    st.sampled_from([1000, 3000, 2**22]),
)
@example([["abcabcabc" * 3]], 2, "first", 3, 1000)
@example([["aaaaaaaaaaaa"], ["aaaa", None, ""]], 4, "first", 2, 1000)
def test_engines_find_what_is_defined(shards, length, keep, partitions, memory):
    params = {"length": length, "keep": keep, "partitions": partitions}
    wanted = expected(shards, length, keep)
    assert spans(shards, params, memory=memory) == wanted
    assert spans(shards, {**params, "engine": "suffix_array"}) == wanted


@pytest.mark.parametrize("engine", ["fingerprints", "suffix_array"])
@pytest.mark.parametrize(
    ("keep", "wanted"),
    [("none", [[(0, 30)], [(0, 10)], [], []]), ("first", [[(1, 30)], [(0, 10)], [], []])],
)
def test_one_letter_and_short_texts(engine, keep, wanted):
    """Windows of a run overlap; of it the first stays. A text shorter than a window has none."""
    shards: Shards = [["a" * 30, "a" * 10], ["a" * 9, "b" * 10]]
    assert spans(shards, {"length": 10, "keep": keep, "engine": engine}) == wanted


@pytest.mark.parametrize("engine", ["fingerprints", "suffix_array"])
def test_matches_end_with_their_documents(engine):
    """What two texts have in common only where they meet is no window."""
    shards: Shards = [["xabcd", "efgh", "ijklm", "abcdefghijkl"]]
    assert spans(shards, {"length": 6, "engine": engine}) == [[], [], [], []]


@pytest.mark.parametrize("engine", ["fingerprints", "suffix_array"])
def test_groups_do_not_match_each_other(engine):
    """Archives of one crawl are compared; the same text in another crawl is no duplicate."""
    text = "the same forty bytes of text in each one"
    names = [f"CC-MAIN-20{y}-0{w}-{i}.jsonl" for i in range(2) for y, w in [(23, 1), (24, 2)]]
    shards: Shards = [[text], [text], [text + " again"], ["none of it"]]
    params = {"length": 20, "engine": engine, "keep": "none", "partitions": 2}
    assert spans(shards, params, names=sorted(names)) == [[(0, 40)]] * 3 + [[]]
    found = spans(shards, params | {"within": "crawl"}, names=sorted(names))
    assert found == [[(0, 40)], [(0, 40)], [], []]
    assert spans(shards, params | {"within": "part", "parts": 1}) == [[(0, 40)]] * 3 + [[]]


def test_suffix_array_says_what_it_needs():
    shards: Shards = [["x" * 1000], ["y" * 3000]]
    with pytest.raises(UsageError, match=r"24000 bytes of memory.*dedup_memory allows 5999"):
        spans(shards, {"engine": "suffix_array"}, memory=5999)
    with pytest.raises(UsageError, match="24000"):
        spans(shards, {"engine": "suffix_array"}, memory=23999)
    assert len(spans(shards, {"engine": "suffix_array"}, memory=24000)) == 2


def test_many_tasks_are_merged():
    """Of more than 32 shards runs are merged before they are matched."""
    shards: Shards = [[f"{i:05d} shared by all of them {i % 7:05d} {i % 5} end"] for i in range(70)]
    wanted = expected(shards, 12, "first")
    assert sum(map(bool, wanted)) == 69
    assert spans(shards, {"length": 12, "keep": "first", "partitions": 3}) == wanted


def test_order_of_tasks_does_not_matter():
    shards: Shards = [["to be or not to be", "or not"], ["not to be or to be"]]
    params = {"unit": "bytes", "length": 6, "partitions": 5}
    runs = [
        run_group_step(STEP, TableScope(tables(shards)), params, reverse=reverse)
        for reverse in (False, True)
    ]
    assert runs[0] == runs[1]
