"""What spaCy's English tokenizer knows, from `tables.json` into arrays for the compiled loops."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.text.spacy_en.strings import Int64Array, Strings, build_strings

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


class Tables(NamedTuple):
    """All that the loops read."""

    #: Classes of each code point; those beyond have none.
    flags: npt.NDArray[np.uint16]
    #: Special cases; case i is cut after `piece_ends[piece_bounds[i]:piece_bounds[i + 1]]` bytes.
    specials: Strings
    piece_bounds: Int64Array
    piece_ends: Int64Array
    #: Units and currencies, split off after a digit.
    tails: Strings
    #: Tokens of the final matcher's patterns; `steps[state, token]` is the next state, or -1.
    tokens: Strings
    steps: npt.NDArray[np.int16]
    #: The special case whose tokens lead to a state, or -1; whether it is cut otherwise.
    found: Int64Array
    changes: npt.NDArray[np.bool_]


@cache
def tables() -> Tables:
    """The tables, read once."""
    raw = json.loads(FILE.read_text())
    rules = [rule.split(" ") for rule in raw["specials"]]
    ends = [np.cumsum([len(p.encode()) for p in rule]) for rule in rules]
    patterns = [pattern.split(" ") for pattern in raw["patterns"]]
    return Tables(
        _flags(raw["classes"]),
        build_strings(["".join(rule) for rule in rules]),
        np.concatenate(([0], np.cumsum([len(e) for e in ends]))).astype(np.int64),
        np.concatenate(ends).astype(np.int64),
        build_strings(raw["after_digit"]),
        *_matcher(patterns, {"".join(rule): (i, rule) for i, rule in enumerate(rules)}),
    )


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


def _matcher(patterns: list[list[str]], rules: dict[str, tuple[int, list[str]]]) -> Any:
    """The patterns as a tree: a state for each beginning of a pattern."""
    words = sorted({token for pattern in patterns for token in pattern})
    ids = {token: i for i, token in enumerate(words)}
    states: dict[tuple[str, ...], int] = {(): 0}
    for pattern in patterns:
        for n in range(1, len(pattern) + 1):
            states.setdefault(tuple(pattern[:n]), len(states))
    steps = np.full((len(states), len(words)), -1, np.int16)
    for path, state in states.items():
        if path:
            steps[states[path[:-1]], ids[path[-1]]] = state
    found = np.full(len(states), -1, np.int64)
    changes = np.zeros(len(states), np.bool_)
    for pattern in patterns:
        state, (rule, pieces) = states[tuple(pattern)], rules["".join(pattern)]
        found[state], changes[state] = rule, pieces != pattern
    return build_strings(words), steps, found, changes
