"""Many regular expressions on one short string, most of which do not match.

trafilatura tests a class against some 150 alternatives, each of which needs a fixed string
somewhere. One search finds which of these strings a value holds; only the alternatives that need
one of them are tried. 4 instead of 15 microseconds a value, and a page has 240 new ones.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Tests = Iterable[tuple[int, Iterable[str]]]
_Rule = tuple[int, Callable[[str], Any]]

#: A group of alternatives, and whether it may be missing.
_GROUP = re.compile(r"\((?:\?:)?([^()?][^()]*)\)(\??)")
#: What is no fixed string: lookaheads, sets, what may be missing, anchors and classes.
_LOOSE = re.compile(r"\(\?![^()]*\)|\[[^\]]*\](?:\?|\{[^}]*\})?|[^\\]\?|[\^$]|\\[AZs]")


class Judge:
    """The bits of all tests that hold for a string: those of which a pattern is found in it."""

    def __init__(self, tests: Tests, any_case: Tests = (), lowered: Tests = ()) -> None:
        rules = [*_rules(tests, 0), *_rules(any_case, re.IGNORECASE)]
        low_rules = [*_rules(lowered, 0)]
        cores = {core for core, _ in rules + low_rules}
        #: Where one core is within another it stands for both.
        shortest = {
            core: min((c for c in cores if c in core), key=lambda c: (len(c), c)) for core in cores
        }
        self._rules = {core: [r for c, r in rules if shortest[c] == core] for core in cores}
        self._low_rules = {core: [r for c, r in low_rules if shortest[c] == core] for core in cores}
        self._find = re.compile(f"(?=({_trie(set(shortest.values()))}))").findall

    def answers(self, value: str) -> int:
        """The bits for a value."""
        low = value.lower()
        # Beyond ASCII, what is equal but for case may differ in lower case.
        found = self._find(low) if value.isascii() else self._rules
        answers = 0
        for core in found:
            for bits, search in self._rules[core]:
                if search(value):
                    answers |= bits
            for bits, search in self._low_rules[core]:
                if search(low):
                    answers |= bits
        return answers


def _rules(tests: Tests, flags: int) -> Iterator[tuple[str, _Rule]]:
    """(fixed string, rule) of each alternative."""
    for bits, patterns in tests:
        for pattern in patterns:
            for alternative in _alternatives(pattern):
                yield _core(alternative), (bits, re.compile(alternative, flags).search)


def _alternatives(pattern: str) -> Iterator[str]:
    """Patterns without groups, which together find what a pattern finds."""
    group = _GROUP.search(pattern)
    if group is None:
        yield from pattern.split("|")
        return
    start, end = group.span()
    inner = [*group[1].split("|"), *([""] if group[2] else [])]
    # Alternatives of the whole pattern before and after the group stay with themselves.
    *before, left = pattern[:start].split("|")
    right, *after = _split_outside(pattern[end:])
    yield from before
    for part in inner:
        yield from _alternatives(left + part + right)
    for part in after:
        yield from _alternatives(part)


def _split_outside(pattern: str) -> list[str]:
    """Split at bars outside of groups."""
    parts, depth = [""], 0
    for char in pattern:
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _core(alternative: str) -> str:
    """The longest string that every match holds, in lower case."""
    return max(_LOOSE.sub("\0", alternative).lower().split("\0"), key=len)


def _trie(words: set[str]) -> str:
    """A pattern that finds the words, none of which is within another, letter by letter."""
    tails: dict[str, set[str]] = {}
    for word in sorted(words):
        if word:
            tails.setdefault(word[0], set()).add(word[1:])
    branches = [re.escape(char) + _trie(rest) for char, rest in tails.items()]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})" if branches else ""
