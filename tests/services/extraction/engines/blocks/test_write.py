"""Blocks come out as text that a reader and a Markdown parser take for the same blocks."""

import re
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.extraction.engines.blocks.layout import Kind
from services.extraction.engines.blocks.write import write
from tests.services.extraction.engines.blocks.markdown_reader import Read, read
from tests.services.extraction.engines.blocks.pages import Piece, item, kept_of, row, scan_of

HOSTILE = [
    "# ",
    "## ",
    "####### ",
    "#",
    "> ",
    ">>",
    "- ",
    "-",
    "+ ",
    "* ",
    "*",
    "1. ",
    "1) ",
    "12. ",
    "1234567890. ",
    "3.",
    "```",
    "````",
    "~~~",
    "~~",
    "`",
    "---",
    "--",
    "===",
    "=",
    "***",
    "* * *",
    "___",
    "__",
    "_",
    "\t",
    "    ",
    "a",
    "b_c",
    "a*b",
    "5 * 3",
    "**x**",
    "_y_",
    "(_z_)",
    "<b>",
    "</b>",
    "<!-- x -->",
    "<?php",
    "<!DOCTYPE html>",
    "<3",
    "a < b",
    "&amp;",
    "&#35;",
    "&",
    "AT&T",
    "[a](b)",
    "[a][b]",
    "[a]",
    "[a]: b",
    "![c](d)",
    "]",
    "](",
    "]:",
    "[ ] ",
    "[x] ",
    "\\",
    "\\\\",
    "\\*",
    "\\a",
    "http://x.y/_a_",
    "<http://x.y>",
    "$x$",
    ": ",
    ":-:",
    "--- ",
    " ",
    ".",
    ",",
    "!",
    "(",
    ")",
    '"',
    "'",
    "é",
    "中文",
    "אב",
    "\u200f",
    "a\xa0b",
    "。",
]
HOSTILE += ["|", "\n", "\n\n", " ", "| --- |", "a | b", "--- | ---", "\\|", "\\\n"]


def plain(*pieces: Piece) -> str:
    return write(scan_of(pieces), kept_of(pieces))


def markdown(*pieces: Piece) -> str:
    return write(scan_of(pieces), kept_of(pieces), markdown=True)


def collapse(text: str) -> str:
    """White space as the scan leaves it: at most a space or line feeds between words."""
    return re.sub(r"[^\S\u00a0]*\n\s*?(\n?)\s*", r"\n\1", re.sub(r"[ \t]+", " ", text)).strip()


_lines = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text("ab*_-#>`~[]()!<&;|\\ \n", max_size=6)), min_size=1
)
texts = _lines.map("".join).map(collapse).filter(bool)
_cells = texts.map(lambda text: re.sub(r"\s+", " ", text))
_code = _lines.map("".join).map(lambda text: text.strip("\n")).filter(lambda text: text.strip())
_places = {"quote": st.integers(0, 2), "kept": st.sampled_from([True, True, True, False])}


@st.composite
def pieces(draw) -> Piece:
    kind = draw(st.sampled_from(Kind))
    level = draw(st.integers(1, 6) if kind == Kind.HEADING else st.integers(kind == Kind.ITEM, 3))
    group = -1 if kind == Kind.HEADING or not level else draw(st.integers(0, 1))
    number = draw(st.sampled_from([0, 0, 1, 2, 3, 10, 999_999_999])) if kind == Kind.ITEM else 0
    if kind == Kind.ROW:
        group = draw(st.integers(0, 1))
        text = "\t".join(
            [*draw(st.lists(st.one_of(st.just(""), _cells), min_size=1, max_size=2)), draw(_cells)]
        )
    else:
        text = draw(_code if kind == Kind.CODE else texts)
    return Piece(text, kind, level, number, draw(_places["quote"]), group, draw(_places["kept"]))


