"""jusText 3 (Pomikálek 2011), the extractor of The Pile (specs 8.2 and 8.3).

A page is cut into paragraphs; length, links and stop words say which are good, then neighbours
decide the doubtful ones. Stop words make it depend on the language.
"""

from functools import cache
from typing import Final

from pydantic import Field, field_validator

from shared.step import Params

#: The library's lists by ISO 639-1 code; "none": no stop words, for languages without a list, with
#: both densities at 0.
STOP_LISTS: Final = {
    "none": "", "af": "Afrikaans", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian",
    "bg": "Bulgarian", "bn": "Bengali", "bs": "Bosnian", "ca": "Catalan", "cs": "Czech",
    "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ka": "Georgian", "kk": "Kazakh",
    "kn": "Kannada", "ko": "Korean", "ku": "Kurdish", "la": "Latin", "lt": "Lithuanian",
    "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam", "mr": "Marathi", "ms": "Malay",
    "mt": "Maltese", "nb": "Norwegian_Bokmal", "ne": "Nepali", "nl": "Dutch",
    "nn": "Norwegian_Nynorsk", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sq": "Albanian", "sr": "Serbian",
    "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "tl": "Tagalog",
    "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese",
}  # fmt: skip


class JustextParams(Params):
    """The library's parameters and defaults. Lengths and distances in characters."""

    #: Whose stop words.
    language: str = "en"
    #: More of a paragraph in links: bad.
    max_link_density: float = Field(default=0.2, ge=0, le=1)
    #: Shorter: bad with a link, else decided by the neighbours.
    length_low: int = Field(default=70, ge=0)
    #: Longer, and enough stop words: good.
    length_high: int = Field(default=200, ge=0)
    #: Share of stop words among the words: below the first bad, from the second on good.
    stopwords_low: float = Field(default=0.30, ge=0, le=1)
    stopwords_high: float = Field(default=0.32, ge=0, le=1)
    #: How far before a good paragraph a heading is kept.
    max_heading_distance: int = Field(default=200, ge=0)
    #: Headings are paragraphs like others.
    no_headings: bool = False

    @field_validator("language")
    @classmethod
    def _has_a_list(cls, value: str) -> str:
        if value not in STOP_LISTS:
            raise ValueError(f"no stop words for {value!r}, only for {', '.join(STOP_LISTS)}")
        return value


def main_text(html: str, params: JustextParams) -> str:
    """The paragraphs that are no boilerplate, joined by blank lines, as The Pile did.

    The library's own steps, but for the parse: it would read a page with an XML declaration in
    the charset declared there, though its characters are known by now.
    """
    import lxml.html
    from justext import core
    from lxml.etree import ParserError

    try:
        parser = lxml.html.HTMLParser(encoding="utf-8")
        tree = lxml.html.fromstring(html.encode("utf-8", "replace"), parser=parser)
    except ParserError:  # nothing there
        return ""
    paragraphs = core.ParagraphMaker.make_paragraphs(core.preprocessor(tree))
    core.classify_paragraphs(
        paragraphs,
        _stop_words(params.language),
        params.length_low,
        params.length_high,
        params.stopwords_low,
        params.stopwords_high,
        params.max_link_density,
        params.no_headings,
    )
    core.revise_paragraph_classification(paragraphs, params.max_heading_distance)
    return "\n\n".join(p.text for p in paragraphs if not p.is_boilerplate)


@cache
def _stop_words(language: str) -> frozenset[str]:
    import justext

    if language == "none":
        return frozenset()
    words: frozenset[str] = justext.get_stoplist(STOP_LISTS[language])
    return words
