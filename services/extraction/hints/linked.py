"""Dates of publication in linked data (JSON-LD), bounded in size and depth."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

#: Of all scripts of a page together that are read; a longer script is left out.
_MOST_CHARACTERS: Final = 2**20
#: Scripts of a page that are looked at.
_MOST_SCRIPTS: Final = 64
#: Nodes that are visited, and how deep; real pages have them at depth 1 to 4.
_MOST_NODES: Final = 2_000
_DEEPEST: Final = 6
#: Where the nodes are that are the page itself, or what it is about; comments, reviews and lists
#: of other pages are elsewhere.
_WITHIN: Final = ("@graph", "mainEntity", "mainEntityOfPage")
_ARTICLES: Final = ("Article", "Posting", "Report", "Recipe", "Review")


def published(scripts: Iterable[str]) -> Iterator[str]:
    """The dates of publication, those of articles first, then others'; scripts in page order."""
    others: list[str] = []
    left = _MOST_CHARACTERS
    for script in islice(scripts, _MOST_SCRIPTS):
        if "datePublished" not in script or len(script) > left:
            continue
        left -= len(script)
        for node in _nodes(_parse(script)):
            value = node.get("datePublished")
            if isinstance(value, str):
                if _is_article(node.get("@type")):
                    yield value
                else:
                    others.append(value)
    yield from others


def _parse(script: str) -> Any:
    """The script's value; None for what is no JSON, or nested too deep."""
    try:
        return json.loads(script, strict=False)
    except (ValueError, RecursionError):
        return None


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """The objects that speak of the page, in order."""
    stack = [(value, 0)]
    for _ in range(_MOST_NODES):
        if not stack:
            return
        value, depth = stack.pop()
        if isinstance(value, dict):
            yield value
            inner = [value[key] for key in _WITHIN if key in value]
        else:
            inner = value[:_MOST_NODES] if isinstance(value, list) else []
        if depth < _DEEPEST:
            stack.extend((v, depth + 1) for v in reversed(inner))


def _is_article(kind: Any) -> bool:
    """Whether a node's type, or one of its types, is a kind of article."""
    kinds = kind if isinstance(kind, list) else [kind]
    return any(isinstance(k, str) and k.endswith(_ARTICLES) for k in kinds)
