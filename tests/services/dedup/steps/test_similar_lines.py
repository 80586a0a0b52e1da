"""MAP-Neo's similar lines: thresholds by hand, and the released code's loop over all pairs."""

import random
import time
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.kernels.segments import most_pieces
from services.dedup.steps.similar_lines import SimilarLinesParams, similar_lines
from shared.text.edits import apply_edits


def measured(text, **params):
    """The step's columns for one text."""
    rows = pa.table({"text": pa.array([text], pa.large_string())})
    return similar_lines(rows, SimilarLinesParams(**params)).to_pylist()[0]


def cleaned(text, **params):
    column = pa.chunked_array([[text]], pa.large_string())
    table = similar_lines(pa.table({"text": column}), SimilarLinesParams(**params))
    return apply_edits(column, table.column("edits"))[0].as_py()


def segments_of(text):
    """Cut after `.!?` and the like, and before an opening bracket."""
    found, begin = [], 0
    for i, character in enumerate(text):
        if character in "[【" and begin < i:
            found.append(text[begin:i])
            begin = i
        elif character in ".!?。！？…\\]】":
            found.append(text[begin : i + 1])
            begin = i + 1
    return found + [text[begin:]] * (begin < len(text))


def within(a, b, most):
    """Whether the full table of edits ends at `most` or less."""
    before = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for k, y in enumerate(b, 1):
            row.append(min(before[k] + 1, row[-1] + 1, before[k - 1] + (x != y)))
        before = row
    return before[-1] <= most


def by_all_pairs(text, share=0.1, exact=15):
    """What stays, as the released code finds it (specs 13.6)."""
    segments = segments_of(text)
    gone = set()
    for i, a in enumerate(segments):
        if i in gone:
            continue
        for k, b in enumerate(segments[i + 1 :], i + 1):
            longer = max(len(a), len(b))
            if abs(len(a) - len(b)) / longer >= max(0.3, share):
                continue
            x, y = Counter(a), Counter(b)
            if (x & y).total() / (x | y).total() < 1 / 3:
                continue
            if within(a, b, 0 if min(len(a), len(b)) <= exact else share * longer):
                gone.add(k)
    return "".join(s for i, s in enumerate(segments) if i not in gone)


LETTERS = "abcdefghijklmnopqrstuvwxyz"
FIRST = LETTERS[:19] + "."  # 20 characters: two edits


@pytest.mark.parametrize(
    ("second", "goes"),
    [
        (FIRST, True),
        ("XX" + FIRST[2:], True),  # two of twenty
        ("XXX" + FIRST[3:], False),  # three
        (FIRST[2:], True),  # two less
        (FIRST[3:], False),  # three less: 17 of 20 characters
        ("XX" + FIRST, True),  # two of 22
        ("XXX" + FIRST, False),  # three of 23
        (FIRST[6:], False),  # lengths differ by 0.3
        (FIRST[5:], False),  # by less
        (FIRST[:19][::-1] + ".", False),  # the same characters
    ],
)
def test_two_edits_of_twenty(second, goes):
    text = FIRST + second
    found = measured(text)
    expected = [{"start": 20, "end": 20 + len(second), "text": ""}] if goes else []
    assert found["edits"] == expected
    assert (found["segments"], found["segments_removed"]) == (2, int(goes))
    assert found["characters_removed"] == (len(second) if goes else 0)
    assert cleaned(text) == by_all_pairs(text) == (FIRST if goes else text)


def test_three_edits_from_thirty_on():
    first = (LETTERS + LETTERS)[:29]
    for size, goes in ((28, False), (29, True)):
        second = "XXX" + first[3:size]
        text = f"{first[:size]}.{second}."
        assert measured(text)["segments_removed"] == goes
        assert cleaned(text) == by_all_pairs(text)


@pytest.mark.parametrize(("size", "goes"), [(15, False), (16, True)])
def test_up_to_fifteen_characters_have_to_be_equal(size, goes):
    """Of sixteen one may differ; the shorter decides."""
    first = LETTERS[: size - 1] + "."
    assert measured(first + "X" + first[1:])["segments_removed"] == goes
    assert measured(first + "X" + first)["segments_removed"] == goes
    assert measured("X" + first + first)["segments_removed"] == goes
    assert measured(first + first)["segments_removed"] == 1


