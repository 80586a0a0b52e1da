"""The language that a page says: whose word counts, and how it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extraction.hints.languages import find_language, normal_language
from services.extraction.hints.tags import look


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("EN", "en"),
        (" de_at ", "de-AT"),
        ("zh_hans_cn", "zh-Hans-CN"),
        ("zh-Hant", "zh-Hant"),
        ("es-419", "es-419"),
        ("en-US-x-private", "en-US"),
        ("en_US.UTF-8", "en-US"),
        ("gsw-CH", "gsw-CH"),
        ("english", None),
        ("cn", None),
        ("jp-JP", None),
        ("und", None),
        ("zxx", None),
        ("en, de", None),
        ("{{lang}}", None),
        ("", None),
        ("en-" + "a" * 40, None),
    ],
)
def test_normal(value, expected):
    assert normal_language(value) == expected


@given(st.text(max_size=40))
def test_normal_tags_stay_as_they_are(text):
    found = normal_language(text)
    assert found is None or normal_language(found) == found


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<meta property=og:locale content=fr_CA><html xml:lang=de lang=es>", "es"),
        ("<html lang='' xml:lang=de><meta http-equiv=content-language content=es>", "de"),
        ("<html lang=jp><meta http-equiv='Content-Language' content=ja>", "ja"),
        (
            "<meta property=og:locale content=fr_CA><meta http-equiv=Content-Language content='a, b'>",
            "fr-CA",
        ),
        ("<html><html lang=de>", "de"),
        ("<p lang=de>", None),
    ],
)
def test_the_element_speaks_before_its_descriptions(page, expected):
    assert find_language(look(page)) == expected
