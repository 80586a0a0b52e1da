"""Dates of publication: how they are written, and whose word counts."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extraction.hints.dates import find_date, parse_date
from services.extraction.hints.linked import published
from services.extraction.hints.tags import look


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2021-03-04T23:30:00-08:00", "2021-03-04"),
        ("2021/3/4", "2021-03-04"),
        ("20210304", "2021-03-04"),
        ("20210304T101500Z", "2021-03-04"),
        ("2021年3月4日", "2021-03-04"),
        ("04.03.2021, 10:15 Uhr", "2021-03-04"),
        ("28/02/2023 05:17:31 AM", "2023-02-28"),
        ("02/28/2023", "2023-02-28"),
        ("03/03/2023", "2023-03-03"),
        ("03/04/2023", None),
        ("Thu, 04 Mar 2021 10:15:00 GMT", "2021-03-04"),
        ("Published on March 4th, 2021", "2021-03-04"),
        ("Thu Mar 4, 2021", "2021-03-04"),
        ("4-Mar-2021", "2021-03-04"),
        ("2021-02-30", None),
        ("2021-13-01", None),
        ("1989-12-31", None),
        ("1990-01-01", "1990-01-01"),
        ("2100-12-31", "2100-12-31"),
        ("2101-01-01", None),
        ("0001-01-01T00:00:00", None),
        ("1614852900", None),
        ("{{post_date}}", None),
        ("", None),
        (" " * 100 + "2021-03-04", None),
    ],
)
def test_parse(value, expected):
    assert parse_date(value) == expected


@given(st.dates(date(1990, 1, 1), date(2100, 12, 31)))
def test_every_date_of_the_range_is_read(day):
    for form in ("%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%d %B %Y", "%b %d, %Y"):
        assert parse_date(day.strftime(form)) == day.isoformat()


@given(st.text(max_size=120))
def test_no_text_is_an_error(text):
    parse_date(text)


def linked(value):
    return f'<script type="application/ld+json">{value}</script>'


#: The most trusted first, each with its own date.
SOURCES = [
    "<meta property='og:article:published_time' content='2001-01-01'>",
    linked('[{"@type": ["Thing", "NewsArticle"], "datePublished": "2002-01-01"}]'),
    linked('{"@graph": [{"@type": "WebPage", "datePublished": "2003-01-01"}]}'),
    "<meta name='parsely-pub-date' content='2004-01-01'>",
    "<meta name='DC.date.issued' content='2005-01-01'>",
    "<meta name=pub_date content='2006-01-01'>",
    "<meta name=Date content='2007-01-01'>",
    "<span itemprop=datePublished>January 1, 2008</span>",
    "<time pubdate datetime='2009-01-01'></time>",
    "<time class='entry-date published' datetime='2010-01-01'></time>",
]


@given(st.sets(st.integers(0, len(SOURCES) - 1), min_size=1), st.randoms())
def test_the_most_trusted_decides_wherever_it_stands(chosen, random):
    order = sorted(chosen)
    random.shuffle(order)
    page = "".join(SOURCES[i] for i in order)
    assert find_date(list(look(page)), page) == f"{2001 + min(chosen)}-01-01"


@pytest.mark.parametrize(
    "page",
    [
        "<meta property='article:modified_time' content='2021-03-04'>",
        "<meta name='foundingdate' content='2021-03-04'>",
        "<time datetime='2021-03-04'></time><time datetime='2021-03-05'></time>",
        linked('{"@type": "Product", "review": {"datePublished": "2021-03-04"}}'),
        linked('{"@type": "ItemList", "itemListElement": [{"datePublished": "2021-03-04"}]}'),
        linked('{"datePublished": 20210304}'),
        linked('{"datePublished": "2021-03-04"'),
        linked('{"datePublished": null}'),
        "<p>2021-03-04</p>",
    ],
)
def test_what_is_no_date_of_publication(page):
    assert find_date(list(look(page)), page) is None


def test_the_only_time_of_a_page_is_its_date_and_unreadable_values_are_passed_over():
    page = (
        "<meta property='article:published_time' content='0000-00-00'>"
        + "<time datetime='2021-03-04'></time>" * 2
    )
    assert find_date(list(look(page)), page) == "2021-03-04"


def nested(depth, value):
    for _ in range(depth):
        value = {"@graph": [value]}
    return value


def test_linked_data_is_read_to_a_depth_and_a_size():
    article = {"@type": "Article", "datePublished": "2021-03-04"}
    dates = ["2021-03-04"]
    assert list(published([json.dumps(nested(3, article))])) == dates
    assert list(published([json.dumps(nested(4, article))])) == []
    assert list(published(["[" * 100_000 + '"datePublished"'])) == []
    assert list(published(['{"a":' * 100_000 + '"datePublished"' + "}" * 100_000])) == []
    assert list(published([json.dumps([article]) + " " * 2**20])) == []
    assert list(published([json.dumps([{}] * 5000 + [article])])) == []
    assert len(list(published([json.dumps([article])] * 1000))) == 64
    assert list(published(['{"datePublished": "a\nb"}'])) == ["a\nb"]
    assert list(published(['{"datePublished": ' + "9" * 5000 + "}"])) == []
