"""What spaCy's English tokenizer knows, from `tables.json` into arrays for the compiled loops."""

import json
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.text.spacy_en.strings import Int64Array, Memory, string_set

FILE: Final = Path(__file__).with_name("tables.json")

#: Classes of characters. `str.isspace`.
SPACE: Final = 1
#: spaCy's ALPHA, ALPHA_LOWER, ALPHA_UPPER; scripts without case are in all three.
ALPHA: Final = 2
LOWER: Final = 4
UPPER: Final = 8
#: Split off by itself at the start of a chunk, at its end.
PREFIX: Final = 16
SUFFIX: Final = 32
#: A final full stop after it is split off.
BEFORE_STOP: Final = 64
#: A full stop inside a chunk is split off between two such.
BEFORE_INNER_STOP: Final = 128
AFTER_INNER_STOP: Final = 256
#: Split off inside a chunk: the ellipsis and pictures.
INFIX: Final = 512
#: `\w` and `\d`.
WORD: Final = 1024
DIGIT: Final = 2048
#: Categories P*.
PUNCTUATION: Final = 4096
#: By itself the end of a sentence.
SENTENCE_END: Final = 8192
#: Takes part in a rule: a chunk without any is one token, or a special case.
ACTIVE: Final = 16384

_FLAGS: Final = {
    "space": SPACE,
    "alpha": ALPHA,
    "lower": LOWER,
    "upper": UPPER,
    "prefix": PREFIX,
    "suffix": SUFFIX,
    "before_stop": BEFORE_STOP,
    "before_inner_stop": BEFORE_INNER_STOP,
    "after_inner_stop": AFTER_INNER_STOP,
    "infix": INFIX,
    "word": WORD,
    "digit": DIGIT,
    "punctuation": PUNCTUATION,
    "sentence_end": SENTENCE_END,
    "active": ACTIVE,
}


#: Where `Memory` says where the parts begin. Special cases: a set of strings; the pieces of case i
#: end, from its start, at `memory[memory[pieces + i] : memory[pieces + i + 1]]` bytes.
SPECIALS: Final = 0
PIECES: Final = 1
#: Units and currencies, split off after a digit: a set of strings.
TAILS: Final = 2
#: Tokens of the final matcher's patterns: a set of strings, and how many.
TOKENS: Final = 3
TOKEN_COUNT: Final = 4
#: Its steps: their number, then `state * tokens + token` in order, then the next states.
STEPS: Final = 5
#: For each state the special case whose tokens lead to it, or -1; whether that is cut otherwise.
FOUND: Final = 6
CHANGES: Final = 7
_HEADER: Final = 8


class Tables(NamedTuple):
    """All that the loops read."""

    #: Classes of each code point; those beyond have none.
    flags: npt.NDArray[np.uint16]
    memory: Memory


@cache
def tables() -> Tables:
    """The tables, read once."""
    raw = json.loads(FILE.read_text())
    rules = [rule.split(" ") for rule in raw["specials"]]
    patterns = [pattern.split(" ") for pattern in raw["patterns"]]
    words = sorted({token for pattern in patterns for token in pattern})
    steps, found, changes = _matcher(patterns, words, rules)
    parts = {
        SPECIALS: string_set(["".join(rule) for rule in rules]),
        TAILS: string_set(raw["after_digit"]),
        TOKENS: string_set(words),
        STEPS: steps,
        FOUND: found,
        CHANGES: changes,
    }
    header = np.zeros(_HEADER, np.int64)
    header[TOKEN_COUNT] = len(words)
    end = _HEADER
    for name, part in parts.items():
        header[name] = end
        end += len(part)
    header[PIECES] = end
    ends = [np.cumsum([len(piece.encode()) for piece in rule]) for rule in rules]
    bounds = end + len(rules) + 1 + np.cumsum([0, *(len(e) for e in ends)])
    memory = np.concatenate([header, *parts.values(), bounds, *ends]).astype(np.int64)
    return Tables(_flags(raw["classes"]), memory)


def _flags(classes: dict[str, str]) -> npt.NDArray[np.uint16]:
    spans = {
        name: [[int(c, 16) for c in run.split("-")] for run in runs.split()]
        for name, runs in classes.items()
    }
    table = np.zeros(max(run[-1] for runs in spans.values() for run in runs) + 1, np.uint16)
    for name, flag in _FLAGS.items():
        for run in spans[name]:
            table[run[0] : run[-1] + 1] |= flag
    return table


def _matcher(
    patterns: list[list[str]], words: list[str], rules: list[list[str]]
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The patterns as a tree, a state for each beginning of one: its steps, finds, changes."""
    ids = {token: i for i, token in enumerate(words)}
    cases = {"".join(rule): i for i, rule in enumerate(rules)}
    states: dict[tuple[str, ...], int] = {(): 0}
    for pattern in patterns:
        for n in range(1, len(pattern) + 1):
            states.setdefault(tuple(pattern[:n]), len(states))
    steps = sorted(
        (states[path[:-1]] * len(words) + ids[path[-1]], state)
        for path, state in states.items()
        if path
    )
    found = np.full(len(states), -1, np.int64)
    changes = np.zeros(len(states), np.int64)
    for pattern in patterns:
        state, case = states[tuple(pattern)], cases["".join(pattern)]
        found[state], changes[state] = case, rules[case] != pattern
    return np.concatenate(([len(steps)], np.array(steps).T.ravel())), found, changes
