"""Lines as Python programs cut them, against Python itself."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text.segment import Segmented

pieces = st.sampled_from(
    ["a", "b c", " ", "\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1e", "\x1f", "\x85", "\u2028",
     "\u2029", "\u2030", "é", "字", "\u3000", "\u200b", "Â", "â\x80"]
)  # fmt: skip
texts_ = st.lists(pieces, max_size=30).map("".join) | st.text(max_size=20)


def lines_of(texts, convention):
    spans = Segmented(pa.chunked_array([texts], pa.large_string())).lines(convention)
    raw = spans.data.tobytes()
    found = [raw[a:b].decode() for a, b in zip(spans.starts, spans.ends, strict=True)]
    return [found[a:b] for a, b in zip(spans.bounds[:-1], spans.bounds[1:], strict=True)]


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.none() | texts_, max_size=4))
def test_lines_equal_pythons(texts):
    known = [t or "" for t in texts]
    assert lines_of(texts, "splitlines") == [
        [s.strip() for s in t.splitlines() if s.strip()] for t in known
    ]
    assert lines_of(texts, "unstripped") == [[s for s in t.split("\n") if s.strip()] for t in known]


def test_every_character_splits_as_in_python():
    for block in range(0, 0x11000, 0x1000):
        codes = [c for c in range(block, block + 0x1000) if not 0xD800 <= c < 0xE000]
        text = "".join(f"{chr(c)}x" for c in codes)
        assert lines_of([text], "splitlines") == [
            [s.strip() for s in text.splitlines() if s.strip()]
        ]
