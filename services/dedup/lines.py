"""Repeated lines: parameters, what counts as the same line, and which copies go.

Each published code is a row of the tables below (specs 4.2, 3.2, 13.4, 15.8):

    cc_net     normalization: ccnet, keep: none            text_normalizer.py, dedup.py
    C4         normalization: c4, keep: min_url_hash       c4_utils.py, remove_duplicate_text
    MAP-Neo    normalization: none, keep: first            Paragraph_Deduplication/paragraph.py

In all three a line that repeats within its document goes from the second copy on, and blank lines
are lines like any other.
"""

import sys
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from services.dedup.index.run import Entries, same_as_before
from services.dedup.within import Within
from shared.step import Params

if TYPE_CHECKING:
    from services.dedup.kernels.line_keys import LineFolding

Int64Array = npt.NDArray[np.int64]
Normalization = Literal["none", "strip", "c4", "ccnet"]
Keep = Literal["none", "first", "min_url_hash"]

#: What cc_net's `PUNCT_OR_NON_PRINTING_CHARS_RE` deletes: the keys of its table `UNICODE_PUNCT`
#: (its full-width one is a digit, and a 0 by then), and control characters. ASCII's signs stay.
CCNET_DELETED: Final = frozenset(
    "，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►"  # noqa: RUF001 (these are meant)
    + "".join(map(chr, (*range(32), *range(127, 160))))
)
#: Code points beyond this one have no case, and are no digits.
_FOLDABLE: Final = 0x20000


class LineParams(Params):
    """Which lines are the same, and which copy stays."""

    normalization: Normalization = "ccnet"
    """`ccnet`: stripped, lower case, each digit a 0, the punctuation of cc_net's table and control
    characters deleted, accents kept. `c4`: stripped, lower case. `strip`. `none`: byte
    for byte."""

    keep: Keep = "none"
    """`none`: a line that two documents have goes from all of them (cc_net). `first`: it stays in
    the first document, in the order of the batch (MAP-Neo). `min_url_hash`: it stays in the one
    whose normalised URL has the least MD5 (C4's code). In any case a document keeps at most the
    first of its own copies."""

    hash_bits: Literal[64, 128] = 64
    """How much of a line's SHA-1 tells lines apart. cc_net takes 64 bits; 128 are as good as C4's
    MD5 and MAP-Neo's SHA-256, whose values nothing depends on."""

    blank: Literal["compare", "keep"] = "compare"
    """Whether lines with nothing left of them by normalisation are lines like any other (all three
    codes), or stay."""

    partitions: int = Field(default=16, ge=1, le=4096)
    """Tasks of matching; the keys are cut evenly among them."""

    within: Within = "all"
    """Only documents of one crawl, or of one part of all crawls, are compared. cc_net compares 50
    of 1,600 shards of a crawl."""

    parts: int = Field(default=100, ge=1, le=65536)
    """How many parts the archives are cut into, by a hash of their names."""

    index: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Name of an index: documents of all batches that joined it earlier count too. What they keep
    stays as it is: with `keep: first` two batches one after the other keep what both keep at once;
    with `keep: none` the earlier one has kept its copy of a line that comes back."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.index is not None and self.keep == "min_url_hash":
            raise ValueError("a later batch cannot take a line from an earlier one: keep: first")
        return self


@cache
def folding_of(name: Normalization) -> "LineFolding":
    """The arrays of a normalisation; about 0.2 s, once a process."""
    from services.dedup.kernels.line_keys import DELETED, IGNORABLE, REPLACED, LineFolding
    from shared.text import characters

    points = sys.maxunicode + 1
    kinds, start = np.zeros(points, np.uint8), np.zeros(points, np.int32)
    length, ascii_ = np.zeros(points, np.uint8), np.arange(128, dtype=np.uint8)
    blob, growth = bytearray(), 1
    for code in range(_FOLDABLE if name in ("c4", "ccnet") else 0):
        character = chr(code)
        folded = _fold(character, name).encode("utf-8", "surrogatepass")
        kinds[code] = _sigma_kind(character)
        if code < len(ascii_):
            ascii_[code] = folded[0] if folded else DELETED
        elif folded != character.encode("utf-8", "surrogatepass"):
            kinds[code] |= REPLACED
            start[code], length[code] = len(blob), len(folded)
            blob += folded
            growth = max(growth, -(-len(folded) // len(character.encode())))
    kinds[0xE0000:0xE01F0] |= IGNORABLE  # tags and variation selectors
    arrays = (ascii_, kinds, start, length, np.frombuffer(bytes(blob) or b"\0", np.uint8))
    for array in arrays:
        array.flags.writeable = False
    folds = name in ("c4", "ccnet")
    return LineFolding(name != "none", folds, characters.flags(), *arrays, growth)


def _fold(character: str, name: Normalization) -> str:
    """What stands for a character by itself."""
    lowered = character.lower()
    if name == "c4":
        return lowered
    if lowered.isdecimal():
        return "0"
    return "".join(c for c in lowered if c not in CCNET_DELETED)


def _sigma_kind(character: str) -> int:
    """What `str.lower` sees in a character beside a capital sigma: it tells by what it returns."""
    from services.dedup.kernels.line_keys import CASED, IGNORABLE

    final = "\N{GREEK SMALL LETTER FINAL SIGMA}"
    sigma = "\N{GREEK CAPITAL LETTER SIGMA}"
    if (character + sigma).lower().endswith(final):
        return CASED
    return IGNORABLE if ("a" + character + sigma).lower().endswith(final) else 0


class Copies(NamedTuple):
    """Entries that share a line with others: the one of each that comes first, and the rest."""

    heads: Int64Array
    rest: Int64Array


def copies(entries: Entries) -> Copies:
    """Positions of the entries of lines that several documents have.

    Entries are sorted by key and place. Where they have a `rank`, the least comes first; where they
    have a `check`, lines are the same only if it is, too.
    """
    same = same_as_before(entries.keys)
    shared = same.copy()
    shared[:-1] |= same[1:]
    at = np.flatnonzero(shared)
    finer = [entries.columns[name][at] for name in ("rank", "check") if name in entries.columns]
    if not finer:
        return _heads(at, same[at])
    keys = entries.keys[at]
    order = np.lexsort((entries.places[at], *finer, keys))
    at, same = at[order], same_as_before(keys[order])
    if "check" in entries.columns:
        same &= same_as_before(entries.columns["check"][at])
    return _heads(at, same)


def _heads(at: Int64Array, same: npt.NDArray[np.bool_]) -> Copies:
    """Heads and the rest, where some entries are the same line as the one before."""
    followed = np.append(same[1:], False)
    return Copies(at[~same & followed], at[same])


def losers(entries: Entries, found: Copies, keep: Keep) -> Int64Array:
    """Positions of the entries whose documents lose the line now; the others have lost it, or not.

    With `keep: none` an entry that is marked `cut` stands for documents that have lost it before.
    """
    if keep != "none":
        return found.rest
    every = np.concatenate((found.heads, found.rest))
    return np.asarray(every[entries.columns["cut"][every] == 0])


def one_each(entries: Entries, found: Copies, keep: Keep) -> Entries:
    """One entry a line: what a run needs to hold of a piece, sorted as before."""
    left = np.ones(len(entries), np.bool_)
    left[found.rest] = False
    columns = entries.columns
    if keep == "none":
        cut = columns["cut"].copy()
        cut[found.heads] = 1
        columns = {**columns, "cut": cut}
    return Entries(entries.keys, entries.places, columns).take(left)
