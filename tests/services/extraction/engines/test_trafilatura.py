"""The text is trafilatura's own, on real, hand-made, hostile and random pages."""

from collections import Counter
from importlib.metadata import version

import lxml.html
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from trafilatura import xpaths
from trafilatura.external import try_readability

from services.extraction.archive.formats import Options, read_rows
from services.extraction.archive.window import Window
from services.extraction.engines.trafilatura import main_text, marks, reference, sections
from services.extraction.engines.trafilatura.page import parse, read
from services.extraction.engines.trafilatura.readability import summary
from services.extraction.page import read_page

PROSE = "The heron waited, as herons do, until the water was still and the moon came up. "
BLOCK = f"<p>{PROSE * 3}</p>"
LINKS = "<ul>" + "<li><a href='/a'>Read more here</a></li>" * 9 + "</ul>"

PAGES = {
    "empty": "",
    "no text": "<html></html>",
    "not HTML": '{"a": 1}',
    "short": "<html><body><p>Only this.</p></body></html>",
    "article": f"<html><body><nav>x</nav><article><h1>T</h1>{BLOCK * 3}{LINKS}</article></body></html>",
    "fragment": f"<div class='post'>{BLOCK * 3}</div><p>after</p>",
    "article as fragment": f"<article>{BLOCK * 2}<article>{BLOCK}</article></article>",
    "list as fragment": f"<ul><li>{PROSE}</li></ul>",
    "head without html": f"<head><title>t</title></head><body>{BLOCK}</body>",
    "comment before html": f"<!-- c --><html><body>{BLOCK}</body></html>",
    "XML declaration": f"<?xml version='1.0' encoding='latin1'?><html><body>{BLOCK}é</body></html>",
    "no-break space before html": f"\xa0<html><body>{BLOCK}</body></html>",
    "doctype without newline": f"<!doctype html PUBLIC 'a/b'><html/><body>{BLOCK}</body>",
    "doctype without end": "<!doctype html " + "x" * 5000 + "/>",
    "self-closing html": f"<html lang='en'/>\n<body>{BLOCK}</body>",
    "comments": f"<html><body>{BLOCK}<div id='comments'>{BLOCK}</div><ol class='comments'><li>x</ol>"
    f"<details class='comments'><summary>s</summary>{BLOCK}</details></body></html>",
    "forum": "<html><body><script type='application/ld+json'>{\"@type\": \"DiscussionForumPosting\"}"
    f"</script><div id='comments'>{BLOCK * 2}</div></body></html>",
    "appended article": f"<html><body>{BLOCK}<div class='infinite-scroll'>{BLOCK * 9}</div></body></html>",
    "nested navigation": f"<html><body>{'<nav><nav>x</nav></nav>' * 3}{BLOCK * 3}</body></html>",
    "form around the page": f"<html><body><form id='aspnetForm'>{BLOCK * 3}</form><form>x</form></body></html>",
    "all in asides": f"<html><body><aside>{BLOCK}<script>var x</script></aside>words</body></html>",
    "layout table": f"<html><body><table role='presentation'><tr><td>{BLOCK * 3}</td></tr></table></body></html>",
    "data table": "<html><body><article><table><tr><th>a</th><th>b</th></tr>"
    + f"<tr><td>{PROSE}</td><td rowspan='2'>2</td></tr>" * 9
    + "</table></article></body></html>",
    "lists": f"<html><body><article><ul><li>{PROSE}<ol><li>{PROSE}</li></ol></li></ul>"
    f"<dl><dt>a</dt><dd>{PROSE}</dd></dl></article></body></html>",
    "code": f"<html><body><article>{BLOCK}<pre><code>x = {{1}}</code></pre><pre><span>a</span></pre>"
    f"<div class='w3-code'>b</div></article></body></html>",
    "math": f"<html><body>{BLOCK}<p>So <math alttext='x^2'><mi>x</mi></math> it is.</p></body></html>",
    "headings": f"<html><body><article><h2>A</h2>{BLOCK}<strong class='schema-faq-question'>Q?</strong>"
    f"{BLOCK}<h2>Z</h2></article></body></html>",
    "line breaks": "<html><body><div>" + f"{PROSE}<br>" * 9 + "</div></body></html>",
    "film": f"<html><body><div><p>{PROSE}</p><iframe src='https://www.youtube.com/e/1'></iframe></div></body></html>",
    "JSON": "<html><body><script type='application/ld+json'>"
    f'{{"@type": "Product", "articleBody": "{PROSE * 3}", "description": "d"}}</script>Hi</body></html>',
    "teaser": "<html><body><script type='application/ld+json'>"
    f'{{"@type": "Product", "description": "{PROSE * 3}"}}</script>Hi</body></html>',
    "portal": f"<html><body><div id='content'>{LINKS}<p>{PROSE}</p></div>"
    + f"<div class='card'><h3><a href='/b'>{PROSE}</a></h3><div>{PROSE}</div></div>" * 20
    + "</body></html>",
    "verbatim": f"<html><body><xmp>a &amp; <b>b</b></xmp><noembed><p></noembed>{BLOCK}</body></html>",
    "control character": f"<html><body><p>{PROSE * 4}\x01\x0b\ufffe</p></body></html>",
    "reference to a control character": f"<html><body><p>{PROSE * 4}&#1;</p></body></html>",
    "reference to no character": f"<html><body><p>{PROSE * 4}&#xFFFF;&#xD800;&#0;</p></body></html>",
    "lone surrogate": f"<html><body><p>{PROSE * 4}\ud800</p></body></html>",
    "tag that is no name": f'<html><body><div8"a>{BLOCK}</div8"a></body></html>',
    "own marks": f"<html><body><div F='' G='' A=''>{BLOCK}</div></body></html>",
    "hidden": f"<html><body><div style='display:none'>{BLOCK}</div><p aria-hidden='true'>{PROSE}</p>{BLOCK}</body></html>",
    "soft hyphens": f"<html><body><div>her\xadons\u200b</div><div>{PROSE}</div></body></html>",
    "frames": "<html><frameset><frame src='x'></frameset><noframes>Text</noframes></html>",
    "deep": "<html><body>" + "<div>" * 100_000 + PROSE * 20,
    "deep lists": "<html><body><article>" + "<ul><li>a b c" * 120 + PROSE * 20,
    "many divs": "<html><body>" + f"<div class='nav-x'>{PROSE}</div>" * 300,
    "angle brackets": "<html><body>" + "<" * 100_000,
    "long class": f"<html><body><div class='{'a' * 100_000}'>{BLOCK}</div></body></html>",
    "many links": "<html><body><ul>" + f"<li><a href='/x'>{PROSE}</a></li>" * 500 + "</ul></body></html>",
}  # fmt: skip


