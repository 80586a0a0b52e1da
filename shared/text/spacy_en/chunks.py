"""Compiled cutting of one chunk (text between white space) into spaCy's tokens."""

import numpy as np

from shared.text.compiled import leaf
from shared.text.spacy_en.affixes import STOP, Flags, infix_size, prefix_size, suffix_size
from shared.text.spacy_en.strings import Bytes, Int64Array, Memory, find
from shared.text.spacy_en.tables import ACTIVE, PIECES, SPECIALS
from shared.text.spacy_en.urls import is_url
from shared.text.utf8 import flags_at


@leaf
def put_special(
    start: int, special: int, memory: Memory, starts: Int64Array, ends: Int64Array, count: int
) -> int:
    """Write the tokens of a special case that begins at `start`."""
    at = start
    place = memory[PIECES] + special
    for i in range(memory[place], memory[place + 1]):
        starts[count], ends[count] = at, start + memory[i]
        at = ends[count]
        count += 1
    return count


@leaf
def put_middle(
    data: Bytes,
    start: int,
    end: int,
    flags: Flags,
    memory: Memory,
    starts: Int64Array,
    ends: Int64Array,
    count: int,
) -> int:
    """Write the tokens of what is left between prefixes and suffixes: `_attach_tokens`."""
    special = find(data, start, end, memory, memory[SPECIALS])
    if special >= 0:
        return put_special(start, special, memory, starts, ends, count)
    dotted, kinds = False, 0
    for at in range(start, end):
        dotted |= data[at] == STOP
        kinds |= ACTIVE if data[at] >= 0x80 else flags[data[at]]
    at, begin = start, start
    if not kinds & ACTIVE or (dotted and is_url(data, start, end, flags)):
        at = end
    while at < end:
        kind, size = flags_at(data, at, end, flags)
        found = infix_size(data, at, start, end, flags) if kind & ACTIVE else 0
        if found and at > start:  # what stands at the start is no infix
            if begin < at:
                starts[count], ends[count] = begin, at
                count += 1
            starts[count], ends[count] = at, at + found
            count += 1
            begin = at + found
        at += max(found, size)
    if begin < end:
        starts[count], ends[count] = begin, end
        count += 1
    return count


@leaf
def put_chunk(
    data: Bytes,
    start: int,
    end: int,
    flags: Flags,
    memory: Memory,
    starts: Int64Array,
    ends: Int64Array,
    count: int,
) -> int:
    """Write the tokens of a chunk: `_split_affixes`, `_attach_tokens`. Returns the new count.

    Suffixes are found from the outside to the inside; until the middle is written, their starts
    wait at the end of `starts`, where there is room for each byte that is still to come.
    """
    specials, waiting, last, stop = memory[SPECIALS], len(starts), -1, end
    while start < end and end - start != last:
        if find(data, start, end, memory, specials) >= 0:
            break
        last = end - start
        prefix = prefix_size(data, start, end, flags)
        alone = prefix > 0 and find(data, start + prefix, end, memory, specials) >= 0
        suffix = 0 if alone else suffix_size(data, start + prefix, end, flags, memory)
        if suffix and find(data, start, end - suffix, memory, specials) >= 0:
            prefix, alone = 0, True
        if prefix:
            starts[count], ends[count] = start, start + prefix
            count += 1
            start += prefix
        if suffix:
            end -= suffix
            waiting -= 1
            starts[waiting] = end
        if alone:
            break
    if start < end:
        count = put_middle(data, start, end, flags, memory, starts, ends, count)
    for i in range(waiting, len(starts)):
        start = starts[i]
        after = starts[i + 1] if i + 1 < len(starts) else np.int64(stop)
        starts[count], ends[count] = start, after
        count += 1
    return count
