"""Which of a page's titles is taken, and that the site's name goes."""

import pytest

from services.extraction.hints.tags import look
from services.extraction.hints.titles import find_title


def page(title="", og="", site="", *headings, twitter=""):
    metas = {"og:title": og, "og:site_name": site, "twitter:title": twitter}
    head = "".join(f'<meta property="{k}" content="{v}">' for k, v in metas.items() if v)
    return f"<title>{title}</title>{head}" + "".join(f"<h1>{h}</h1>" for h in headings)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (page("Bread - News | The Site", "", "", "Menu", "Bread"), "Bread"),
        (page("Bread - News | The Site", "", "", "Menu", "Bread – News"), "Bread – News"),
        (page("The Site | Bread", "", "The Site", "The Site"), "Bread"),
        (page("The ‘best’ bread | Site", "", "", "The 'best' bread"), "The 'best' bread"),
        (page("How to bake good bread", "", "", "Bake the bread"), "Bake the bread"),
        (page("How to bake", "", "", "Cookies and other things"), "How to bake"),
        (page("How to bake good bread", "", "", "Bake", "bread"), "How to bake good bread"),
        (page("Bread | The Site", "Bread", ""), "Bread"),
        (page("Bread | The Site", "Good | better bread", ""), "Good | better bread"),
        (page("Bread | The Site"), "Bread"),
        (page("Bread | Wine | The Site", "", "The Site"), "Bread | Wine"),
        (page("Bread-maker: a test"), "Bread-maker: a test"),
        (page(twitter="Tweet"), "Tweet"),
        (page("", "", "", "", "Heading", "Second"), "Heading"),
        (page("面包_新闻|网站"), "面包_新闻"),
        ("<svg><title>icon</title></svg><h1>a\x01  e\u0301</h1>", "a \xe9"),
        ("<title> </title><h1></h1>", None),
        (page("x" * 1001, "", "", "Heading"), "Heading"),
        ("<p>text</p>", None),
        (page("| The Site"), "| The Site"),
    ],
)
def test_title(html, expected):
    assert find_title(look(html)) == expected


def test_titles_of_many_parts_are_bounded():
    """At most a dozen parts are joined in every way."""
    assert find_title(look(page(" | ".join("abcdefghijklmnopqrst"), "", "", "a | b"))) == "a | b"
