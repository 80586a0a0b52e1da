"""The scan's text beside the tree of lexbor, a browser's parser: the same characters in order.

White space is left out of both: the scan sets it at the bounds of blocks. So are characters that
nobody sees, which the scan drops. What the scan reads otherwise on purpose is listed below.
"""

import re

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree, NodeType

from services.extraction.engines.blocks.scan import scan_page
from services.extraction.page import read_page

#: Elements whose text the scan leaves out.
LEFT_OUT = frozenset(
    [
        "head",
        "script",
        "style",
        "title",
        "textarea",
        "iframe",
        "noembed",
        "select",
        "datalist",
        "svg",
        "annotation",
        "audio",
        "video",
        "canvas",
        "option",
        "optgroup",
    ]
)
_UNSEEN = re.compile("[\\s\x00-\x1f\x7f-\x9f\xad\u200b\ufeff]+")
#: Of the small archive's 173 pages every so many-th is read: the walk in Python takes its time.
EVERY = 6


def tree_text(page: str) -> str:
    """The characters of all text nodes outside `LEFT_OUT`, in page order."""
    texts = []
    node = HTMLTree.parse(page).document
    while node is not None:
        if node.type == NodeType.TEXT:
            texts.append(node.text)
        left_out = node.type == NodeType.ELEMENT and node.tag in LEFT_OUT
        following = None if left_out else node.first_child
        while following is None and node is not None:
            following = node.next
            node = node.parent
        node = following
    return _UNSEEN.sub("", "".join(texts))


def scan_text(page: str) -> str:
    """The characters of all blocks."""
    return _UNSEEN.sub("", scan_page(page).text.tobytes().decode())


def test_real_pages(open_mini):
    """Pages of every charset and four languages."""
    pages = 0
    with open_mini.open("rb") as file:
        records = ArchiveIterator(file, record_types=WarcRecordType.response)
        for number, record in enumerate(records):
            if number % EVERY:
                continue
            page = read_page(record.reader.read(), record.http_headers.get("Content-Type"))
            if page is not None and page.is_markup:
                pages += 1
                assert scan_text(page.text) == tree_text(page.text), record.headers[
                    "WARC-Target-URI"
                ]
    assert pages > 20


SOUP = [
    "<p>a<p>b</p></p>c",
    "<b><p>a</b>b</p>c",
    "<i>a<b>b</i>c</b>d",
    "<a href=1>a<a href=2>b</a>c</a>d",
    "<div><span>a</div>b</span>c",
    "<ul><li>a<li>b<ul><li>c</ul>d</ul>e",
    "<dl><dt>a<dd>b<dt>c</dl>d",
    "<h1>a<h2>b</h1>c</h2>d",
    "<table><tr><td>a<table><tr><td>b</table>c</table>d",
    "<table><caption>a<td>b</table>c",
    "<td>a</td>b<tr>c",
    "<button>a<button>b</button>c",
    "<form>a<form>b</form>c</form>d",
    "a<!-- b -->c<!-->d<!--->e<!-- f",
    "a<!x>b<?y>c</3>d<3e",
    "a<![CDATA[b]]>c",
    "<title>t</title>a<title>u</title>b",
    "<script>a</script >b</SCRIPT\n>c",
    "<style>a</styles>b</style>c",
    "<select><option>a</select>b",
    "<svg><text>a</text></svg>b",
    "<svg>a<p>b</p></svg>c",
    "<math><mi>x</mi></math>y",
    "<noscript><p>a</p></noscript>b",
    "<head><noscript>x</noscript></head>y",
    "<iframe>a</iframe>b",
    "<p>x<noframes>a</noframes>b",
    "<xmp><b>a</b></xmp>c",
    "<plaintext>a<b>c</plaintext>d",
    "<pre>\n a\n\n b</pre>c",
    "<p title='a>b'>c",
    "<p title=a'b>c",
    '<p title="a>b',
    "a<b",
    "a<",
    "a</b",
    "&amp;&lt&notit;&#x41;&#0;&nbsp;&",
    "<video>a<p>b</p></video>c",
    "<body>a</body>b</html>c",
    "<html><p>a<html><body>b",
    "<ruby>a<rt>b</rt></ruby>c",
    "<br><title>x</title><body>y",
    "a<template>b<p>c<template>d</template>e</template>f",
    "<template><select></template>a",
    "<svg><style>a</svg>b",
    "<svg><title>a</svg>b",
    "<svg><style>a</style></svg>b",
    "<svg><![CDATA[</svg>a>]]>b</svg>c",
    "<script><!--<script>a</script>b--></script>c",
    "<script><!--<script>a</script>b</script>c",
    "<script><!--<script>a--></script>b",
    "<script><!--></script>a",
    "<script><!-- </script>a",
    "<script><!--<scripts></script>a",
    "<p>a\x00b",
]


@pytest.mark.parametrize("page", SOUP)
def test_tag_soup(page):
    assert scan_text(page) == tree_text(page)


@pytest.mark.parametrize(
    ("page", "scan", "tree"),
    [
        # a page that was cut off keeps its text
        ("<title>t<p>a", "ta", ""),
        ("<textarea>a", "a", ""),
        ("<iframe>a", "a", ""),
        # in the head, where the tree leaves it out
        ("<noframes>a</noframes>b", "ab", "b"),
        # content of the element around it, which lexbor does not know
        ("<template shadowrootmode=open><p>a</p></template>b", "ab", "b"),
        # a choice or a drawing that was not closed ends where a block begins
        ("<select><div>x</div>y</select>z", "xyz", "z"),
        # a page that ends within "</"
        ("a</", "a", "a</"),
    ],
)
def test_what_is_read_otherwise(page, scan, tree):
    assert (scan_text(page), tree_text(page)) == (scan, tree)


_TAGS = [
    "p",
    "div",
    "b",
    "i",
    "a",
    "ul",
    "li",
    "h1",
    "span",
    "section",
    "blockquote",
    "em",
    "dl",
    "dd",
    "dt",
    "pre",
]
_PIECES = st.one_of(
    st.sampled_from(_TAGS).map("<{}>".format),
    st.sampled_from(_TAGS).map("</{}>".format),
    st.sampled_from(["a", "b c", "&amp;", "&lt", "<!-- x -->", "<br>", "<script>x</script>", "é"]),
)


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_no_character_is_lost_or_doubled_however_tags_are_nested(page):
    """Tables are left out: the standard moves text out of them."""
    assert scan_text(page) == tree_text(page)