def outcome(extract, html: str, *, favor_precision: bool) -> str:
    try:
        return extract(html, favor_precision=favor_precision)
    except Exception as error:  # noqa: BLE001  # the same error is asked for
        return f"error: {type(error).__name__}"


def assert_same(html: str) -> None:
    for favor_precision in (False, True):
        ours = outcome(main_text, html, favor_precision=favor_precision)
        assert ours == outcome(reference, html, favor_precision=favor_precision)


def test_version_is_the_one_that_the_engine_was_derived_from():
    """Another one may give other texts: compare on whole archives, see docs/trafilatura.md."""
    assert version("trafilatura") == "2.3.1"


@pytest.mark.parametrize("name", PAGES)
def test_text_of_hand_made_pages_is_the_same(name: str):
    assert_same(PAGES[name])


def test_hand_made_pages_have_text():
    """So that the comparisons above do not compare nothing with nothing."""
    texts = [main_text(html, favor_precision=False) for html in PAGES.values()]
    assert sum(PROSE.strip() in text for text in texts) > 30


def test_text_of_real_pages_is_the_same(data_path):
    archive = data_path / "warc" / "open" / "open-mini.warc.gz"
    content = archive.read_bytes()
    window = Window(lambda offset, length: content[offset : offset + length], len(content))
    rows = read_rows(archive.name, window, (0, len(content)), Options(2**25, ("text",)), Counter())
    pages = [read_page(row.payload, row.content_type) for row in rows if row.payload is not None]
    texts = [page.text for page in pages if page is not None and page.is_markup]
    assert len(texts) > 150
    for html in texts[::5]:
        assert_same(html)


CLASSES = [
    "post", "entry-content", "nav", "menu-item", "share", "comments", "teaser", "link", "footer",
    "sidebar", "article-body", "main", "story-body", "caption", "cookie-banner", "hidden", "widget",
    "page-content", "infinite-scroll", "related", "ad-box", "byline", "x1", "positive body", "foot",
]  # fmt: skip
TAGS = [
    "div", "p", "span", "ul", "ol", "li", "a", "b", "h2", "table", "tr", "td", "th", "section",
    "article", "main", "br", "nav", "aside", "form", "pre", "code", "blockquote", "strong", "em",
    "details", "summary", "figure", "img", "dl", "dt", "dd", "header", "footer", "script", "q",
    "sub", "del", "iframe", "title", "svg", "list", "item", "ref", "graphic", "quote", "noscript",
]  # fmt: skip
ATTRIBUTES = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["class", "id"]),
            st.lists(st.sampled_from(CLASSES), min_size=1, max_size=2).map(" ".join),
        ),
        st.sampled_from([
            ("style", "display:none"), ("style", "border: 0"), ("role", "navigation"),
            ("role", "article"), ("role", "presentation"), ("aria-hidden", "true"),
            ("itemprop", "articleBody"), ("src", "https://youtube.com/x"), ("src", "a.png"),
            ("style", "visibility: hidden"),
        ]),
    ),
    max_size=2,
    unique_by=lambda item: item[0],
)  # fmt: skip
TEXTS = st.sampled_from(
    [
        "",
        " ",
        "\n",
        "Short",
        "Facebook",
        "a, b, c.",
        PROSE,
        PROSE * 2,
        "© 2020",
        "x\xa0y",
        "{",
        "1 & 2 < 3",
    ]
)


