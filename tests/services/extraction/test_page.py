"""Decoded pages: the same object for the same bytes, as `decode` reads them, within a bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extraction import page as page_module
from services.extraction.charset import decode
from services.extraction.memory import Memory
from services.extraction.page import read_page, sample

HTML = "text/html; charset=utf-8"


@pytest.mark.parametrize("kind", ["image/png", "application/pdf", "text/css", "application/json"])
def test_other_media_types_hold_no_text(kind):
    assert read_page(b"<p>text</p>", kind) is None


@pytest.mark.parametrize(
    ("kind", "is_markup"),
    [
        (None, True),
        ("", True),
        (HTML, True),
        ("application/xhtml+xml", True),
        ("text/xml", True),
        ("text/plain; charset=latin1", False),
    ],
)
def test_which_pages_are_markup(kind, is_markup):
    assert read_page(b"x", kind).is_markup is is_markup


@given(st.binary(max_size=300), st.sampled_from([None, HTML, "text/plain; charset=gbk"]))
def test_is_what_decode_says(payload, kind):
    for _ in range(2):
        page = read_page(payload, kind)
        assert (page.text, page.charset) == decode(payload, kind)


def test_equal_payloads_are_one_page():
    first = read_page(b"<p>" + b"a" * 1000, HTML)
    assert read_page(bytes(bytearray(first.payload)), HTML) is first
    assert read_page(first.payload, "text/html") is not first


def test_payloads_that_differ_where_the_key_does_not_look():
    one, other = (b"a" * 100 + middle + b"a" * 2000 for middle in (b"x", b"y"))
    assert sample(one, HTML) == sample(other, HTML)
    for payload in (one, other, one, other):
        assert read_page(payload, HTML).text == payload.decode()


def test_pages_are_remembered_within_a_bound(monkeypatch):
    memory = Memory(200_000)
    monkeypatch.setattr(page_module, "_pages", memory)
    wide = read_page(("\U0001f600" * 20_000).encode(), HTML)
    assert memory.bytes == wide.memory > 160_000  # four bytes a character
    pages = [read_page(bytes([65 + i]) * 10_000, HTML) for i in range(20)]
    assert memory.bytes == sum(p.memory for p in pages[-len(memory) :]) <= 200_000
    assert read_page(wide.payload, HTML) is not wide
