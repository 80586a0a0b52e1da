"""Charsets: real pages, chardet's test set, and each rule by hand."""

import codecs
import gzip
import json
import re
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extraction.charset import decode

#: Files of chardet's set that come out differently, and why.
CANNOT_BE_TOLD = {
    "EUC-JP/_mozilla_bug431054_text.html": "four words of Japanese, declared nowhere",
    "EUC-TW/_ude_euc-tw1.txt": "Python has no codec for EUC-TW",
    "Johab/hlpro-readme.txt": "Johab was the DOS of Korea; uchardet does not know it",
    "Johab/iyagi-readme.txt": "Johab",
    "Johab/mdir-doc.txt": "Johab",
    "MacRoman/ioreg_output.txt": "one character beyond ASCII",
    "iso-8859-7-greek/_ude_2.txt": "a letter that windows-1253 has elsewhere, in two places",
}
#: Folder names (without the language) that Python spells otherwise, or whose superset is meant.
CODECS = {
    "CP932": "cp932",
    "SHIFT_JIS": "cp932",
    "EUC-KR": "cp949",
    "CP949": "cp949",
    "GB2312": "gb18030",
    "Big5": "big5hkscs",
    "TIS-620": "cp874",
    "iso-8859-1": "cp1252",
    "MacCyrillic": "mac_cyrillic",
    "MacRoman": "mac_roman",
    "IBM855": "cp855",
    "IBM866": "cp866",
}


def test_files_of_chardet_read_as_in_their_true_encoding(data_path):
    wrong, files = {}, 0
    with tarfile.open(data_path / "text" / "charset_chardet5.2.0_tests.tar.gz") as tar:
        for member in filter(tarfile.TarInfo.isfile, tar):
            if "LICENSE" in member.name:
                continue
            folder, name = member.name.split("/")[-2:]
            data = tar.extractfile(member).read()
            files += 1
            codec = CODECS.get(folder) or re.sub(r"(8859-\d+|125\d)-[a-z]+$", r"\1", folder)
            text, charset = decode(data, None)
            try:
                true = data.decode(codec).removeprefix("\ufeff")
            except LookupError:
                true = None
            if text != true:
                wrong[f"{folder}/{name}"] = charset
    assert files > 420
    assert set(wrong) == set(CANNOT_BE_TOLD), wrong


def grams(text: str) -> set[str]:
    flat = "".join(text.split())
    return {flat[i : i + 4] for i in range(len(flat) - 3)}


def test_every_legacy_page_is_read_rightly(open_mini, read, data_path):
    """The gold text is part of the decoded page."""
    manifest = (data_path / "warc/open/manifest.jsonl").read_text().splitlines()
    legacy = {m["record_id"] for m in map(json.loads, manifest) if m["charset"] != "utf-8"}
    with gzip.open(open_mini.with_name("open-mini-gold.jsonl.gz"), "rt", encoding="utf-8") as file:
        gold = {g["record_id"]: g for g in map(json.loads, file)}
    checked, charsets = 0, set()
    for row in read(open_mini.read_bytes()).rows:
        known = gold.get(row["record_id"], {})
        wanted = grams(known.get("gold_text") or "".join(known.get("with") or []))
        if row["record_id"] not in legacy:
            assert decode(row["payload"], row["content_type"])[1] == "utf-8"
        elif wanted:
            text, charset = decode(row["payload"], row["content_type"])
            share = len(wanted & grams(re.sub(r"<[^>]*>|&nbsp;", "", text))) / len(wanted)
            assert share > 0.6, (row["url"], charset)
            charsets.add(charset)
            checked += 1
    assert checked >= 25
    assert charsets == {"gb18030", "windows-1252"}


CHINESE = (
    "\u4e2d\u6587\u7f51\u9875\u7684\u6b63\u6587\uff0c\u7528\u6765\u6d4b\u8bd5\u7f16\u7801\u3002" * 4
)
JAPANESE = "\u65e5\u672c\u8a9e\u306e\u30da\u30fc\u30b8\u3067\u3059\u3002" * 4
GERMAN = "Stra\u00dfe, \u00c4rger \u2013 \u201egro\u00df\u201c"


