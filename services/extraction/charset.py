"""Bytes to characters, for pages that declare their charset rightly, wrongly or not at all.

The order was chosen by measurement. UTF-8 proves itself: of 385 legacy files of chardet's test set
(text/charset_chardet5.2.0_tests) read as UTF-8, at least 70 % of the characters beyond ASCII come
out as U+FFFD. So UTF-8 comes before any declaration, with a few bad bytes too, and detection, which
takes one valid UTF-8 page in nine for a Windows code page, comes last. A declaration that the
bytes contradict is not believed.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final

#: Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Where a page may declare its charset, in bytes. WHATWG demands 1,024; pages are later.
_PRESCAN_BYTES: Final = 4096
_DECLARED: Final = re.compile(rb"""(?i)(?:charset|encoding)\s*=\s*["']?\s*([a-z0-9_:.-]{2,40})""")
_TAG: Final = re.compile(rb"(?i)<(?:meta|\?xml)[^>]{0,1024}")
_CONTROL: Final = re.compile("[\x80-\x84\x86-\x9f]")
#: Escape sequences of the 7-bit encodings of Japanese and Korean (RFC 1468, RFC 1557).
_ESCAPES: Final = (
    (re.compile(rb"\x1b\$\)C"), "iso2022_kr"),
    (re.compile(rb"\x1b(?:\$[@B]|\$\([DOPQ]|\([IJ])"), "iso2022_jp_ext"),
)
#: U+FFFD among the characters beyond ASCII: at most this share in UTF-8 (real legacy text: .70 and
#: more), and in a charset that the page declares (gb18030 accepts most bytes, so that says less).
_BAD_UTF8: Final = 0.10
_BAD_DECLARED: Final = 0.02
#: NUL is half of the bytes of ASCII in UTF-16, three quarters in UTF-32.
_NUL_SHARE: Final = 0.2

#: Codec names of Python for what a label means on the web (encoding.spec.whatwg.org): the superset
#: that vendors wrote under the name. Tried in order.
_WEB_CODECS: Final[dict[str, tuple[str, ...]]] = {
    "ascii": ("cp1252",),
    "iso8859-1": ("cp1252",),
    "iso8859-9": ("cp1254",),
    "iso8859-11": ("cp874",),
    "tis-620": ("cp874",),
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "shift_jis": ("cp932", "shift_jis_2004"),
    "cp932": ("cp932", "shift_jis_2004"),
    "euc_jp": ("euc_jp", "euc_jis_2004"),
    "euc_kr": ("cp949",),
    "big5": ("big5hkscs", "cp950"),
    "iso2022_jp": ("iso2022_jp_ext",),
}
_LABELS: Final = {"x-mac-cyrillic": "mac_cyrillic", "mac-cyrillic": "mac_cyrillic"}
#: Codecs of characters; Python has others (rot13, zip, idna) that no page may name.
_CHARACTER_CODEC: Final = re.compile(
    r"(cp\d|iso8859|iso2022|koi8|mac-|euc_|gb|hz|big5|shift_jis|johab|tis|utf-(8|16|32)|kz1048)"
)
#: Western code pages of DOS: no page of the web is in one, windows-1252 with few quotes looks so.
_DOS: Final = re.compile(r"(ibm|cp)(437|85[0278]|86[0135])$")
#: What it is where the detector says ISO 8859 and control characters come out.
_WINDOWS: Final = {"iso8859-2": "cp1250", "iso8859-16": "cp1250"}
_NAMES: Final = {
    "big5hkscs": "big5",
    "cp874": "windows-874",
    "cp932": "shift_jis",
    "cp949": "euc-kr",
    "cp950": "big5",
    "euc_jis_2004": "euc-jp",
    "iso2022_jp_ext": "iso-2022-jp",
    "iso2022_kr": "iso-2022-kr",
    "mac-cyrillic": "x-mac-cyrillic",
    "mac-roman": "macintosh",
    "shift_jis_2004": "shift_jis",
}


def decode(payload: bytes, declared_content_type: str | None) -> tuple[str, str]:
    """The text of a page and the charset that it was read in (names of the WHATWG standard).

    `declared_content_type` is the Content-Type of the HTTP header. Never fails: where nothing fits
    bytes become U+FFFD.
    """
    for text, codec in _attempts(payload, declared_content_type):
        if text is not None:
            return text, _name(codec)
    return payload.decode("cp1252", "replace"), _name("cp1252")