def test_chinese():
    text = "在日军的重重封锁之下,《行路难》是最适合的诠释。好。8月份,战役结束。好。在日军的重重封锁之下,《行路难》是最合适的诠释。"
    assert cleaned(text) == "在日军的重重封锁之下,《行路难》是最适合的诠释。好。8月份,战役结束。"
    found = measured(text)
    assert (found["segments"], found["segments_removed"]) == (5, 2)
    last = len("在日军的重重封锁之下,《行路难》是最合适的诠释。")
    assert found["characters_removed"] == 2 + last
    assert len(found["edits"]) == 1  # neighbours go as one span


def test_brackets_cut_before_and_after():
    assert segments_of("a[b]c【d】.") == ["a", "[b]", "c", "【d】", "."]
    assert measured("a[b]c【d】.")["segments"] == 5
    assert cleaned("a[b]c[b]d\\d\\") == "a[b]cd\\"


def test_a_segment_that_goes_takes_none_with_it():
    """The third is like the second only, and the second goes for the first."""
    first = LETTERS[:20] + "."
    second = "XX" + first[2:]
    third = "XXYY" + first[4:]
    assert cleaned(first + second + third) == first + third == by_all_pairs(first + second + third)
    assert cleaned(second + third) == second


@st.composite
def documents(draw):
    """Segments of few letters and their versions, so that many are alike, or nearly."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    letters = LETTERS[: draw(st.sampled_from([2, 4, 26]))]
    kept: list[str] = []
    for _ in range(draw(st.integers(1, 25))):
        if kept and chance.random() < 0.7:
            letters_of = list(chance.choice(kept))
            for _ in range(chance.randrange(1 + len(letters_of) // 6)):
                at = chance.randrange(len(letters_of) + 1)
                letters_of[at : at + chance.randrange(2)] = chance.choices(
                    letters, k=chance.randrange(2)
                )
            kept.append("".join(letters_of))
        else:
            kept.append("".join(chance.choices(letters, k=chance.randrange(1, 60))))
    return "".join(s + chance.choice([".", "。", "!", "]", ""]) for s in kept)


@settings(deadline=None, max_examples=200)  # the first call compiles
@given(
    text=documents(),
    distance=st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.25]),
    exact=st.sampled_from([0, 4, 15]),
)
def test_equals_the_comparison_of_all_pairs(text, distance, exact):
    found = cleaned(text, distance=distance, exact_characters=exact)
    assert found == by_all_pairs(text, distance, exact)
    assert measured(text)["segments"] == len(segments_of(text))


@settings(deadline=None)
@given(text=st.text(alphabet="ab.[]【】。\\ é漢🙂", max_size=80))
def test_any_text(text):
    assert cleaned(text) == by_all_pairs(text)


@given(size=st.integers(1, 400), share=st.sampled_from([0.0, 0.05, 0.1, 0.25]))
def test_pieces_for_the_longest_that_may_be_like(size, share):
    longest = max(n for n in range(size, 2 * size + 2) if n - size <= int(share * n))
    assert most_pieces(size, share) == int(share * longest) + 1 <= size


def test_time_is_bounded_on_hostile_texts():
    """100,000 segments that share a piece and are not alike; or that are all alike, or equal."""
    chance = random.Random(3)
    count = 100_000
    share_a_piece = "".join(
        "abcdef" + "".join(chance.choices(LETTERS, k=14)) + "." for _ in range(count)
    )
    alike = "".join(LETTERS[:18] + chance.choice(LETTERS) + "." for _ in range(count))
    equal = (LETTERS + ".") * count
    measured("warm.")
    for text, steps in ((share_a_piece, 10**7), (alike, 10**8), (equal, 10**8)):
        started = time.process_time()
        found = measured(text, most_steps=steps)
        assert time.process_time() - started < 5
        assert found["segments"] == count
        assert (found["segments_unchecked"] > 0) == (text is share_a_piece)
    assert found["segments_removed"] == count - 1


def test_beyond_the_bound_equal_segments_still_go():
    text = FIRST + "XX" + FIRST[2:] + FIRST
    assert measured(text, most_steps=1) == {
        "edits": [{"start": 40, "end": 60, "text": ""}],
        "segments": 3,
        "segments_removed": 1,
        "characters_removed": 20,
        "segments_unchecked": 2,
    }


def test_nulls_and_nothing():
    table = similar_lines(
        pa.table({"text": pa.array([None, ""], pa.string())}), SimilarLinesParams()
    )
    null, empty = table.to_pylist()
    assert set(null.values()) == {None}
    assert empty["edits"] == []
    assert empty["segments"] == 0
