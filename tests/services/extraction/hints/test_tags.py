"""The look at a page's tags: what is one, what is skipped, and that hostile pages stay linear."""

import html
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extraction.hints import find_hints, tags
from services.extraction.hints.tags import look, properties


def found(page):
    return [(t.name, t.attributes, t.text) for t in look(page)]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<META Name=a content='b'>", [("meta", {"name": "a", "content": "b"}, "")]),
        ("<html lang=de-AT/ xml:lang = 'x'>", [("html", {"lang": "de-AT/", "xml:lang": "x"}, "")]),
        ("<time datetime=1 PubDate />", [("time", {"datetime": "1", "pubdate": ""}, "")]),
        ("<meta a=1 a=2>", [("meta", {"a": "1"}, "")]),
        (
            '<meta content="a &amp;amp; <b> > &quot;">',
            [("meta", {"content": 'a &amp; <b> > "'}, "")],
        ),
        ("<title>a &lt;b&gt;\n c<x></TITLE >", [("title", {}, "a <b> c<x>")]),
        ("<h1 class=x>a<br>b <i>c</i>d</h1>", [("h1", {"class": "x"}, "a b c d")]),
        ("<h1>" + "x" * 5000 + "</h1>", [("h1", {}, "")]),
        ("<metadata><timer><h10><titles>", []),
        ("<!-- <meta a> --><!--><meta b><!-- <meta c>", [("meta", {"b": ""}, "")]),
        ("<script>'<meta a>'</script><meta b>", [("script", {}, ""), ("meta", {"b": ""}, "")]),
        ("<title>a<meta b>", []),
        ('<meta a="b><meta c>', []),
        ("<meta a", []),
    ],
)
def test_tags(page, expected):
    assert found(page) == expected


def test_only_linked_data_keeps_the_text_of_its_script():
    page = "<script type='application/LD+json; charset=utf-8'> {&amp;} </script><script>1</script>"
    assert [t.text for t in look(page)] == [" {&amp;} ", ""]


class _Reference(HTMLParser):
    """Python's own tokenizer, on tags whose attributes both read alike."""

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        values = {}
        for name, value in attrs:
            values.setdefault(name, value or "")
        self.tags.append((tag, values))


_VALUE = st.text(st.sampled_from("abé <>&;='/\n\t"), max_size=8).map(html.escape)
_ATTRIBUTE = st.builds(
    "{}={}{}{}".format, st.sampled_from("abcXY"), *[st.just('"'), _VALUE, st.just('"')]
)


@given(st.lists(st.lists(_ATTRIBUTE | st.sampled_from("abC"), max_size=4), max_size=4))
def test_attributes_are_those_of_python_s_parser(elements):
    page = "text".join("<meta " + " ".join(attributes) + ">" for attributes in elements)
    reference = _Reference()
    reference.feed(page)
    assert [(t.name, t.attributes) for t in look(page)] == reference.tags


@given(st.text(st.sampled_from("<>!-/='\"& hm1metaiscrpt"), max_size=200))
def test_tags_of_any_text_are_apart_and_in_order(page):
    at = 0
    for tag in look(page):
        assert at <= tag.start < tag.stop <= len(page)
        at = tag.stop
    find_hints(page)


def test_properties_of_any_tag():
    page = (
        "<p data-x=datePublished>no</p><i itemprop='x datePublished' content=1>"
        "<b itemprop=datePublished>2 &amp; <i>3</i></b>datePublished<p itemprop='datePublishedX'>"
    )
    assert [(t.attributes.get("content"), t.text) for t in properties(page, "datePublished")] == [
        ("1", ""),
        (None, "2 &"),
    ]


class _Counting:
    """A pattern that counts the characters that it goes over."""

    def __init__(self, pattern, work):
        self.pattern, self.work = pattern, work

    def _count(self, found, at, end):
        self.work.append((end if found is None else found.end()) - at)
        return found

    def search(self, page, at, end):
        return self._count(self.pattern.search(page, at, end), at, end)

    def match(self, page, at, end):
        return self._count(self.pattern.match(page, at, end), at, end)


HOSTILE = {
    "metas": "<meta ",
    "whole metas": "<meta a=b>",
    "quotes": "<meta a=\"'",
    "other quotes": "<meta a='\"",
    "equals": "<meta = = ",
    "spaces": "<meta" + " " * 1000,
    "titles": "<title>",
    "headings": "<h1>",
    "comments": "<!--",
    "short comments": "<!-->",
    "scripts": "<script>",
    "linked data": '<script type="ld+json">["datePublished",',
    "properties": "datePublished",
    "tags of properties": '<p itemprop="datePublished',
    "references": "<meta a='&#99999999999999999999",
    "less": "<",
    "closing": "</script",
    "times": "<time datetime=x>",
    "attributes": "<meta" + "".join(f" a{n}=1" for n in range(1000)),
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_character_is_looked_at_more_than_twice(piece, monkeypatch):
    """Once for the next tag, and once as a heading's text; whatever the page repeats."""
    work = []
    for name in ("_NEXT", "_ATTRIBUTE", "_HEADING_CLOSE"):
        monkeypatch.setattr(tags, name, _Counting(getattr(tags, name), work))
    closing = {name: _Counting(pattern, work) for name, pattern in tags._CLOSE.items()}
    monkeypatch.setattr(tags, "_CLOSE", closing)
    for start in ("", "<title>t</title>", "<!-- x -->", "<script>"):
        page = start + piece * (200_000 // len(piece))
        work.clear()
        list(look(page))
        assert sum(work) <= 2 * len(page)


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_bounds_hold_on_pages_that_are_longer(piece, monkeypatch):
    """Of a page of ten times the bound only what is below it is looked at, and so many tags."""
    monkeypatch.setattr(tags, "MOST_CHARACTERS", 50_000)
    monkeypatch.setattr(tags, "MOST_TAGS", 1_000)
    page = piece * (500_000 // len(piece)) + "<title>behind</title>"
    assert find_hints(page).title is None
    found = list(look(page))
    assert len(found) <= tags.MOST_TAGS
    assert all(tag.stop <= tags.MOST_CHARACTERS for tag in found)
    assert all(len(tag.attributes) <= tags._MOST_ATTRIBUTES for tag in found)
    assert sum(1 for _ in properties(page, "datePublished")) <= tags._MOST_PROPERTIES


def test_a_page_of_50_mb():
    page = "<title>t</title>" + "<meta a=b>" * (5 * 2**20) + "<html lang=de>"
    assert find_hints(page) == ("t", None, None)
    assert sum(1 for _ in look(page)) == tags.MOST_TAGS


def test_what_python_refuses_to_decode_stays():
    """`int` takes 4,300 digits at most; a hint is no reason for an error."""
    page = f"<meta a='&#{'9' * 5000};&amp;'>"
    assert found(page)[0][1]["a"].startswith("&#999")
