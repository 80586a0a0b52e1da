"""Hostile and unusual pages through the whole engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extraction.engines.blocks.engine import Extraction, extract

MANY = 20_000
PIECES = ["<div>", "<p>", "<p>a", "<a href=x>b</a>", "<li>c", "<td>", "<svg>", "<", "&", "<!--",
          "<a b='", "<script>", "\0", "<br>d", "<pre>\n", "<template>", "e "]  # fmt: skip
NAMES = ["Home", "News", "About us", "Contact", "Sign in", "Products", "Careers", "Help centre",
         "Terms of use", "Privacy", "Blog"]  # fmt: skip


def check(page: str) -> Extraction:
    """What holds for every page."""
    extraction = extract(page)
    assert 0 <= extraction.confidence <= 1
    size = len(page.encode("utf-8", "replace"))
    last = 0
    for block in extraction.blocks:
        assert last <= block.start < block.end <= size
        assert block.text
        assert 0 <= block.probability <= 1
        last = block.end
    if not any(block.kept for block in extraction.blocks):
        assert extraction.text == ""
    extraction.text.encode()
    extraction.write(markdown=True).encode()
    return extraction


@pytest.mark.parametrize("piece", PIECES)
def test_one_thing_many_times(piece):
    check(piece * MANY)


@pytest.mark.parametrize("page", ["", " ", "\0", "<html></html>", "<frameset><frame>"])
def test_pages_without_text(page):
    assert check(page).text == ""


@pytest.mark.parametrize("items", [4, 11, 60])
@pytest.mark.parametrize("around", ["nav", "header", "footer", "div"])
def test_a_page_with_nothing_but_a_menu_has_no_main_text(items, around):
    names = [NAMES[i % len(NAMES)] + " " * (i // len(NAMES)) for i in range(items)]
    menu = "".join(f"<li><a href='/{i}'>{name}</a>" for i, name in enumerate(names))
    assert check(f"<html><body><{around}><ul>{menu}</ul></{around}></body></html>").text == ""


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=30))
def test_random_soup(pieces):
    check("".join(pieces))