def expected(piece: Piece) -> list[Read]:
    """What a Markdown parser should read, but for the level of what is no heading."""
    kind, quote = piece.kind.name.lower(), piece.quote
    match piece.kind:
        case Kind.HEADING:
            return [Read(kind, re.sub(r"\n+", " ", piece.text), quote, piece.level)]
        case Kind.CODE:
            return [Read(kind, piece.text + "\n", quote)]
        case Kind.ROW:
            return [Read(kind, piece.text, quote)]
    first, *others = re.split(r"\n{2,}", piece.text)
    later = "paragraph" if piece.kind == Kind.ITEM else kind
    return [
        Read(kind, first, quote, 0, piece.number),
        *(Read(later, text, quote) for text in others),
    ]


@given(st.lists(pieces(), max_size=8))
def test_markdown_is_read_as_the_same_blocks(page):
    source = markdown(*page)
    found = [
        block if block.kind == "heading" else block._replace(level=0) for block in read(source)
    ]
    assert found == [block for piece in page if piece.kept for block in expected(piece)], source


@given(texts)
@example("1. a\n2. b")
@example("a\n---")
@example("a | b\n--- | ---\nc | d")
@example("[a]: /url\n\n[a]")
def test_no_text_is_markup(text):
    assert read(markdown(Piece(text))) == expected(Piece(text))


@given(st.lists(pieces(), max_size=8))
def test_plain_text_has_every_kept_text_as_it_is(page):
    rest = plain(*page)
    for piece in page:
        if piece.kept:
            mark = r" *([0-9]+\.|-) " if piece.kind == Kind.ITEM else ""
            found = re.match(r"\n{0,2}" + mark + re.escape(piece.text), rest)
            assert found, (piece, rest)
            rest = rest[found.end() :]
    assert not rest


PROSE = """\
snake_case and _private | 5 * 3 = 15 | a < b, c > d | see [1] and [citation needed] | AT&T; R&D | C# and F#
- 5 degrees? no, -5 | 2*3 | ~5 km | #hashtag | 1984 was. | 3.5 mm | C:\\Users\\me | $5 | (c) | e.g. "x" | a: b
https://example.org/a_b_c?d=e&f=g#h | +49 30 1234 | 50% - 60% | wait... | * | 1.Kapitel | user@host.example"""


@pytest.mark.parametrize(
    "text",
    [
        t.strip()
        for t in re.split(r" \| |\n", PROSE)
        if t.strip() not in ("*", "- 5 degrees? no, -5")
    ],
)
def test_ordinary_prose_is_not_escaped(text):
    assert markdown(Piece(text)) == text


def test_plain_text_keeps_together_what_is_one_thing():
    page = [
        Piece("Title", Kind.HEADING, 1),
        Piece("First\nsecond line."),
        item("One", group=1),
        item("Inner", 2, group=1),
        item("Two", group=1),
        item("Other list", number=3, group=2),
        item("Next", number=4, group=2),
        Piece("Of next.", level=1, group=2),
        row("Name", "Size", group=3),
        row("", "12", group=3),
        row("Other", "table", group=4),
        Piece("Term", Kind.TERM, 1, group=5),
        Piece("Its meaning.", level=1, group=5),
        Piece("Term 2", Kind.TERM, 1, group=5),
        Piece("Quoted", quote=1),
        Piece("\n  if x:\n\n\ty\n", Kind.CODE),
    ]
    assert plain(*page) == (
        "Title\n\nFirst\nsecond line.\n\n- One\n  - Inner\n- Two\n\n3. Other list\n4. Next\n\nOf next.\n\n"
        "Name\tSize\n\t12\n\nOther\ttable\n\nTerm\nIts meaning.\n\nTerm 2\n\nQuoted\n\n  if x:\n\n\ty"
    )


