"""What trafilatura's XPath expressions ask of attributes, answered once an element.

The expressions that find and prune parts of a page test `@class`, `@id` and a few other attributes
of every element with some thirty regular expressions; each is evaluated on up to four copies of the
tree. The answers depend on the attribute's value alone, and values repeat within and across pages.
So one pass over the fresh tree leaves its answers as attributes of their own: names of one upper
case letter, which no page can have, since the HTML parser lowers names. Copies of the tree carry
them, and what is left of an expression is `.//*[@F]` and a test of the tag.

Derived from `trafilatura.xpaths` and `trafilatura.readability_lxml` (Apache-2.0).
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from trafilatura.readability_lxml import FRAME_TAGS, REGEXES
from trafilatura.settings import _COOKIE_CONSENT_RE
from trafilatura.xpaths import (
    _ARTICLE_CONTENT_CLASS_TOKENS,
    _ARTICLE_CONTENT_ID_TOKENS,
    _COMMENTS_CLASS,
    _COMMENTS_ID,
    _CONSENT_ID_CLASS_TOKENS,
    _MAIN_CONTENT_CLASS_TOKENS,
    _MAIN_CONTENT_ID_TOKENS,
    _OVERALL_DISCARD_BOTH_TOKENS,
    _OVERALL_DISCARD_CLASS_TOKENS,
    _OVERALL_DISCARD_ID_TOKENS,
    _STORY_CLASS_TOKENS,
    _STORY_ID_TOKENS,
)

from services.extraction.engines.trafilatura.lx import Element

# A bit for each answer. The first ones become marks.
BODY_1, BODY_3, BODY_4, BODY_5 = (1 << n for n in range(4))
OVERALL_1, OVERALL_2, CAPTION, TEASER, PRECISION, COMMENTS = (1 << n for n in range(4, 10))
CONSENT, FOOTER, UNLIKELY = (1 << n for n in range(10, 13))
#: The letter of each mark.
MARKS: Final = {
    BODY_1: "A", BODY_3: "C", BODY_4: "D", BODY_5: "E", OVERALL_1: "F", OVERALL_2: "G",
    CAPTION: "H", TEASER: "I", PRECISION: "J", COMMENTS: "K", CONSENT: "L", FOOTER: "M",
    UNLIKELY: "U",
}  # fmt: skip
# Answers that the raw tree is pruned by.
APPENDED, APPENDED_SURELY, SHARE_BUTTONS, COMMENT_LIST = (1 << n for n in range(13, 17))
_PRUNING: Final = APPENDED | SHARE_BUTTONS | COMMENTS
# readability's "maybe it is a candidate", which overrules UNLIKELY.
_MAYBE: Final = 1 << 17
#: Answers of `re:test(@id|@class, …)` count where that attribute comes first in the source; the
#: same bits, shifted. Of `@id|@style` likewise.
_FIRST_OF_CLASS: Final = 18
_FIRST_OF_STYLE: Final = 31
_FIRST: Final = -1 << _FIRST_OF_CLASS
_HAS_STYLE_FIRST: Final = -1 << _FIRST_OF_STYLE

_Search = Callable[[str], object]
_Test = tuple[int, _Search]


def _any(tokens: tuple[str, ...], flags: int = 0) -> _Search:
    return re.compile("|".join(tokens), flags).search


def _holds(*parts: str) -> _Search:
    return lambda value: any(part in value for part in parts)


def _is(*values: str) -> _Search:
    return lambda value: value in values


def _starts(part: str) -> _Search:
    return lambda value: value.startswith(part)


_unlikely: Final = REGEXES["unlikelyCandidatesRe"].search
_maybe: Final = REGEXES["okMaybeItsACandidateRe"].search
_APPENDED: Final = ("mvp-post-add-(?:box|wrap)", "infinite-?scroll")
_FIRST_TESTS: Final = (
    (OVERALL_1 << _FIRST_OF_CLASS, _any(_CONSENT_ID_CLASS_TOKENS)),
    (OVERALL_2 << _FIRST_OF_CLASS, _starts("reply-")),
    (PRECISION << _FIRST_OF_CLASS, _any((r"(^|\s)bottom|bottom(\s|$)", r"(^|\s)link(\s|$)"))),
    (FOOTER << _FIRST_OF_CLASS, _holds("footer")),
)
_BOTH_TESTS: Final = (
    (APPENDED, _any(_APPENDED)),
    (APPENDED_SURELY, _any(_APPENDED[:1])),
    (CAPTION, _holds("caption")),
    (TEASER, lambda value: "teaser" in value.replace("T", "t")),
    (CONSENT, _any((_COOKIE_CONSENT_RE,), re.IGNORECASE)),
    (UNLIKELY, lambda value: _unlikely(value.lower())),
    (_MAYBE, lambda value: _maybe(value.lower())),
    (BODY_4, _is("content")),
    (BODY_4, lambda value: "main-content" in value.replace("C", "c").replace("M", "m")),
    (BODY_5, _starts("main")),
)
_CLASS_TESTS: Final = (
    (SHARE_BUTTONS, _holds("elementor-share-buttons")),
    (COMMENTS | COMMENT_LIST, _any((_COMMENTS_CLASS,))),
    (BODY_1, _is("post", "entry")),
    (BODY_1, _any(_ARTICLE_CONTENT_CLASS_TOKENS)),
    (BODY_3, _is("postarea", "art-postcontent", "text", "cell", "story")),
    (BODY_3, _any(("fulltext",), re.IGNORECASE)),
    (BODY_3, _any(_STORY_CLASS_TOKENS)),
    (BODY_4, _any(_MAIN_CONTENT_CLASS_TOKENS)),
    (BODY_4, lambda value: "page-content" in value.replace("C", "c").replace("P", "p")),
    (
        OVERALL_1,
        _any(_OVERALL_DISCARD_BOTH_TOKENS + _OVERALL_DISCARD_CLASS_TOKENS),
    ),
    (OVERALL_2, _is("comments-title")),
    (
        OVERALL_2,
        _any(
            (
                "^hide-|comments-title|nocomments|-reply-|message|akismet|suggest-links|-hide-",
                "hide-print| hidden| hide|noprint|notloaded",
            )
        ),
    ),
)
_ID_TESTS: Final = (
    (COMMENTS, _any((f"^(?:{_COMMENTS_ID}|disqus_thread|dsq-comments)",))),
    (COMMENT_LIST, _any((f"^(?:{_COMMENTS_ID})",))),
    (BODY_1, _is("articleContent")),
    (BODY_1, _any(_ARTICLE_CONTENT_ID_TOKENS)),
    (BODY_3, _is("article", "story")),
    (BODY_3, _any(_STORY_ID_TOKENS)),
    (BODY_4, _any(_MAIN_CONTENT_ID_TOKENS)),
    (OVERALL_1, _any(_OVERALL_DISCARD_BOTH_TOKENS + _OVERALL_DISCARD_ID_TOKENS)),
    (OVERALL_2, _any(("reader-comments", "akismet"))),
    (OVERALL_2 << _FIRST_OF_STYLE, _holds("hidden")),
)
_TESTS: Final[dict[str, tuple[_Test, ...]]] = {
    "class": (*_BOTH_TESTS, *_FIRST_TESTS, *_CLASS_TESTS),
    "id": (*_BOTH_TESTS, *_FIRST_TESTS, *_ID_TESTS),
    "style": (
        (OVERALL_2, _holds("display:none", "display: none")),
        (OVERALL_2 << _FIRST_OF_STYLE, _holds("hidden")),
        (PRECISION, _holds("border")),
    ),
    "role": (
        (BODY_3, _is("article")),
        (BODY_5, _starts("main")),
        (OVERALL_1, lambda value: "nav" in value.replace("N", "n")),
    ),
    "itemprop": ((BODY_1, _is("articleBody")),),
    "aria-hidden": ((OVERALL_2, _is("true")),),
    "data-lp-replacement-content": ((OVERALL_1, lambda _: True),),
    "data-component": ((OVERALL_1, _holds("MostPopularStories")),),
}

#: Answers by attribute and value; emptied when full, and long values are not kept (64 MiB at most).
_ANSWERS: Final[dict[tuple[str, str], int]] = {}
_ANSWERS_SIZE: Final = 2**15
_KEPT_LENGTH: Final = 512
#: The letters of each combination of answers.
_LETTERS: Final[dict[int, tuple[str, ...]]] = {}


def forget() -> None:
    """Free what is remembered of earlier pages."""
    _ANSWERS.clear()
    _LETTERS.clear()


def mark(tree: Element) -> list[tuple[Element, int]]:
    """Mark the elements of a tree; returns those that its pruning may concern, in order."""
    concerned = []
    known = _ANSWERS.get
    tests = _TESTS
    for element in tree.iter("*"):
        answers = 0
        items = element.items()
        for item in items:
            if item[0] in tests:
                answer = known(item)
                if answer is None:
                    answer = _answer(item)
                answers |= answer if answer >= 0 else _if_first(answer, item[0], items)
        if answers:
            for letter in _letters(answers, element):
                element.set(letter, "")
            if answers & _PRUNING:
                concerned.append((element, answers))
    return concerned


def _answer(item: tuple[str, str]) -> int:
    """All answers to one attribute; negative where some depend on what comes first."""
    name, value = item
    answers = 0
    for bits, test in _TESTS[name]:
        if test(value):
            answers |= bits
    if answers & _FIRST:
        answers = -answers
    if len(value) <= _KEPT_LENGTH:
        if len(_ANSWERS) >= _ANSWERS_SIZE:
            _ANSWERS.clear()
        _ANSWERS[item] = answers
    return answers


def _if_first(negative: int, name: str, items: list[tuple[str, str]]) -> int:
    """The answers, those to `@id|@class` and `@id|@style` only where the attribute is the first."""
    answers = -negative
    sure = answers & ~_FIRST
    names = [n for n, _ in items]
    if name != "style" and not any(n in {"id", "class"} for n in _before(names, name)):
        sure |= (answers & ~_HAS_STYLE_FIRST) >> _FIRST_OF_CLASS
    if name != "class" and not any(n in {"id", "style"} for n in _before(names, name)):
        sure |= answers >> _FIRST_OF_STYLE
    return sure


def _before(names: list[str], name: str) -> Iterator[str]:
    yield from names[: names.index(name)]


def _letters(answers: int, element: Element) -> tuple[str, ...]:
    if answers & UNLIKELY and (answers & _MAYBE or element.tag in FRAME_TAGS):
        answers &= ~UNLIKELY
    letters = _LETTERS.get(answers)
    if letters is None:
        if len(_LETTERS) >= _ANSWERS_SIZE:
            _LETTERS.clear()
        letters = tuple(letter for bit, letter in MARKS.items() if answers & bit)
        _LETTERS[answers] = letters
    return letters
