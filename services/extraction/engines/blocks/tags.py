"""The tags that the scan knows, what each does to the tree and the text, and how a name is read.

Names and groups are those of the HTML standard (sections 13.1.2, 13.2.4 and 13.2.6); which elements
bound blocks of text is its rendering section (15.3).
"""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.text.compiled import leaf

Bytes = npt.NDArray[np.uint8]
UInt32s = npt.NDArray[np.uint32]

#: Names by number; 0 is the document.
NAMES: Final = (
    "#document", "html", "head", "body", "title", "base", "link", "meta", "style", "script",
    "noscript", "template", "address", "article", "aside", "blockquote", "center", "details",
    "dialog", "dir", "div", "dl", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2",
    "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "legend", "main", "menu", "nav", "ol", "p",
    "pre", "search", "section", "summary", "ul", "li", "dd", "dt", "table", "caption", "colgroup",
    "col", "thead", "tbody", "tfoot", "tr", "td", "th", "a", "b", "big", "code", "em", "font", "i",
    "nobr", "s", "small", "strike", "strong", "tt", "u", "span", "abbr", "cite", "q", "sub", "sup",
    "time", "mark", "kbd", "samp", "var", "ins", "del", "label", "button", "br", "wbr", "img",
    "input", "area", "embed", "param", "source", "track", "frame", "keygen", "basefont", "bgsound",
    "iframe", "noembed", "noframes", "plaintext", "xmp", "listing", "textarea", "select", "option",
    "optgroup", "datalist", "svg", "math", "annotation", "object", "applet", "audio", "video",
    "canvas", "frameset",
)  # fmt: skip
ID: Final = {name: i for i, name in enumerate(NAMES)}
#: Other names share numbers from here on, by their hash.
UNKNOWN: Final = 128
TAGS: Final = 256

#: A boundary between blocks of text.
BLOCK: Final = 1
#: Has no content and no end tag.
VOID: Final = 2
#: Content is characters up to the end tag, and no text of the page.
RAW: Final = 4
#: What is inside is not shown, or not prose.
SKIP: Final = 8
#: Its start closes an open paragraph.
CLOSES_P: Final = 16
#: Formatting elements: may end across blocks.
FORMATTING: Final = 32
#: End tags of elements outside do not reach into these.
SCOPE: Final = 64
#: Belongs to the head of the page.
HEAD: Final = 128
#: Special elements beside which no list item is closed.
SPECIAL: Final = 256
#: Words beside it are apart, though it is no boundary of blocks.
APART: Final = 512

_HEADINGS = "h1 h2 h3 h4 h5 h6"
_P_CLOSERS = (
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure "
    f"footer header hgroup main menu nav ol p pre search section summary ul listing {_HEADINGS} "
    "form table hr li dd dt xmp plaintext"
)
_GROUPS: Final = {
    BLOCK: f"{_P_CLOSERS} html body head title legend caption colgroup thead tbody tfoot tr td th "
    "button noframes frameset template noscript select",
    VOID: "base link meta hr col br wbr img input area embed param source track frame keygen "
    "basefont bgsound",
    RAW: "style script title textarea iframe noembed",
    SKIP: "select datalist svg annotation audio video canvas option optgroup template",
    CLOSES_P: _P_CLOSERS,
    FORMATTING: "a b big code em font i nobr s small strike strong tt u sub sup",
    SCOPE: "table td th caption template object applet html",
    HEAD: "title base link meta style script noscript template head html",
    SPECIAL: "article aside blockquote body button caption center details dir dl fieldset figure "
    f"footer form header html main menu nav ol pre section table td th tr ul {_HEADINGS}",
    APART: "label img input object applet embed",
}


@cache
def flags() -> npt.NDArray[np.int64]:
    """The flags of each tag number, read-only."""
    table = np.zeros(TAGS, np.int64)
    for flag, names in _GROUPS.items():
        table[[ID[name] for name in names.split()]] |= flag
    table[UNKNOWN:] |= APART
    table.setflags(write=False)
    return table


_SLOTS: Final = 1024
_BASIS: Final = 0x811C9DC5
_PRIME: Final = 0x01000193


def name_hash(name: str) -> int:
    """FNV-1a of a lower case name, as the scan computes it."""
    value = _BASIS
    for byte in name.encode():
        value = (value ^ byte) * _PRIME & 0xFFFFFFFF
    return value


@cache
def names() -> UInt32s:
    """(slot, [hash, number]): where each name's hash is found, by open addressing; read-only."""
    table = np.zeros((_SLOTS, 2), np.uint32)
    for name, number in ID.items():
        value = name_hash(name)
        slot = value % _SLOTS
        while table[slot, 1]:
            slot = (slot + 1) % _SLOTS
        table[slot] = value, number
    table.setflags(write=False)
    return table


@leaf
def is_space(byte: int) -> bool:
    """Whether a byte is white space in HTML."""
    return byte == 32 or 9 <= byte <= 13 and byte != 11  # no tuples in the loop


@leaf
def append_hash(value: np.uint32, byte: int) -> np.uint32:
    """FNV-1a with one byte more."""
    return np.uint32((value ^ np.uint32(byte)) * np.uint32(0x01000193))


@leaf
def read_name(data: Bytes, at: int, end: int, table: UInt32s) -> tuple[int, int]:
    """The number of the tag whose name begins here, and where the name ends."""
    value = np.uint32(0x811C9DC5)
    while at < end:
        byte = data[at]
        if byte == 62 or byte == 47 or is_space(byte):
            break
        if 65 <= byte <= 90:
            byte += 32
        value = append_hash(value, byte)
        at += 1
    slot = int(np.int64(value) % len(table))
    while table[slot, 1] != 0:
        if table[slot, 0] == value:
            return int(table[slot, 1]), at
        slot = (slot + 1) % len(table)
    return UNKNOWN + int(np.int64(value) >> 8) % (TAGS - UNKNOWN), at
