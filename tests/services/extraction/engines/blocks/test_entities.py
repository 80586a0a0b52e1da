"""Character references mean what `html.unescape` says, and nothing beyond the end is read."""

import html
import html.entities

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.extraction.engines.blocks.entities import append_utf8, reference, references

_NAMES = sorted(html.entities.html5)
_PIECES = st.one_of(
    st.sampled_from(_NAMES).map("&{}".format),
    st.sampled_from(_NAMES).map(lambda name: f"&{name[:-1]}"),
    st.integers(0, 0x120000).map("&#{};".format),
    st.integers(0, 0x120000).map("&#x{:x}".format),
    st.integers(0, 0x120).map("&#X{:X};".format),
    st.integers(0, 10**30).map("&#{}".format),
    st.sampled_from(["&", "&#", "&#x", "&#X;", "&#;", "&;", ";", "&amp", "x", " ", "\n", "é", "0"]),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=3),
)
#: Most of UTF-8's bytes that a reference gives for one of its own; a bound for the buffer.
_WORST = 4


def _decode(text: str) -> str:
    """All references of a text decoded, in a copy whose byte behind the end would change them."""
    source = text.encode()
    data = np.frombuffer(source + b"amp;1", np.uint8)
    out = np.zeros(_WORST * len(source) + 8, np.uint8)
    table, at, stop = references(), 0, 0
    while at < len(source):
        code1, code2, size = (0, 0, 0)
        if data[at] == ord("&"):
            code1, code2, size = reference(data, at, len(source), table)
        if size == 0:
            out[stop], stop, size = data[at], stop + 1, 1
        stop = append_utf8(out, append_utf8(out, stop, code1), code2)
        at += size
    assert at == len(source)
    return out[:stop].tobytes().decode()


@given(st.lists(_PIECES, max_size=12).map("".join))
@example("&amp")
@example("&amp;amp;&ampamp;&AMP&Amp;")
@example("&notit; &notin; &notin &nbsp&nbspx")
@example("&NotEqualTilde;&acE;&fjlig;")
@example("&CounterClockwiseContourIntegral;&CounterClockwiseContourIntegral")
@example("&#0;&#x110000;&#xD800;&#xdfff;&#xFFFE;&#x1FFFF;&#xFDD0;&#127;&#11;&#12;&#13;&#9;")
@example("&#128&#129;&#x9f;&#x80z&#39;&#039;&#X27;")
@example("a&&&#&#x&#xg&#-1;&#٣;&é")
def test_text_is_what_html_unescape_gives(text: str) -> None:
    """Longest names, legacy prefixes, numbers and lone ampersands, in any order."""
    assert _decode(text) == html.unescape(text)


def test_all_names_and_all_their_prefixes() -> None:
    """Every name alone, and followed by what continues no name."""
    for name in _NAMES:
        for text in (f"&{name}", f"&{name}~", f"&{name[:-1]}", f"&{name}z"):
            assert _decode(text) == html.unescape(text), text


def test_all_numbers_of_the_planes_that_have_exceptions() -> None:
    """The first plane, and the ends of the others."""
    codes = [*range(0x10000), *(n * 0x10000 + 0xFFFD + i for n in range(1, 18) for i in range(5))]
    text = " ".join(f"&#{code};" for code in codes)
    assert _decode(text) == html.unescape(text)


@pytest.mark.parametrize("text", ["&", "&#", "&#x", "&a", "&am", "&zzz;", "& amp;", "&\xa0;"])
def test_what_is_no_reference_consumes_nothing(text: str) -> None:
    data = np.frombuffer(text.encode() + b"mp;1;", np.uint8)
    assert reference(data, 0, len(text.encode()), references()) == (0, 0, 0)


def test_numbers_without_end_are_one_reference() -> None:
    """Digits cannot overflow, and all of them are consumed, so a page of them is linear."""
    for start, digit in ((b"&#", b"9"), (b"&#x", b"F")):
        source = start + digit * 100_000 + b";"
        data = np.frombuffer(source, np.uint8)
        assert reference(data, 0, len(source), references()) == (0xFFFD, 0, len(source))


def test_table_is_shared_and_read_only() -> None:
    table = references()
    assert references() is table
    assert not any(array.flags.writeable for array in table)
