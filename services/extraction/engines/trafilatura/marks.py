"""What trafilatura's XPath expressions ask of attributes, answered once an element.

The expressions that find and prune parts of a page test `@class`, `@id` and a few other attributes
of every element with some thirty regular expressions; each is evaluated on up to four copies of the
tree. The answers depend on the attribute's value alone, and values repeat within and across pages.
So one pass over the fresh tree leaves its answers as attributes of their own: names of one upper
case letter, which no page can have, since the HTML parser lowers names. Copies of the tree carry
them, and what is left of an expression is `.//*[@F]` and a test of the tag.

Derived from `trafilatura.xpaths` and `trafilatura.readability_lxml` (Apache-2.0).
"""

from collections.abc import Iterator
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

from services.extraction.engines.trafilatura.judge import Judge
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

#: Answers and the patterns that give them.
_Tests = tuple[tuple[int, tuple[str, ...]], ...]
_BOTH: Final[_Tests] = (
    (APPENDED, ("mvp-post-add-(?:box|wrap)", "infinite-?scroll")),
    (APPENDED_SURELY, ("mvp-post-add-(?:box|wrap)",)),
    (CAPTION, ("caption",)),
    (TEASER, ("[Tt]easer",)),
    (BODY_4, (r"\Acontent\Z", "[Mm]ain-[Cc]ontent")),
    (BODY_5, (r"\Amain",)),
    (OVERALL_1, _OVERALL_DISCARD_BOTH_TOKENS),
    (OVERALL_1 << _FIRST_OF_CLASS, _CONSENT_ID_CLASS_TOKENS),
    (OVERALL_2 << _FIRST_OF_CLASS, (r"\Areply-",)),
    (PRECISION << _FIRST_OF_CLASS, (r"(^|\s)bottom", r"bottom(\s|$)", r"(^|\s)link(\s|$)")),
    (FOOTER << _FIRST_OF_CLASS, ("footer",)),
)
_CLASS: Final[_Tests] = (
    *_BOTH,
    (SHARE_BUTTONS, ("elementor-share-buttons",)),
    (COMMENTS | COMMENT_LIST, (_COMMENTS_CLASS,)),
    (BODY_1, (r"\A(?:post|entry)\Z", *_ARTICLE_CONTENT_CLASS_TOKENS)),
    (BODY_3, (r"\A(?:postarea|art-postcontent|text|cell|story)\Z", *_STORY_CLASS_TOKENS)),
    (BODY_4, ("[Pp]age-[Cc]ontent", *_MAIN_CONTENT_CLASS_TOKENS)),
    (OVERALL_1, _OVERALL_DISCARD_CLASS_TOKENS),
    (OVERALL_2, ("^hide-|comments-title|nocomments|-reply-|message|akismet|suggest-links|-hide-",)),
    (OVERALL_2, ("hide-print| hidden| hide|noprint|notloaded",)),
)
_ID: Final[_Tests] = (
    *_BOTH,
    (COMMENTS | COMMENT_LIST, tuple(f"^{part}" for part in _COMMENTS_ID.split("|"))),
    (COMMENTS, ("^disqus_thread", "^dsq-comments")),
    (BODY_1, (r"\AarticleContent\Z", *_ARTICLE_CONTENT_ID_TOKENS)),
    (BODY_3, (r"\A(?:article|story)\Z", *_STORY_ID_TOKENS)),
    (BODY_4, _MAIN_CONTENT_ID_TOKENS),
    (OVERALL_1, _OVERALL_DISCARD_ID_TOKENS),
    (OVERALL_2, ("reader-comments|akismet",)),
    (OVERALL_2 << _FIRST_OF_STYLE, ("hidden",)),
)
#: The tests that ignore case.
_ANY_CASE: Final[dict[str, _Tests]] = {
    "class": ((CONSENT, (_COOKIE_CONSENT_RE,)), (BODY_3, ("fulltext",))),
    "id": ((CONSENT, (_COOKIE_CONSENT_RE,)),),
}
#: Those of the value in lower case.
_LOWERED: Final[_Tests] = (
    (UNLIKELY, (REGEXES["unlikelyCandidatesRe"].pattern,)),
    (_MAYBE, (REGEXES["okMaybeItsACandidateRe"].pattern,)),
)
#: Short and rare attributes: small sets of substrings, or the patterns of whole values.
_TESTS: Final[dict[str, _Tests]] = {
    "style": (
        (OVERALL_2, ("display:none", "display: none")),
        (OVERALL_2 << _FIRST_OF_STYLE, ("hidden",)),
        (PRECISION, ("border",)),
    ),
    "role": ((BODY_3, (r"\Aarticle\Z",)), (BODY_5, (r"\Amain",)), (OVERALL_1, ("[Nn]av",))),
    "itemprop": ((BODY_1, (r"\AarticleBody\Z",)),),
    "aria-hidden": ((OVERALL_2, (r"\Atrue\Z",)),),
    "data-lp-replacement-content": ((OVERALL_1, ("",)),),
    "data-component": ((OVERALL_1, ("MostPopularStories",)),),
    "class": _CLASS,
    "id": _ID,
}
_JUDGES: Final = {
    name: Judge(tests, _ANY_CASE.get(name, ()), _LOWERED if name in _ANY_CASE else ())
    for name, tests in _TESTS.items()
}

#: Answers by attribute and value; emptied when full, and long values are not kept (16 MiB at most).
_ANSWERS: Final[dict[tuple[str, str], int]] = {}
_ANSWERS_SIZE: Final = 2**15
_KEPT_LENGTH: Final = 256
#: The letters of each combination of answers.
_LETTERS: Final[dict[int, tuple[str, ...]]] = {}


def mark(tree: Element) -> list[tuple[Element, int]]:
    """Mark the elements of a tree; returns those that its pruning may concern, in order."""
    concerned = []
    known = _ANSWERS.get
    judged = _JUDGES
    for element in tree.iter("*"):
        answers = 0
        items = element.items()
        for item in items:
            if item[0] in judged:
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
    answers = _JUDGES[name].answers(value)
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
