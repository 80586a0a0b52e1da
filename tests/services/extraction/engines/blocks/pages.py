"""Scans of pages that a test describes block by block."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.extraction.engines.blocks.layout import Blocks, Elements, Kind, Scan


class Piece(NamedTuple):
    """A block, named as in `layout.Blocks`, and whether it is kept."""

    text: str
    kind: Kind = Kind.PARAGRAPH
    level: int = 0
    number: int = 0
    quote: int = 0
    group: int = -1
    kept: bool = True


def item(text: str, level: int = 1, number: int = 0, group: int = 0, **others) -> Piece:
    return Piece(text, Kind.ITEM, level, number, group=group, **others)


def row(*cells: str, group: int = 0, **others) -> Piece:
    return Piece("\t".join(cells), Kind.ROW, group=group, **others)


def kept_of(pieces: Sequence[Piece]) -> np.ndarray:
    return np.array([piece.kept for piece in pieces], np.bool_)


def scan_of(pieces: Sequence[Piece]) -> Scan:
    """A page of these blocks, all of them in the document itself; the page is the text."""
    texts = [piece.text.encode() for piece in pieces]
    lengths = np.array([len(text) for text in texts], np.int32)
    stops = np.cumsum(lengths + 1, dtype=np.int32) - 1
    starts = stops - lengths

    def column(name: str, kind: type[np.generic]) -> np.ndarray:
        return np.array([getattr(piece, name) for piece in pieces], kind)

    blocks = Blocks(
        start=starts,
        stop=stops,
        source_start=starts,
        source_stop=stops,
        element=np.zeros(len(pieces), np.int32),
        kind=column("kind", np.uint8),
        level=column("level", np.uint8),
        number=column("number", np.int32),
        quote=column("quote", np.uint8),
        group=column("group", np.int32),
        link=np.zeros(len(pieces), np.int32),
    )
    document = Elements(
        tag=np.zeros(1, np.uint8),
        parent=np.full(1, -1, np.int32),
        depth=np.zeros(1, np.int32),
        first_block=np.zeros(1, np.int32),
        last_block=np.full(1, len(pieces), np.int32),
        hidden=np.zeros(1, np.uint8),
        token_bounds=np.zeros(2, np.int32),
        tokens=np.zeros(0, np.uint32),
        template=np.zeros(1, np.uint32),
    )
    # Between the texts stands what no text has, so that a slice too long is seen.
    text = np.frombuffer(b"\x1a".join(texts), np.uint8)
    return Scan(text=text, elements=document, blocks=blocks, title=text[:0])
