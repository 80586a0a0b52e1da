r"""What must get a backslash so that Markdown reads it as text (CommonMark 0.31, GFM tables).

Only what would be markup: `snake_case`, `5 * 3`, `a < b`, `[1]`, `AT&T` and a lone star stay.
"""

import re
from html.entities import html5
from typing import Final

#: Each alternative begins with its sign, so that `re` skips all else at once; what is before a sign
#: is looked at behind it.
_INLINE: Final = re.compile(
    r"""
      \\(?=[!-/:-@\[-`{-~\n]|\Z)      # a backslash before what it would escape, or a line's end
    | <(?=[A-Za-z/!?])                # a tag, a comment, a link
    | &(?=\#[0-9xX] | ([A-Za-z][0-9A-Za-z]*;))    # a reference, its name
    | \](?=[(:])                      # a link, a definition of one; others need a definition
    | ~~+                             # struck out, or a fence
    | ``*
    | \*\**
    | _(?<=[^ \t\n\w]_)_*             # not between spaces, and not between letters or digits
    | _(?<=[^\W_]_)_*(?!\w)
    | _(?<![^ \t\n]_)_*(?=[^ \t\n_])
    """,
    re.VERBOSE,
)
#: Signs of which a single run means nothing, unless it is a fence.
_PAIRED: Final = "`*_"
_FENCE: Final = "```"
_SPACES: Final = " \t\n"
#: A line's begin: a number of a list (its digits found), a bullet, a heading, a quotation, a task,
#: or a line of nothing but signs: a rule, an underline, a table's second row.
_LINE: Final = re.compile(
    r"""
      ([0-9]{1,9}) (?=[.)](?:[ \t]|\Z))
    | (?=[-+*](?:[ \t]|\Z) | \#{1,6}(?:[ \t]|\Z) | > | \[[ xX]\][ \t] | [-:|*_=][-:|*_= \t]*\Z)
    """,
    re.VERBOSE,
)
#: The signs that a heading may end with.
_CLOSING: Final = re.compile(r"#(?<![^ \t]#)#*\Z")


def escape(text: str, *, bold: bool = False) -> str:
    """Lines of text, or of bold text."""
    text = inline(text, bold=bold)
    if "\n" in text:
        return "\n".join(map(_line, text.split("\n")))
    return _line(text)


def _line(line: str) -> str:
    found = _LINE.match(line)
    return f"{line[: found.end()]}\\{line[found.end() :]}" if found else line


def heading(text: str) -> str:
    """The text of a heading, one line behind its signs."""
    return _CLOSING.sub(r"\\\g<0>", inline(text))


def cell(text: str) -> str:
    """The text of a cell, one line between bars."""
    return inline(text).replace("|", "\\|")


def inline(text: str, *, bold: bool = False) -> str:
    """Text that is not at a line's begin. In bold text each star counts."""
    found = [run for run in _INLINE.finditer(text) if _counts(run, bold=bold)]
    if not found:
        return text
    first_signs = [run.group()[0] for run in found]
    lone = {sign for sign in _PAIRED if not bold and first_signs.count(sign) == 1}
    parts: list[str] = []
    at = 0
    for run, sign in zip(found, first_signs, strict=True):
        signs = run.group()
        if sign not in lone or signs.startswith(_FENCE):
            parts += text[at : run.start()], *("\\" + sign for sign in signs)
            at = run.end()
    return "".join([*parts, text[at:]])


def _counts(run: re.Match[str], *, bold: bool) -> bool:
    """Whether these signs may mean something: no unknown reference, no stars between spaces."""
    text, start, end = run.string, run.start(), run.end()
    if text[start] == "&":
        return run[1] is None or run[1] in html5
    return (
        bold
        or text[start] != "*"
        or (start > 0 and text[start - 1] not in _SPACES)
        or (end < len(text) and text[end] not in _SPACES)
    )
