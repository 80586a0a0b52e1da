"""The language that a page says it is in."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from services.extraction.hints.tags import Tag

#: ISO 639-1, with codes that were withdrawn and are still written (in, iw, ji, mo, sh). Pages also
#: write countries (cn, jp, ua): these are no languages.
_CODES: Final = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv "
    "cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr "
    "ht hu hy hz ia id ie ig ii ik in io is it iu iw ja ji jv ka kg ki kj kk kl km kn ko kr ks "
    "ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng nl "
    "nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl "
    "sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi "
    "vo wa wo xh yi yo za zh zu"
)
_ISO_639_1: Final = frozenset(_CODES.split())
#: Codes that say that there is no one language.
_NO_LANGUAGE: Final = frozenset({"und", "mul", "mis", "zxx"})
_TAG: Final = re.compile(
    r"\s*([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?(?:[-_.][\w.-]*)?\s*",
    re.IGNORECASE | re.ASCII,
)
#: A tag is seldom longer; `Content-Language` with a list is the audience, not the page's language.
_MOST_CHARACTERS: Final = 35


def find_language(tags: Iterable[Tag]) -> str | None:
    """The first usable one of html's lang and xml:lang, Content-Language, og:locale."""
    said = sorted(_said(tags), key=lambda pair: pair[0])
    return next((tag for _, value in said if (tag := normal_language(value))), None)


def _said(tags: Iterable[Tag]) -> Iterator[tuple[int, str]]:
    """What the page says, with its rank: the element's own attribute before descriptions of it."""
    for tag in tags:
        if tag.name == "html":
            yield 0, tag.attributes.get("lang", "")
            yield 1, tag.attributes.get("xml:lang", "")
        elif tag.name == "meta":
            content = tag.attributes.get("content", "")
            if tag.attributes.get("http-equiv", "").strip().lower() == "content-language":
                yield 2, content
            if tag.attributes.get("property", "").strip().lower() == "og:locale":
                yield 3, content


def normal_language(value: str) -> str | None:
    """`zh_hans_cn` as `zh-Hans-CN`; other subtags go. None for what is no language's tag."""
    found = _TAG.fullmatch(value) if len(value) <= _MOST_CHARACTERS else None
    if found is None:
        return None
    language, script, region = found.groups(default="")
    language = language.lower()
    if language in _NO_LANGUAGE or (len(language) == 2 and language not in _ISO_639_1):
        return None
    return "-".join(part for part in (language, script.title(), region.upper()) if part)