def _attempts(payload: bytes, content_type: str | None) -> Iterator[tuple[str | None, str]]:
    """Readings from the surest to the least sure; None where one does not fit."""
    for mark, codec in _MARKS:
        if payload.startswith(mark):
            yield _strict(payload[len(mark) :], codec), codec
    if payload.isascii():
        for escape, codec in _ESCAPES:
            if escape.search(payload):
                yield _strict(payload, codec), codec
    yield from _wide(payload)
    yield _tolerant(payload, "utf-8", _BAD_UTF8), "utf-8"
    declared = _declared_codecs(payload, content_type)
    for codec in declared:
        yield _strict(payload, codec), codec
    for codec in declared:
        yield _tolerant(payload, codec, _BAD_DECLARED), codec
    detected = _detected_codecs(payload)
    for codec in detected:
        text = _strict(payload, codec)
        # Where ISO 8859 has control characters, Windows has quotes and dashes.
        yield (text if text is None or not _CONTROL.search(text) else None), codec
    yield _strict(payload, "cp1252"), "cp1252"
    for codec in detected[:1]:
        yield payload.decode(codec, "replace"), codec


def _strict(payload: bytes, codec: str) -> str | None:
    try:
        return payload.decode(codec)
    except UnicodeDecodeError:
        return None


def _tolerant(payload: bytes, codec: str, bad_share: float) -> str | None:
    """The text, where no more than `bad_share` of what is beyond ASCII had to be replaced."""
    text = _strict(payload, codec)
    if text is None:
        replaced = payload.decode(codec, "replace")
        beyond = len(replaced) - len(replaced.encode("ascii", "ignore"))
        text = replaced if replaced.count("\ufffd") <= bad_share * beyond else None
    return text


def _wide(payload: bytes) -> Iterator[tuple[str | None, str]]:
    """UTF-16 and UTF-32 without a mark, told by where the NULs of ASCII characters lie."""
    head = payload[:_PRESCAN_BYTES]
    if head.count(0) <= _NUL_SHARE * len(head):
        return
    zeros = [head[i::4].count(0) for i in range(4)]
    quarter = len(head) // 4
    # UTF-32: the two highest bytes of every character are 0 (all planes but the first are rare).
    if quarter and min(zeros[2], zeros[3]) >= quarter and zeros[0] < quarter:
        yield _strict(payload, "utf-32-le"), "utf-32-le"
    if quarter and min(zeros[0], zeros[1]) >= quarter and zeros[3] < quarter:
        yield _strict(payload, "utf-32-be"), "utf-32-be"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    codec = "utf-16-be" if even > odd else "utf-16-le"
    if max(even, odd) > 4 * min(even, odd):
        yield _strict(payload, codec), codec


def _declared_codecs(payload: bytes, content_type: str | None) -> list[str]:
    """Codecs of the HTTP header, then of the page.

    ISO-8859-1 in the header is often only a server's default: where the page names something else,
    the page comes first.
    """
    header = _DECLARED.search((content_type or "").encode())
    pages = [_DECLARED.search(tag[0]) for tag in _TAG.finditer(payload[:_PRESCAN_BYTES])]
    page = next((found for found in pages if found), None)
    from_header = _codecs(header[1].decode()) if header else []
    from_page = _codecs(page[1].decode()) if page else []
    # A page whose declaration could be read as ASCII is not in UTF-16.
    from_page = [codec for codec in from_page if not codec.startswith("utf-")]
    if from_header == ["cp1252"] and from_page:
        return [*from_page, *from_header]
    return [*from_header, *from_page]


def _detected_codecs(payload: bytes) -> list[str]:
    """What uchardet makes of the bytes; nothing where it has no opinion, or an odd one."""
    from resiliparse.parse.encoding import detect_encoding

    found = detect_encoding(payload, html5_compatible=False)
    if not found or _DOS.match(found.lower()):
        return []
    codecs_found = _codecs(found)
    return [*codecs_found, *(_WINDOWS[c] for c in codecs_found if c in _WINDOWS)]


def _codecs(label: str) -> list[str]:
    """Python's codecs for a label, in the order to try; nothing for an unknown one."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    label = label.strip().lower()
    known = _LABELS.get(label) or map_encoding_to_html5(label, fallback_utf8=False) or label
    try:
        name = codecs.lookup(known).name
    except (LookupError, ValueError):
        return []
    if not _CHARACTER_CODEC.match(name):
        return []
    return list(_WEB_CODECS.get(name, (name,)))


def _name(codec: str) -> str:
    """The WHATWG name of a codec of Python."""
    name = codecs.lookup(codec).name
    if name in _NAMES:
        return _NAMES[name]
    name = re.sub(r"^cp(125\d)$", r"windows-\1", name)
    name = re.sub(r"^cp(8\d\d)$", r"ibm\1", name)
    return re.sub(r"^iso8859", "iso-8859", name).replace("_", "-")
