"""A document's text with what its edit steps cut and put in, each in its place.

Edits are byte offsets into the text before their step. So the text is held as pieces, and each
step's offsets count only the pieces that it saw: what an earlier step cut stays in place, marked,
and takes no room.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["kept", "removed", "inserted"]
#: Characters of a text that a page shows; the rest is a download away.
LONGEST_SHOWN = 200_000


@dataclass(frozen=True)
class Piece:
    """A part of the text: as it was, cut, or put in, and by which step."""

    kind: Kind
    text: str
    step: str | None = None


@dataclass(frozen=True)
class _Span:
    kind: Kind
    data: bytes
    step: str | None


def mark(text: str, edits: Iterable[Mapping[str, Any]]) -> list[Piece]:
    """The text before all edits in pieces; `edits` are those of `life`, in the recipe's order."""
    spans = [_Span("kept", text.encode(), None)]
    for step in edits:
        spans = _apply(spans, step["step"], step["edits"])
    return [Piece(s.kind, s.data.decode(errors="replace"), s.step) for s in _joined(spans)]


def _apply(spans: list[_Span], step: str, edits: Iterable[Mapping[str, Any]]) -> list[_Span]:
    """One step's edits, sorted and without overlap."""
    found: list[_Span] = []
    waiting = list(reversed(spans))
    position = 0  # in the text that the step saw

    def move_to(end: int, *, cut: bool) -> None:
        """Take spans up to a position; those that the step saw are cut, or stay as they are."""
        nonlocal position
        while position < end and waiting:
            span = waiting.pop()
            if span.kind == "removed":
                found.append(span)
                continue
            take = min(len(span.data), end - position)
            if take < len(span.data):
                waiting.append(_Span(span.kind, span.data[take:], span.step))
            position += take
            part = span.data[:take]
            found.append(_Span("removed", part, step) if cut else _Span(span.kind, part, span.step))

    for edit in edits:
        move_to(edit["start"], cut=False)
        move_to(edit["end"], cut=True)
        if edit["text"]:
            found.append(_Span("inserted", edit["text"].encode(), step))
    return [*found, *reversed(waiting)]


def _joined(spans: Iterable[_Span]) -> list[_Span]:
    """Neighbours of one kind and step as one; empty ones gone."""
    found: list[_Span] = []
    for span in spans:
        if not span.data:
            continue
        last = found[-1] if found else None
        if last is not None and (last.kind, last.step) == (span.kind, span.step):
            found[-1] = _Span(span.kind, last.data + span.data, span.step)
        else:
            found.append(span)
    return found


def shortened(pieces: list[Piece], limit: int = LONGEST_SHOWN) -> tuple[list[Piece], int]:
    """The pieces up to a number of characters, and how many characters were left out."""
    shown: list[Piece] = []
    room = limit
    for piece in pieces:
        if room <= 0:
            break
        shown.append(Piece(piece.kind, piece.text[:room], piece.step))
        room -= len(piece.text)
    total = sum(len(p.text) for p in pieces)
    return shown, max(0, total - limit)
