"""C4's rules in plain Python, as its released code and datatrove's have them."""

import re

CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
FATES = ("kept", "long_word", "no_terminal_punct", "few_words", "javascript", "policy")


def clean_line(line, params):
    """(fate, line without citations, "lorem ipsum" found, bracket found) of a stripped line."""
    words = line.split()
    if any(len(word) > params.max_word_characters for word in words):
        return "long_word", line, False, False
    if params.remove_citations:
        line = CITATION.sub("", line)
    if params.words_counted == "after_citations":
        words = line.split()
    ends = line.endswith(tuple(params.terminal_marks))
    if params.terminal_marks and (not ends or (params.ellipsis and line.endswith(params.ellipsis))):
        return "no_terminal_punct", line, False, False
    if len(words) < params.min_words:
        return "few_words", line, False, False
    lower = line.lower()
    lorem = any(p in lower for p in params.placeholders)
    if any(p in lower for p in params.scripts):
        return "javascript", line, lorem, False
    bracket = any(p in lower for p in params.brackets)
    fate = "policy" if any(p in lower for p in params.policies) else "kept"
    return fate, line, lorem, bracket


def count_sentences(line):
    """What ends in .?! before white space, and the rest."""
    ends = re.finditer(r"(?<![.!?])[.!?]+(?=[\"')\]}*]*\s+(\S))", line.strip())
    real = [m for m in ends if not m[0].endswith("..") or "A" <= m[1] <= "Z"]
    return len(real) + 1 if line.strip() else 0


def expression(words, beside):
    """The regular expression of the released codes; None where there is no word."""
    listed = "|".join(re.escape(word.lower()) for word in words)
    if not listed:
        return None
    return re.compile(
        {
            "not_a_to_z": f"[^a-z](?:{listed})[^a-z]",
            "no_word": rf"(?:\W|^)(?:{listed})(?:\W|$)",
            "anything": listed,
        }[beside]
    )


def clean(text, params):
    """The measures but for `edits`, and the text that is left."""
    raw = text.splitlines() if params.lines == "splitlines" else text.split("\n")
    lines = [line.strip() for line in raw if line.strip()]
    cleaned = [clean_line(line, params) for line in lines]
    kept = [line for fate, line, _, _ in cleaned if fate == "kept"]
    counts = {f"lines_{name}": [c[0] for c in cleaned].count(name) for name in FATES}
    return (
        {
            "characters": len(text),
            "lines": len(lines),
            **counts,
            "lorem_ipsum": any(c[2] for c in cleaned),
            "curly_bracket": any(c[3] for c in cleaned),
            "sentences": sum(map(count_sentences, kept)),
        },
        "\n".join(kept).strip(),
        kept,
    )
