"""Writes shared/text/spacy_en/tables.json: what spaCy's English tokenizer knows, as data.

Run it in the reference environment: `.venv-bench/bin/python scripts/build_spacy_tables.py`. Each
class of characters is asked of spaCy's own compiled expressions, character by character; the
assertions hold what `shared/text/spacy_en` assumes about the rest. spaCy is MIT-licensed.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import spacy  # type: ignore[import-not-found]
from spacy.lang import char_classes as known  # type: ignore[import-not-found]
from spacy.lang.en.punctuation import TOKENIZER_INFIXES  # type: ignore[import-not-found]
from spacy.lang.punctuation import TOKENIZER_PREFIXES, TOKENIZER_SUFFIXES  # type: ignore[import-not-found]
from spacy.pipeline.sentencizer import Sentencizer  # type: ignore[import-not-found]
from spacy.symbols import ORTH  # type: ignore[import-not-found]
from spacy.tokenizer import Tokenizer  # type: ignore[import-not-found]

TARGET = Path(__file__).resolve().parents[1] / "shared/text/spacy_en/tables.json"
EN_DASH, EM_DASH = "\u2013", "\u2014"
ASCII_CORE = set("+-*^.,:<>=/~")
#: Rules of more than one character; everything else in the lists is a single one or a class.
PREFIXES = {r"\+(?![0-9])", r"\.\.+", "……", r"US\$", r"C\$", r"A\$"}
SUFFIXES = {r"\.\.+", "……", "'s", "'S", "\u2019s", "\u2019S"}


def single(piece: str) -> bool:
    """Whether a rule stands for one character of a fixed set."""
    return len(re.sub(r"^\\(.)$", r"\1", piece)) == 1 or piece == known.LIST_ICONS[0]


def check_rules(suffixes: list[str], infixes: list[str]) -> None:
    """The lists have no rule that the compiled loops do not know."""
    assert {p for p in TOKENIZER_PREFIXES if p.strip() and not single(p)} == PREFIXES
    assert {s for s in TOKENIZER_SUFFIXES if s.strip() and not single(s)} == SUFFIXES | {*suffixes}
    assert len(suffixes) == 6
    assert TOKENIZER_INFIXES[:2] == known.LIST_ELLIPSES
    assert TOKENIZER_INFIXES[2:3] == known.LIST_ICONS
    assert len(infixes) == 5
    alpha = re.compile(f"[{known.ALPHA}]")
    assert not any(alpha.match(c) for c in [*ASCII_CORE, EN_DASH, EM_DASH, "@", "?", "#"])


def classes(suffixes: list[str], infixes: list[str]) -> dict[str, Callable[[str], Any]]:
    """For each class of characters who belongs to it, asked of one character."""
    nlp = spacy.blank("en").tokenizer
    stop, upper_stop = (re.compile(s) for s in suffixes[4:])
    inner = re.compile(infixes[1])
    icons = re.compile(known.LIST_ICONS[0])
    currency = {re.sub(r"\\", "", c) for c in known.LIST_CURRENCY}
    ends = set(Sentencizer.default_punct_chars)
    return {
        "space": str.isspace,
        "alpha": re.compile(f"[{known.ALPHA}]").match,
        "lower": re.compile(f"[{known.ALPHA_LOWER}]").match,
        "upper": lambda c: upper_stop.search(c + c + "."),
        "prefix": lambda c: c != "+" and nlp.find_prefix(c),
        "suffix": nlp.find_suffix,
        "before_stop": lambda c: stop.search(c + "."),
        "before_inner_stop": lambda c: inner.search(c + ".A"),
        "after_inner_stop": lambda c: inner.search("a." + c),
        "infix": lambda c: c == "…" or icons.match(c),
        "word": re.compile(r"\w").match,
        "digit": re.compile(r"\d").match,
        "punctuation": lambda c: unicodedata.category(c)[0] == "P",
        "sentence_end": lambda c: c in ends,
        "active": lambda c: (
            c in ASCII_CORE
            or c in EN_DASH + EM_DASH + "0123456789"
            or c in currency
            or nlp.find_prefix(c)
            or nlp.find_suffix(c)
            or icons.match(c)
        ),
    }


def ranges(members: Iterable[int]) -> str:
    """Code points as `first-last` in hexadecimal, separated by spaces."""
    runs: list[list[int]] = []
    for code in members:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return " ".join(f"{a:x}-{b:x}" if a != b else f"{a:x}" for a, b in runs)


def special_cases() -> tuple[list[str], list[str]]:
    """The exceptions, and what the final matcher looks for, both with their tokens spaced."""
    tokenizer = spacy.blank("en").tokenizer
    assert tokenizer.token_match is None
    bare = Tokenizer(
        tokenizer.vocab,
        prefix_search=tokenizer.prefix_search,
        suffix_search=tokenizer.suffix_search,
        infix_finditer=tokenizer.infix_finditer,
        url_match=tokenizer.url_match,
    )
    specials, patterns = [], []
    for text, rule in sorted(tokenizer.rules.items()):
        if text.isspace():
            continue
        pieces = [token[ORTH] for token in rule]
        assert "".join(pieces) == text
        assert not any(c.isspace() for c in text)
        specials.append(" ".join(pieces))
        if tokenizer.find_prefix(text) or tokenizer.find_infix(text) or tokenizer.find_suffix(text):
            tokens = [token.text for token in bare(text)]
            if len(tokens) > 1:
                patterns.append(" ".join(tokens))
            else:
                assert tokens == pieces
    return specials, patterns


def main() -> None:
    """Write the file."""
    suffixes = [s for s in TOKENIZER_SUFFIXES if s.startswith("(?<=")]
    infixes = [i for i in TOKENIZER_INFIXES if i.startswith("(?<=")]
    check_rules(suffixes, infixes)
    codes = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
    specials, patterns = special_cases()
    tails = {re.sub(r"\\", "", t) for t in (*known.LIST_UNITS, *known.LIST_CURRENCY)}
    assert not any(re.search("[0-9]", t) for t in tails)
    tables = {
        "about": "Written by scripts/build_spacy_tables.py from spaCy (MIT License, Copyright (C) "
        "2016-2024 ExplosionAI GmbH, 2016 spaCy GmbH, 2015 Matthew Honnibal).",
        "spacy": spacy.__version__,
        "unicode": unicodedata.unidata_version,
        "classes": {
            name: ranges(c for c in codes if holds(chr(c)))
            for name, holds in classes(suffixes, infixes).items()
        },
        "after_digit": sorted(tails),
        "specials": specials,
        "patterns": patterns,
    }
    TARGET.write_text(json.dumps(tables, ensure_ascii=True, indent=0) + "\n")


if __name__ == "__main__":
    main()
