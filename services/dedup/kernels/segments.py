"""Segments of one text that are like an earlier one, without comparing each with every other.

A segment goes where an earlier one that stays is within so many edits, a share of the length of the
longer. Equal ones are found by their hashes. For the others: d edits spoil at most d of d + 1
pieces, so that one piece of the earlier segment stands in the later one, d places to the side at
most. The pieces of what stays are kept in a table, and a later segment looks up each of its grams;
what it finds is measured (`kernels.edit_distance`). The result is that of comparing all pairs.

Texts can be made in which every segment shares a piece with every other and none is like another.
So there is a bound on the steps of a text; the segments that are left then are compared for
equality only, and counted.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.dedup.kernels.compiled import Int64Array, Texts, compiled
from services.dedup.kernels.edit_distance import distance, room_for
from services.dedup.kernels.normalise import decode
from services.dedup.kernels.shingling import mix64

Codes = npt.NDArray[np.uint32]

#: Numbers that `similar_segments` counts for each text, in this order.
SEGMENTS, REMOVED, CHARACTERS, UNCHECKED = range(4)
_BASE = np.uint64(0x243F6A8885A308D3)


class Rules(NamedTuple):
    """What makes two segments alike; `before` and `after` are code points that cut."""

    distance: float  # of the longer
    exact: int  # a segment of up to so many characters has to be equal
    steps: int
    before: Int64Array
    after: Int64Array


class _Pieces(NamedTuple):
    """Pieces of the segments that stay, in chains: `heads` by hash, -1 where a chain ends."""

    heads: Int64Array
    following: Int64Array
    segments: Int64Array
    places: Int64Array


@compiled
def _holds(codes: Int64Array, code: int) -> bool:
    found = False
    for i in range(len(codes)):
        found |= codes[i] == code
    return found


@compiled
def _cut(
    texts: Texts, row: int, rules: Rules, codes: Codes, ends: Int64Array, stops: Int64Array
) -> int:
    """Write a text's characters, and where its segments end in them and in bytes; their number."""
    at, end = texts.offsets[row], texts.offsets[row + 1]
    count, begin, segments = 0, 0, 0
    while at < end:
        code, width = decode(texts.data, at, end)
        if _holds(rules.before, code) and begin < count:
            ends[segments], stops[segments] = count, at
            segments, begin = segments + 1, count
        codes[count] = code
        count, at = count + 1, at + width
        if _holds(rules.after, code):
            ends[segments], stops[segments] = count, at
            segments, begin = segments + 1, count
    if begin < count:
        ends[segments], stops[segments] = count, at
        segments += 1
    return segments


@compiled
def most_pieces(size: int, share: float) -> int:
    """Pieces of which one is whole in whatever is like a segment: edits to the longest, and one."""
    longest = size
    while longest + 1 - int(share * (longest + 1)) <= size:
        longest += 1
    return int(share * longest) + 1


@compiled
def _slots(entries: int) -> int:
    slots = 16
    while slots < 2 * entries:
        slots *= 2
    return slots


@compiled
def _is_new(
    codes: Codes, start: int, end: int, segment: int, ends: Int64Array, table: Int64Array
) -> bool:
    """Whether no earlier segment is equal; then it is added to the table (of numbers, -1 free)."""
    h = np.uint64(end - start)
    for i in range(start, end):
        h = np.uint64(h * _BASE + np.uint64(codes[i]) + np.uint64(1))
    slot = np.int64(mix64(h) & np.uint64(len(table) - 1))
    while table[slot] >= 0:
        other = table[slot]
        begin = ends[other - 1] if other else 0
        if ends[other] - begin == end - start:
            same = 0
            while start + same < end and codes[begin + same] == codes[start + same]:
                same += 1
            if start + same == end:
                return False
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = segment
    return True


@compiled
def _gram(codes: Codes, at: int, size: int, slots: int) -> int:
    """The slot of a gram."""
    h = np.uint64(0)
    for i in range(at, at + size):
        h = np.uint64(h * _BASE + np.uint64(codes[i]) + np.uint64(1))
    return int(np.int64(mix64(h) & np.uint64(slots - 1)))


