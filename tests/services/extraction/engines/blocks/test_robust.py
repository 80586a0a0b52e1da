"""The scan of hostile and unusual pages: never an exception, whatever it costs is bounded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extraction.engines.blocks.layout import Scan
from services.extraction.engines.blocks.scan import scan_bytes, scan_page
from services.extraction.engines.blocks.work import DEPTH

MANY = 100_000
SMALL = (
    "<!DOCTYPE html><html><head><title>T &amp; t</title><script><!--<script>x</script>--></script>"
    "<style>p{}</style></head><body class='a B' hidden><ul><li>a<ol start=3><li>é<b>c</ul><table>"
    "<tr><td>1<td>2</table><pre> x\n y</pre><svg><![CDATA[d]]><title>e</svg><template>f</template>"
    "&#x4e2d;&notit;<!-- g --><select><option>h</select><textarea>i</textarea>😀<br><br>end"
)


def check(scan: Scan, size: int) -> list[str]:
    """What holds for every scan; returns the texts of its blocks."""
    elements, blocks = scan.elements, scan.blocks
    count = len(blocks.start)
    assert (blocks.start < blocks.stop).all()
    assert (blocks.stop[:-1] <= blocks.start[1:]).all()
    assert count == 0 or blocks.stop[-1] <= len(scan.text)
    assert (blocks.source_start < blocks.source_stop).all()
    assert (blocks.source_stop[:-1] <= blocks.source_start[1:]).all()
    assert count == 0 or (blocks.source_start[0] >= 0 and blocks.source_stop[-1] <= size)
    assert (blocks.link <= blocks.stop - blocks.start).all()
    assert (blocks.element < len(elements.tag)).all()
    assert (blocks.element >= 0).all()
    assert (elements.parent < np.arange(len(elements.parent))).all()
    assert (elements.depth < DEPTH).all()
    assert (elements.first_block <= elements.last_block).all()
    assert (elements.last_block <= count).all()
    assert (np.diff(elements.token_bounds) >= 0).all()
    assert elements.token_bounds[-1] == len(elements.tokens) <= size
    # what comes back is linear in the page
    assert len(elements.tag) <= 2 * size + 2
    assert len(scan.text) <= 2 * size
    text = scan.text.tobytes()
    spans = zip(blocks.start.tolist(), blocks.stop.tolist(), strict=True)
    return [text[start:stop].decode() for start, stop in spans]


def read(page: str) -> list[str]:
    return check(scan_page(page), len(page.encode("utf-8", "replace")))


PIECES = ["<div>", "<b>", "<p>", "<a href=x>", "<li>", "<table>", "<td>", "<svg>", "<select>",
          "<template>", "<table><tr><td>", "</p>", "</b>", "</x>", "<", "</", "<!", "&", "&#", "&amp",
          "<!--", "<a b=", "<a b='", "<script>", "<title>", "<style><", "<!--<script>", "\0", " ",
          "<br>", "<button>", "<pre>\n", "</script"]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_one_thing_many_times(piece):
    read(piece * MANY + "x")


@pytest.mark.parametrize("sign", "<&")
def test_a_million_signs(sign):
    read(sign * 1_000_000)


@pytest.mark.parametrize("tag", ["div", "b", "p", "li", "a", "blockquote", "xyz"])
def test_deep_nesting_keeps_the_text(tag):
    assert "".join(read(f"<{tag}>" * MANY + "in" + f"</{tag}>" * MANY + "<p>out")) == "inout"


def test_a_page_of_fifty_megabytes():
    post = (
        "<div class='post'><p>One of very many paragraphs, <a href=x>linked</a> &amp; told.</div>\n"
    )
    count = 50_000_000 // len(post)
    texts = read("<html><body>" + post * count)
    assert len(texts) == count
    assert set(texts) == {"One of very many paragraphs, linked & told."}


def test_a_page_on_one_line():
    assert read("<html><body><p>a</p><p>b</p><div>c</div></body></html>") == ["a", "b", "c"]


def test_frames():
    assert read("<frameset><frame src=a><noframes><p>a</p></noframes></frameset>") == ["a"]
    assert read("<body><noscript><p>a</p></noscript><p>b") == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["مرحبا بالعالم", "שלום עולם", "你好,世界。", "日本語の文章", "한국어"]
)
def test_other_scripts(text):
    assert read(f"<p dir=rtl>{text}</p><p>{text}<b>{text}</b>") == [text, text + text]


def test_a_thread_of_a_hundred_posts():
    posts = "".join(f"<li><div class=post><b>u{i}</b><p>Post {i}.<p>End.</div>" for i in range(100))
    texts = read(f"<ul>{posts}</ul>")
    assert texts == [t for i in range(100) for t in (f"u{i}", f"Post {i}.", "End.")]


@pytest.mark.parametrize("end", ["<a href='x", "<a href=x", "<!-- x", "<!DOCTYPE", "<p", "</p"])
def test_what_does_not_end_takes_the_rest_only(end):
    assert read("<p>a</p><p>b" + end + "c" * MANY) == ["a", "b"]


def test_nul_bytes_and_lone_surrogates():
    assert read("<p>a\0b\ud800c</p>\udfff") == ["ab?c", "?"]


def test_a_page_that_is_cut_off_anywhere():
    page = SMALL.encode()
    for end in range(len(page) + 1):
        cut = page[:end].decode(errors="ignore").encode()
        check(scan_bytes(cut), len(cut))


@given(st.binary(max_size=300))
def test_random_bytes(page):
    read(page.decode("latin-1"))
    read(page.decode("utf-8", "replace"))


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=40))
def test_random_soup(pieces):
    read("".join(pieces))