def test_markdown_of_a_page():
    page = [
        Piece("Title #", Kind.HEADING, 2),
        Piece("First\nsecond line."),
        item("One", group=1),
        item("Inner", 2, number=1, group=1),
        Piece("Of inner.", level=2, group=1),
        Piece("x\n\n  y", Kind.CODE, 2, group=1),
        Piece("Of one.", level=1, group=1),
        item("Two", group=1),
        item("Other list", group=2),
        row("Name", "Size", "", group=3),
        row("a|b", "12", group=3),
        row("alone", group=4),
        row("below", group=4),
        Piece("Term", Kind.TERM, 1, group=5),
        Piece("Said", quote=1),
        Piece("Said before", quote=2),
        Piece("```\n", Kind.CODE),
    ]
    assert (
        markdown(*page)
        == """\
## Title \\#

First  \nsecond line.

- One
  1. Inner

     Of inner.

     ```
     x

       y
     ```

  Of one.

- Two

* Other list

| Name | Size |  |
| --- | --- | --- |
| a\\|b | 12 |  |

alone  \nbelow

**Term**

> Said
>
> > Said before

````
```
````"""
    )


def test_lists_side_by_side_stay_apart():
    numbers = [(1, 0), (2, 0), (1, 1), (2, 1), (7, 1), (0, 2), (0, 3), (0, 4)]
    source = markdown(*(item("x", number=n, group=g) for n, g in numbers))
    assert [block.number for block in read(source)] == [n for n, _ in numbers]
    assert [line.split()[0] for line in source.split("\n") if line] == [
        "1.", "2.", "1)", "2)", "7.", "-", "*", "-",
    ]  # fmt: skip


def test_an_inner_list_may_begin_with_any_number():
    source = markdown(item("a"), item("b", 2, number=3), item("c", 2, number=4), item("d"))
    assert read(source) == [
        Read("item", "a", 0, 1),
        Read("item", "b", 0, 2, 3),
        Read("item", "c", 0, 2, 4),
        Read("item", "d", 0, 1),
    ]


def test_the_rest_of_a_dropped_item_belongs_to_no_other():
    page = [item("a"), item("b", kept=False), Piece("of b", level=1, group=0), item("c")]
    assert read(markdown(*page)) == [
        Read("item", "a", 0, 1),
        Read("paragraph", "of b"),
        Read("item", "c", 0, 1),
    ]
    page = [item("a"), item("b", kept=False), item("inner", 2), item("c")]
    assert plain(*page) == "- a\n- inner\n- c"


def test_items_whose_outer_items_are_dropped_are_not_code():
    page = [item("a", 3), item("b", 2), item("c", 3), item("d", 1)]
    assert markdown(*page) == "- a\n- b\n  - c\n- d"


def test_quotations_in_items_and_items_in_quotations():
    page = [
        item("a"),
        Piece("q", level=1, group=0, quote=1),
        item("b"),
        item("c", quote=1, group=1),
    ]
    page.append(Piece("d", level=1, quote=1, group=1))
    assert markdown(*page) == "- a\n\n  > q\n\n- b\n\n> - c\n>\n>   d"


def test_nothing_kept_is_no_text():
    page = [Piece("a", kept=False), Piece("b", kept=False), Piece(" \n\t"), Piece(" \n", Kind.CODE)]
    assert plain(*page) == markdown(*page) == plain() == markdown() == ""


def test_bytes_that_are_no_utf8_are_replaced():
    scan = scan_of([Piece("aXb"), Piece("c")])
    text = np.where(scan.text == ord("X"), 0xFF, scan.text).astype(np.uint8)
    for is_markdown in (False, True):
        assert write(scan._replace(text=text), np.ones(2, np.bool_), is_markdown) == "a\ufffdb\n\nc"


@pytest.mark.parametrize("is_markdown", [False, True])
def test_time_is_linear(is_markdown):
    """Deep lists, many rows, one long line of signs: ten times as much takes at most 30 times."""

    def seconds(size: int) -> float:
        page = [item("x", min(n, 255)) for n in range(size)] + [row("a", "b")] * size
        page += [Piece("*_`[](<&" * size), Piece("*" * size), Piece("_" * size + " ", quote=255)]
        scan, kept = scan_of(page), kept_of(page)
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            write(scan, kept, is_markdown)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(5_000) < 30 * seconds(500) + 0.01