@compiled
def _find(
    codes: Codes,
    segment: int,
    ends: Int64Array,
    pieces: _Pieces,
    gram: int,
    rules: Rules,
    seen: Int64Array,
    work: Int64Array,
    steps: int,
) -> tuple[bool, int]:
    """Whether a segment that stays is like this one; the steps left, below 0 where none are."""
    start, end = ends[segment - 1] if segment else 0, ends[segment]
    size = end - start
    for at in range(start, end - gram + 1):
        steps -= 1
        entry = pieces.heads[_gram(codes, at, gram, len(pieces.heads))]
        while entry >= 0:
            other, place = pieces.segments[entry], pieces.places[entry]
            entry = pieces.following[entry]
            steps -= 1
            begin, stop = ends[other - 1] if other else 0, ends[other]
            longer = max(size, stop - begin)
            most = int(rules.distance * longer)
            aside = abs((at - start) - (place - begin))
            if seen[other] != segment and aside <= most and abs(stop - begin - size) <= most:
                seen[other] = segment
                steps -= (2 * most + 1) * longer  # what `distance` takes at most
                if steps >= 0 and (
                    distance(codes, start, end, codes, begin, stop, most, work) <= most
                ):
                    return True, steps
            if steps < 0:
                return False, steps
    return False, steps


@compiled
def _mark(codes: Codes, ends: Int64Array, rules: Rules, removed: npt.NDArray[np.bool_]) -> int:
    """Mark the segments that go; how many were compared for equality only, for want of steps."""
    count = len(ends)
    gram, total, longest, start = 2**40, 0, 0, 0
    for segment in range(count):
        size = ends[segment] - start
        start = ends[segment]
        longest = max(longest, size)
        if size > rules.exact:
            number = most_pieces(size, rules.distance)
            gram, total = min(gram, size // number), total + number
    table = np.full(_slots(count), -1, np.int64)
    pieces = _Pieces(
        np.full(_slots(total), -1, np.int64),
        np.empty(total, np.int64),
        np.empty(total, np.int64),
        np.empty(total, np.int64),
    )
    seen = np.full(count, -1, np.int64)
    work = room_for(int(rules.distance * longest))
    steps, unchecked, entry, start = rules.steps, 0, 0, 0
    for segment in range(count):
        end = ends[segment]
        size, begin = end - start, start
        start = end
        removed[segment] = not _is_new(codes, begin, end, segment, ends, table)
        if removed[segment] or size <= rules.exact:
            continue
        if steps >= 0:
            removed[segment], steps = _find(
                codes, segment, ends, pieces, gram, rules, seen, work, steps
            )
        if steps < 0 and not removed[segment]:
            unchecked += 1
        elif not removed[segment]:
            for piece in range(most_pieces(size, rules.distance)):
                at = begin + piece * gram
                slot = _gram(codes, at, gram, len(pieces.heads))
                pieces.segments[entry], pieces.places[entry] = segment, at
                pieces.following[entry] = pieces.heads[slot]
                pieces.heads[slot] = entry
                entry += 1
    return unchecked


@compiled
def similar_segments(
    texts: Texts, rules: Rules
) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """What goes of each text: where spans start and end, in bytes; bounds of its spans; counts.

    Neighbouring segments are one span. Counts are (texts, 4).
    """
    rows = len(texts.valid)
    starts, stops = np.empty(64, np.int64), np.empty(64, np.int64)
    bounds, counts = np.zeros(rows + 1, np.int64), np.zeros((rows, 4), np.int64)
    spans = 0
    for row in range(rows):
        size = texts.offsets[row + 1] - texts.offsets[row]
        if texts.valid[row] and size:
            codes = np.empty(size, np.uint32)
            ends, bytes_ = np.empty(size, np.int64), np.empty(size, np.int64)
            count = _cut(texts, row, rules, codes, ends, bytes_)
            removed = np.zeros(count, np.bool_)
            counts[row, UNCHECKED] = _mark(codes, ends[:count], rules, removed)
            counts[row, SEGMENTS] = count
            for segment in range(count):
                if not removed[segment]:
                    continue
                before = segment - 1
                counts[row, REMOVED] += 1
                counts[row, CHARACTERS] += ends[segment] - (ends[before] if segment else 0)
                if not removed[before]:  # the first segment always stays
                    if spans == len(starts):
                        starts = np.concatenate((starts, np.empty(spans, np.int64)))
                        stops = np.concatenate((stops, np.empty(spans, np.int64)))
                    starts[spans] = bytes_[before] - texts.offsets[row]
                    spans += 1
                stops[spans - 1] = bytes_[segment] - texts.offsets[row]
        bounds[row + 1] = spans
    return starts[:spans], stops[:spans], bounds, counts
