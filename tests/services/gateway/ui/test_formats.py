"""Numbers, sizes and times as pages write them; edits in their place in a text."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.ui import formats
from services.gateway.ui.marked import Piece, mark, shortened
from shared.schema import EDITS_TYPE
from shared.text.edits import apply_edits


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (formats.number(1234567), "1,234,567"),
        (formats.number(0.184257), "0.1843"),
        (formats.number(12345.6), "12,346"),
        (formats.number(True), "True"),
        (formats.number(float("nan")), "nan"),
        (formats.number("<b>"), "<b>"),
        (formats.number(None), "\u2013"),
        (formats.measured("0.18425760286225404"), "0.1843"),
        (formats.measured("20"), "20"),
        (formats.measured("en"), "en"),
        (formats.measured(None), "nothing"),
        (formats.size(0), "0 B"),
        (formats.size(999), "999 B"),
        (formats.size(999_999), "1 MB"),
        (formats.size(24_100_000), "24.1 MB"),
        (formats.size(2**50), "1.13 PB"),
        (formats.duration(0), "0 s"),
        (formats.duration(0.25), "0.25 s"),
        (formats.duration(59.6), "1 min"),
        (formats.duration(200), "3 min 20 s"),
        (formats.duration(7205), "2 h"),
        (formats.duration(90_000), "1 d 1 h"),
        (formats.duration(None), "\u2013"),
        (formats.share(0.4799), "48.0 %"),
        (formats.words("after_language"), "after language"),
    ],
)
def test_formats(shown, wanted):
    assert shown == wanted


def test_moments_are_time_elements_in_utc():
    iso = "2026-11-21T14:00:05+02:00"
    assert formats.when(iso) == (
        '<time datetime="2026-11-21T12:00:05+00:00">2026-11-21 12:00:05 UTC</time>'
    )
    now = datetime(2026, 11, 21, 13, 2, 50, tzinfo=UTC)
    assert formats.ago(iso, now).endswith(">1 h 2 min ago</time>")
    assert formats.ago(iso, datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)).endswith(
        ">just now</time>"
    )


def edit(start, end, text=None):
    return {"start": start, "end": end, "text": text}


def test_each_steps_offsets_are_of_the_text_before_it():
    text = "Menu\nÄpfel und Birnen\nFooter"
    first = {"step": "a_v1", "edits": [edit(0, 5)]}  # "Menu\n"
    # Of "Äpfel und Birnen\nFooter": Ä takes two bytes.
    second = {"step": "b_v1", "edits": [edit(7, 10, "oder"), edit(17, 24)]}
    assert mark(text, [first, second]) == [
        Piece("removed", "Menu\n", "a_v1"),
        Piece("kept", "Äpfel "),
        Piece("removed", "und", "b_v1"),
        Piece("inserted", "oder", "b_v1"),
        Piece("kept", " Birnen"),
        Piece("removed", "\nFooter", "b_v1"),
    ]


@given(
    st.text(alphabet="aö中😀 \n", max_size=40),
    st.lists(
        st.lists(st.tuples(st.integers(0, 60), st.text("xß", max_size=3)), max_size=6), max_size=3
    ),
)
def test_pieces_give_the_text_before_and_after(text, plans):
    now, steps = text, []
    for plan in plans:
        cuts = sorted(min(at, len(now)) for at, _ in plan)
        edits = []
        for (a, b), (_, new) in zip(zip(cuts[::2], cuts[1::2], strict=False), plan, strict=False):
            start, end = len(now[:a].encode()), len(now[:b].encode())
            edits.append(edit(start, end, new or None))
        steps.append({"step": f"s{len(steps)}", "edits": edits})
        column = pa.chunked_array([pa.array([edits], EDITS_TYPE)])
        now = apply_edits(pa.chunked_array([pa.array([now])]), column)[0].as_py()
    pieces = mark(text, steps)
    assert "".join(p.text for p in pieces if p.kind != "removed") == now
    original = [p for p in pieces if p.kind != "inserted"]
    if len(steps) <= 1:  # later steps may cut what an earlier one put in
        assert "".join(p.text for p in original) == text


def test_long_texts_are_shortened_and_say_so():
    pieces = [Piece("kept", "a" * 10), Piece("removed", "b" * 10, "s"), Piece("kept", "c")]
    assert shortened(pieces, 12) == ([Piece("kept", "a" * 10), Piece("removed", "bb", "s")], 9)
    assert shortened(pieces, 50) == (pieces, 0)