@pytest.mark.parametrize(
    ("payload", "content_type", "text", "charset"),
    [
        (b"", None, "", "utf-8"),
        (b"plain", "text/html; charset=gbk", "plain", "utf-8"),
        (CHINESE.encode(), "text/html; charset=gb2312", CHINESE, "utf-8"),
        (CHINESE.encode("gbk"), "text/html; charset=GB2312", CHINESE, "gb18030"),
        (CHINESE.encode("gbk"), "text/html; charset=utf-8", CHINESE, "gb18030"),
        (CHINESE.encode("big5", "ignore"), 'text/html; charset="Big5"', None, "big5"),
        (JAPANESE.encode("cp932"), "text/html;charset=Shift_JIS", JAPANESE, "shift_jis"),
        (JAPANESE.encode("euc_jp"), "text/html; charset=x-euc-jp", JAPANESE, "euc-jp"),
        (b"\xad\xa1" + JAPANESE.encode("euc_jp"), "a/b; charset=euc-jp", "\u2460" + JAPANESE, "euc-jp"),
        (JAPANESE.encode("iso2022_jp"), None, JAPANESE, "iso-2022-jp"),
        (GERMAN.encode("cp1252"), "text/html; charset=ISO-8859-1", GERMAN, "windows-1252"),
        (GERMAN.encode("cp1252"), "text/html; charset=unknown-thing", GERMAN, "windows-1252"),
        (GERMAN.encode("cp1252"), "text/html; charset=rot13", GERMAN, "windows-1252"),
        (codecs.BOM_UTF8 + GERMAN.encode(), "a/b; charset=latin1", GERMAN, "utf-8"),
        (codecs.BOM_UTF16_LE + GERMAN.encode("utf-16-le"), None, GERMAN, "utf-16-le"),
        (codecs.BOM_UTF16_BE + GERMAN.encode("utf-16-be"), None, GERMAN, "utf-16-be"),
        (codecs.BOM_UTF32_LE + GERMAN.encode("utf-32-le"), None, GERMAN, "utf-32-le"),
        (GERMAN.encode("utf-16-le"), None, GERMAN, "utf-16-le"),
        (GERMAN.encode("utf-32-be"), None, GERMAN, "utf-32-be"),
    ],
)  # fmt: skip
def test_cases(payload, content_type, text, charset):
    got = decode(payload, content_type)
    assert got == (payload.decode("big5") if text is None else text, charset)


@pytest.mark.parametrize(
    "declaration",
    [
        "<meta charset=gb2312>",
        '<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=gb2312">',
        "<meta content='text/html; charset = \"gbk\"' http-equiv=content-type>",
        '<?xml version="1.0" encoding="GB18030"?>',
    ],
)
@pytest.mark.parametrize("content_type", [None, "text/html", "text/html; charset=iso-8859-1"])
def test_the_page_declares(declaration, content_type):
    page = f"<html>{declaration}<p>{CHINESE}</p>"
    assert decode(page.encode("gb18030"), content_type) == (page, "gb18030")


def test_a_declaration_counts_within_4096_bytes():
    declaration = "<meta charset=iso-8859-15>"
    for padding, is_seen in ((4096 - len(declaration), True), (4096, False)):
        page = " " * padding + declaration + "<p>" + "gr\u00f6\u00dfer " * 40
        charset = decode(page.encode("iso-8859-15"), None)[1]
        assert (charset == "iso-8859-15") == is_seen


@pytest.mark.parametrize(("bad", "charset"), [(11, "utf-8"), (12, "windows-1252")])
def test_utf8_with_a_tenth_of_bad_characters(bad, charset):
    """100 good characters beyond ASCII: 11 bad ones are 9.9 %, 12 are 10.7 %."""
    payload = "\u00e9 ".encode() * 100 + b"\xe9 " * bad
    assert decode(payload, "text/html; charset=windows-1252")[1] == charset


@pytest.mark.parametrize(("bad", "believed"), [(2, True), (3, False)])
def test_a_declared_charset_with_two_percent_of_bad_characters(bad, believed):
    payload = ("\u4e2d " * 100).encode("gb18030") + b"\xff " * bad
    text, charset = decode(payload, "text/html; charset=gbk")
    assert (charset == "gb18030" and text.count("\ufffd") == bad) == believed


@given(st.binary(max_size=300), st.one_of(st.none(), st.text(max_size=40)))
def test_any_bytes_have_a_text(payload, content_type):
    text, charset = decode(payload, content_type)
    assert charset
    text.encode()


@given(st.text(st.characters(exclude_characters="\x00\x1b\ufeff", exclude_categories=["Cs"])))
def test_utf8_is_read_as_it_is(text):
    assert decode(text.encode(), "text/html; charset=gbk") == (text, "utf-8")