def element(tag: str, attributes, children: list[str], text: str) -> str:
    opening = "".join(f' {name}="{value}"' for name, value in attributes)
    return f"<{tag}{opening}>{text}{''.join(children)}</{tag}>"


def elements(children):
    return st.builds(
        element, st.sampled_from(TAGS), ATTRIBUTES, st.lists(children, max_size=5), TEXTS
    )


TREES = st.lists(
    st.recursive(
        TEXTS.map(lambda t: t.replace("&", "&amp;").replace("<", "&lt;")), elements, max_leaves=25
    ),
    max_size=8,
).map("".join)
DOCUMENTS = st.builds(
    "{}{}".format, st.sampled_from(["<html><body>", "<html><body>" + BLOCK, ""]), TREES
)


@given(DOCUMENTS)
@settings(max_examples=120, deadline=None)
def test_text_of_random_trees_is_the_same(html: str):
    assert_same(html)


@given(DOCUMENTS)
@settings(max_examples=60, deadline=None)
def test_readability_is_left_out_only_where_it_is_short(html: str):
    page = read(f"<html><body>{html}", favor_precision=False)
    whole = summary(page, "balanced", -1)
    text = "" if whole is None else etree.tostring(whole, method="text", encoding=str)
    length = len(" ".join(text.split()))
    assert summary(page, "balanced", length - 1) is not None or length == 0
    # As XML: written as HTML, some trees are read as others.
    parser = lxml.html.XHTMLParser(recover=True)
    original = try_readability(lxml.html.fromstring(etree.tostring(page.tree), parser=parser))
    assert " ".join(original.text_content().split()) == " ".join(text.split())


FRAMES = "self::article or self::div or self::main or self::section"
BODIES = {
    0: f"(.//*[@A][{FRAMES}])[1]",
    2: f"(.//*[@C][{FRAMES}])[1]",
    3: f"(.//*[@D][{FRAMES}])[1]",
    4: "(.//*[@E][self::article or self::div or self::section])[1]|(.//main)[1]",
}


@given(TREES)
@settings(max_examples=100, deadline=None)
def test_marks_are_the_answers_of_the_expressions(html: str):
    tree = parse(f"<html><body><p>x</p>{html}</body></html>")
    marks.mark(tree)
    for number, marked in BODIES.items():
        assert xpaths.BODY_XPATH[number](tree)[:1] == tree.xpath(marked)[:1]
    for originals, ours in (
        (xpaths.OVERALL_DISCARD_XPATH, sections._OVERALL),
        (xpaths.DISCARD_IMAGE_ELEMENTS, sections._CAPTION),
        (xpaths.TEASER_DISCARD_XPATH, sections._TEASER),
        (xpaths.PRECISION_DISCARD_XPATH, sections._PRECISION),
        (xpaths.REMOVE_COMMENTS_XPATH, sections._COMMENTS),
    ):
        assert {e for expression in originals for e in expression(tree)} == set(ours(tree))


@pytest.mark.parametrize("name", ["class", "id"])
@pytest.mark.parametrize("value", [
    "", "content", "content ", "Content", "main-content", "Main-Content", "mainly", "a main", "post", "posts",
    "nav", " nav", "x nav", "post-nav", "avigation", "ad-x", "x ad-x", "x-ad-", "x ad y", "bad-x", "jp-x", "x-jp-",
    "Comments", "comment", "commentary", "comol", "disqus_thread", "article-comments", "x-comments", "infinitescroll",
    "mvp-post-add-box", "mvp-post-add-x", "fullText", "cookiebanner", "Cookie_Notice", "conſent-banner", "OneTrust",
    "bottom", "my-bottom", "a\nbottom", "bottoms", "bottom-x y", "link", "a link", "links", "reply-1", "x reply-1",
    "primary", "a primary", "article x", "an article x", "reader-comments", "hide-x", "x hide", "hidden", "x hidden",
    "tag-list", "Footer", "foot", "footnote", "and", "shadow", "Teaser", "TEASER", "figcaption", "elementor-share-buttons",
])  # fmt: skip
def test_attributes_at_the_edges_of_the_patterns(name: str, value: str):
    for before in ("", 'id="x" ', 'class="x" ', 'style="x" ', 'id="cookie" '):
        if not before.startswith(name):
            test_marks_are_the_answers_of_the_expressions.hypothesis.inner_test(
                f'<div {before}{name}="{value}">a</div><div {name}="{value}" {before}>b</div>'
            )


def test_memory_is_bounded():
    marks._ANSWERS.clear()
    for number in range(3):
        ids = (f"{number}-{n}-{'x' * 300 if n % 9 == 0 else n}" for n in range(15_000))
        main_text("<html>" + "".join(f"<i id='{i}'>a</i>" for i in ids), favor_precision=True)
    assert 0 < len(marks._ANSWERS) <= marks._ANSWERS_SIZE < 40_000
    assert max(len(value) for _, value in marks._ANSWERS) <= marks._KEPT_LENGTH
